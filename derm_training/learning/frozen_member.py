"""A member of an ensemble whose ImageNet weights stay as they are; only its last layer learns, by logistic regression.

`python -m derm_training.learning.frozen_member BUNDLE TABLE FILE` writes an ensemble of this one member, for `joined_members`. What
is fine-tuned on a few thousand images and what is not err on different ones, so that their mean is better than either.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from derm_networks.efficientnet_lite import EfficientNetLite, Variant, imagenet_file, load_imagenet
from derm_networks.ensemble import joined
from derm_networks.mirrors import MIRRORS, turned
from derm_networks.served import ServedBundle, open_bundle, prepare, save_weights
from derm_training.learning.progress import console
from derm_training.tables.manifest import labelled_rows, read_rgb
from derm_training.tables.rows import Row

Features = NDArray[np.float32]


def last_layer(features: Features, second: Sequence[bool], *, strength: float, weight: float) -> tuple[Tensor, Tensor]:
    """Fit (n, C) features to whether each is of the second class; return weight (2, C) and bias (2,) of a linear layer.

    `strength` is scikit-learn's C on standardised features: the lower, the smoother. The logits count `weight` times, so that a
    member that is less sure than the others still has its say in the mean.
    """
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=strength, max_iter=2000).fit(scaler.transform(features), second)
    slope = model.coef_[0] / scaler.scale_
    offset = float(model.intercept_[0] - slope @ scaler.mean_)
    # half of the difference to each class: softmax of the two is the regression's own probability where weight is 1
    half = weight * np.append(slope, offset) / 2
    both = torch.from_numpy(np.stack([-half, half])).float()
    return both[:, :-1].contiguous(), both[:, -1].contiguous()


def frozen_member(bundle: ServedBundle, rows: Sequence[Row], variant: Variant, *, strength: float, weight: float) -> dict[str, Tensor]:
    """Return the state of an `EfficientNetLite` of two classes, fitted to the rows as the bundle would see them.

    Each picture and its mirror images are learned from. Raises ModuleNotFoundError where the ImageNet weights are not installed.
    """
    network = EfficientNetLite(variant, num_classes=2)
    load_imagenet(network, imagenet_file(variant))
    network.eval()
    second = bundle.description["outputs"][0]["classes"][1]["id"]
    features = list(_features(bundle, network, rows))
    labels = [row.label == second for row in rows for _ in MIRRORS]
    network.classifier.weight.data, network.classifier.bias.data = last_layer(
        np.concatenate(features), labels, strength=strength, weight=weight
    )
    return network.state_dict()


def _features(bundle: ServedBundle, network: EfficientNetLite, rows: Sequence[Row]) -> Iterator[Features]:
    for row in track(rows, "reading images", console=console(), transient=True):
        image = prepare(read_rgb(row.image), bundle.description["preprocessing"])
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            found = network.pooled_features(torch.cat([turned(image, axes) for axes in MIRRORS]))
        yield found.float().numpy()


def main() -> None:
    """Write the member."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("file", type=Path, help="a .safetensors file")
    parser.add_argument("--variant", choices=get_args(Variant), default="lite2")
    parser.add_argument("--strength", type=float, default=3e-4)
    parser.add_argument("--weight", type=float, default=2.5)
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    classes = [one["id"] for one in bundle.description["outputs"][0]["classes"]]
    rows = labelled_rows(arguments.table, "train", classes)
    state = frozen_member(bundle, rows, arguments.variant, strength=arguments.strength, weight=arguments.weight)
    save_weights(joined([state]), arguments.file, "float32")
    print(f"{arguments.file}: {arguments.variant}, last layer fitted to {len(rows)} images of {', '.join(classes)}")  # noqa: T201 - the command's answer


if __name__ == "__main__":
    main()
