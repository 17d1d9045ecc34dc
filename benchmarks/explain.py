"""What a closed-form class map saves beside Grad-CAM: how long each takes for one image, in the same run.

    python benchmarks/explain.py [--rounds 15] [--side 224] [--json]

Both maps are asked of the same network of the product with random weights and compared: they agree up to scale, or the
benchmark fails. Times are of the processor (a busy machine disturbs it least), one thread, the median over the rounds, in turn;
`forward` is the network's own pass, which every analysis needs anyway.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from derm_networks.efficientnet_lite import EfficientNetLite
from derm_networks.residual import ResidualNetwork
from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Classification, ClassProbability
from derm_pacs.inference.explain import Explainer, explainer

CLASSES = [{"id": "nevus", "concept": "melanocytic_nevus"}, {"id": "melanoma", "concept": "melanoma"}]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=15)
    asked.add_argument("--side", type=int, default=224)
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rows = [
        measured("efficientnet_lite0", EfficientNetLite("lite0", num_classes=2), "head", given.rounds, given.side),
        measured("resnet50", ResidualNetwork(num_classes=2, block="bottleneck", layers=(3, 4, 6, 3)), "layer4", given.rounds, given.side),
    ]
    told = {"side": given.side, "rounds": given.rounds, "torch": torch.__version__, "processor": platform.machine(), "networks": rows}
    if given.json:
        print(json.dumps(told, indent=1))
        return
    for row in rows:
        print(
            f"{row['network']}: Grad-CAM {row['grad_cam_ms']:.0f} ms, closed form {row['cam_ms']:.0f} ms, "
            f"{row['ratio']:.2f} of it; forward {row['forward_ms']:.0f} ms; largest difference {row['difference']:.1e} of the highest cell"
        )


def measured(name: str, network: nn.Module, layer: str, rounds: int, side: int) -> dict[str, Any]:
    """Time both ways on one network; raises SystemExit where their maps differ."""
    settle(network, side)
    by_gradient = ready(network, side, {"method": "grad_cam", "output": "class", "layer": layer})
    closed = ready(network, side, {"method": "cam", "output": "class"})
    prepared = torch.randn(1, 3, side, side)
    classification = Classification(
        output="class",
        probabilities=tuple(ClassProbability(class_id=one["id"], concept=one["concept"], probability=0.5) for one in CLASSES),
    )
    heats = [one._map(prepared, 1)[0, 0] for one in (by_gradient, closed)]  # noqa: SLF001 - before it is rounded to 8 bits
    difference = float((heats[0] / heats[0].max() - heats[1] / heats[1].max()).abs().max())
    if not difference < 1e-3:
        raise SystemExit(f"{name}: the maps differ by {difference} of the highest cell")
    ways: dict[str, Callable[[], object]] = {
        "grad_cam": lambda: by_gradient.explain(prepared, classification),
        "cam": lambda: closed.explain(prepared, classification),
        "forward": lambda: forward(network, prepared),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):  # the first is for warming up
        for way, run in ways.items():
            start = time.process_time()
            run()
            times[way].append(1000 * (time.process_time() - start))
    medians = {f"{way}_ms": statistics.median(values[1:]) for way, values in times.items()}
    return {"network": name} | medians | {"ratio": medians["cam_ms"] / medians["grad_cam_ms"], "difference": difference}


def ready(network: nn.Module, side: int, explanation: dict[str, str]) -> Explainer:
    description = ServingDescription.model_validate({
        "schema": 1, "name": "timed", "version": "1.0.0", "title": "Timed", "grade": "demonstration", "licence": "none",
        "network": {"name": "timed"}, "weights": {"file": "none", "sha256": "0" * 64, "dtype": "float32"},
        "input": {"colour": "RGB", "min_short_side": 32, "intended": "nothing"},
        "preprocessing": [{"op": "resize", "height": side, "width": side, "mode": "bilinear", "antialias": True}],
        "inference": {"kind": "whole"},
        "outputs": [{"kind": "classification", "id": "class", "activation": "softmax", "classes": CLASSES, "lesion_rule": "mean"}],
        "operating_points": [{"id": "default", "output": "class", "positive": "melanoma", "threshold": 0.5}],
        "explanation": explanation,
        "quality": {"min_laplacian_variance": 0, "max_dark_fraction": 1, "min_contrast": 0},
        "golden": [{"file": "none.png", "expect": {"melanoma": 0.5}, "tolerance": 0.05}],
    })  # fmt: skip
    made = explainer(description, network)
    if made is None:
        raise SystemExit("nothing explains the network")
    return made


def settle(network: nn.Module, side: int) -> None:
    """Give the normalisations of a random network statistics, without which nothing comes through."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(2, 3, side, side))
    network.eval()


@torch.inference_mode()
def forward(network: nn.Module, prepared: torch.Tensor) -> object:
    return network(prepared)


if __name__ == "__main__":
    main()
