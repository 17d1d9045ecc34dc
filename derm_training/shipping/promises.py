"""What a bundle promises of its golden pictures: the figures that its weights give, or the reason for which its gate refuses one."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from derm_networks.served import Picture, ServedBundle, open_bundle
from derm_training.gate.quality_measured import Gate
from derm_training.shipping.golden import drawn

TOLERANCE = 0.001
"""Of a golden figure, where the description does not have its own: other processors sum in another order."""

GateOf = Callable[[Path], Gate]
"""Opens the gate of the bundle in a folder. It is the service's own, handed in: so both cannot disagree."""

Promise = dict[str, Any]
"""One entry of `golden` in serving.json."""


class NoPromise(ValueError):
    """A bundle whose golden pictures prove nothing; the message names the remedy behind a semicolon."""


def write_promises(folder: Path, gate_of: GateOf) -> list[Promise]:
    """Let weights and gate of the bundle in `folder` answer its golden pictures, drawn now where it has none, and write that down.

    Raises `NoPromise` where the gate lets none of them through, or the network cannot read one.
    """
    bundle = open_bundle(folder)
    description = bundle.description
    tolerances = {one["file"]: one.get("tolerance", TOLERANCE) for one in description["golden"]}
    pictures = {f"golden/{file.name}": _pixels(file) for file in _files(folder, description["input"]["colour"])}
    description["golden"] = [
        {"file": file, "expect": _answers(bundle, file, picture), "tolerance": tolerances.get(file, TOLERANCE)}
        for file, picture in pictures.items()
    ]
    _write(folder, description)  # a description without figures is none: the gate opens with all of them
    gate = gate_of(folder)
    refused = {file: reason for file, picture in pictures.items() if (reason := gate(picture))}
    if len(refused) == len(pictures):
        told = ", ".join(f"{reason} {number}" for reason, number in Counter(refused.values()).most_common())
        raise NoPromise(
            f"the gate of {description['name']} refuses all {len(pictures)} golden pictures ({told}), and nothing would prove its figures; "
            "put a drawn picture of the kind that it reads into golden/, or set its limits with other images"
        )
    description["golden"] = [
        {"file": one["file"], "refused": refused[one["file"]]} if one["file"] in refused else one for one in description["golden"]
    ]
    _write(folder, description)
    return list(description["golden"])


def _files(folder: Path, colour: str) -> list[Path]:
    place = folder / "golden"
    if not list(place.glob("*.png")):
        place.mkdir(exist_ok=True)
        for number, picture in enumerate(drawn(colour)):
            Image.fromarray(picture).save(place / f"{number}.png")
    return sorted(place.glob("*.png"))


def _answers(bundle: ServedBundle, file: str, picture: Picture) -> dict[str, float]:
    found: dict[str, float] = {}
    try:
        for output in bundle.description["outputs"]:
            if output["kind"] == "segmentation":
                found[f"{output['id']}_area_fraction"] = float(bundle.mask(picture, output=output["id"]).mean())
            else:
                found |= bundle.probabilities(picture)
    except ValueError as error:
        raise NoPromise(f"{file} cannot be read: {error}; take it out of the bundle") from error
    return {name: round(value, 6) for name, value in found.items()}


def _pixels(file: Path) -> Picture:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("L" if picture.mode == "L" else "RGB"))


def _write(folder: Path, description: dict[str, Any]) -> None:
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    (folder / "configs" / "serving.json").write_text(text, encoding="utf-8")
