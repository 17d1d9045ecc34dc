"""The limit beyond which an image is unlike all that a bundle has learned from: fitted to features, set by validation images.

The pooled features of training images, drawn by seed, give the space (`derm_networks.novelty`); the figure that all but a
stated share of the validation images stay below is the limit. A limit that is measured on the images that set it refuses
just that share of them, so what it refuses of other images is told beside it: each half of the lesions by the other's limit.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from derm_networks.bundle_files import file_inside
from derm_networks.novelty import FeatureSpace, energies
from derm_networks.served import ServedBundle, open_bundle
from derm_training.tables.manifest import read_rgb
from derm_training.tables.rows import Row, Table

Kind = Literal["feature_distance", "energy"]
Picture = NDArray[np.uint8]
FILE = "models/features.safetensors"
_SERVING = "configs/serving.json"
ENOUGH = 100
"""Validation images below which nobody knows which share of others a limit refuses: the farthest few of them set it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A limit and what is known of it."""

    kind: Kind
    space: FeatureSpace | None
    """None of an energy."""
    maximum: float
    trained_on: int
    """Training images whose features made the space; 0 of an energy."""
    validated_on: int
    refused: float
    """Share of the validation images beyond the limit, which they set."""
    refused_of_others: float
    """The same where each half of the lesions is judged by the limit that the other half sets."""


def fit(
    folder: Path, table: Table, *, kind: Kind = "feature_distance", share: float = 0.01, most_images: int = 2000, seed: int = 0,
    told: Callable[[str], None] = lambda _: None,
) -> Fitted:
    """Find the limit of the bundle in `folder` that refuses `share` of the table's validation images.

    Raises ValueError where the table lacks training or validation images, or where the network has no pooled features.
    """
    bundle = open_bundle(folder)
    training, validation = ([row for row in table.rows if row.split == split] for split in ("train", "val"))
    if len(validation) < 2 or (kind == "feature_distance" and len(training) < 3):
        raise ValueError(f"{table.path} has {len(training)} rows of split train and {len(validation)} of split val: too few")
    space = None
    chosen: Sequence[Row] = ()
    if kind == "feature_distance":
        drawn = np.random.default_rng(seed).permutation(len(training))[:most_images]
        chosen = [training[place] for place in sorted(drawn)]
        told(f"features of {len(chosen)} training images")
        found = np.concatenate([features(bundle, read_rgb(row.image)) for row in chosen])
        space = FeatureSpace.read(FeatureSpace.fit(found).written())  # as the service reads it, in float32
    told(f"the limit by {len(validation)} validation images")
    figures = np.array([figure(bundle, space, read_rgb(row.image)) for row in validation])
    maximum = _limit(figures, share)
    return Fitted(
        kind=kind,
        space=space,
        maximum=maximum,
        trained_on=len(chosen),
        validated_on=len(validation),
        refused=float((figures > maximum).mean()),
        refused_of_others=_of_others(figures, [row.group for row in validation], share, seed),
    )


@torch.inference_mode()
def features(bundle: ServedBundle, picture: Picture) -> NDArray[np.float64]:
    """Return the pooled features (n, C) of the windows of (height, width, 3) RGB; n is 1 for a bundle that reads the whole.

    Raises ValueError where the network has none.
    """
    if not hasattr(bundle.network, "pooled_features"):
        raise ValueError(f"the network {bundle.description['network']['name']} gives no pooled features; try --by energy")
    return _of_parts(bundle, picture, cast(Any, bundle.network).pooled_features)


@torch.inference_mode()
def figure(bundle: ServedBundle, space: FeatureSpace | None, picture: Picture) -> float:
    """Return the distance of (height, width, 3) RGB in `space`, or without one its energy; of windows, their mean."""
    if space is not None:
        return float(space.distances(features(bundle, picture)).mean())
    output = next((one for one in bundle.description["outputs"] if one["kind"] == "classification"), None)
    if output is None:
        raise ValueError(f"{bundle.description['name']} classifies nothing: it has no energy")
    if bundle.description["inference"]["kind"] == "whole":
        return float(energies(torch.as_tensor(bundle.logits(picture)).numpy())[0])
    return float(energies(_of_parts(bundle, picture, bundle.network)).mean())


def write(folder: Path, fitted: Fitted) -> None:
    """Write the limit into the bundle's serving.json, with the file of the space beside the weights; then a former one goes.

    Raises ValueError, before anything is written, where the former one's file would lie outside the bundle.
    """
    path = folder / _SERVING
    description = json.loads(path.read_text(encoding="utf-8"))
    former = features_file(folder, description)
    novelty: dict[str, Any] = {"kind": fitted.kind, "maximum": round(fitted.maximum, 6)}
    if fitted.space is not None:
        data = fitted.space.written()
        file_inside(folder, FILE, "quality.novelty.file").write_bytes(data)
        novelty |= {"file": FILE, "sha256": hashlib.sha256(data).hexdigest()}
    description["quality"]["novelty"] = novelty
    path.write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if former is not None and former != features_file(folder, description):
        former.unlink(missing_ok=True)


def features_file(folder: Path, description: Mapping[str, Any]) -> Path | None:
    """Return the file of the space of a description's limit, None where it has none.

    Raises ValueError where that file would lie outside the bundle in `folder`, or is that of the weights.
    """
    name = (description["quality"].get("novelty") or {}).get("file")
    if name is None:
        return None
    file = file_inside(folder, name, "quality.novelty.file")
    if file == file_inside(folder, description["weights"]["file"], "weights.file"):
        raise ValueError(f"quality.novelty.file of serving.json is {name!r}, the file of the weights; name another one, such as {FILE}")
    return file


def _of_parts(bundle: ServedBundle, picture: Picture, run: Callable[[torch.Tensor], torch.Tensor]) -> NDArray[np.float64]:
    return np.asarray(bundle.by_parts(picture, run).numpy(), dtype=np.float64)


def _limit(figures: NDArray[np.float64], share: float) -> float:
    """Return the smallest of the figures that at most `share` of them exceed, and a hundredth of their spread.

    Other processors sum in another order: the image that sets the limit has to pass there too.
    """
    return float(np.quantile(figures, 1 - share, method="higher") + 0.01 * figures.std())


def _of_others(figures: NDArray[np.float64], groups: Sequence[str], share: float, seed: int, draws: int = 100) -> float:
    """Return the mean share refused over random halves of the lesions, each judged by the other's limit."""
    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    random = np.random.default_rng(seed)
    sides = (random.random(int(numbers.max()) + 1) < 0.5 for _ in range(draws))
    halves = [half for side in sides for half in (side[numbers], ~side[numbers]) if half.any() and not half.all()]
    found = [float((figures[~half] > _limit(figures[half], share)).mean()) for half in halves]
    return float(np.mean(found)) if found else float("nan")
