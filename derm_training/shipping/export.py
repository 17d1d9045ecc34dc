"""Ships a trained network: a checkpoint becomes a bundle's weights, hash, golden answers, and the record in its metadata."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from derm_networks.efficientnet_auxiliary import without_auxiliary
from derm_networks.served import Dtype, Picture, ServedBundle, make_network, open_bundle, read_weights, save_weights
from derm_training.shipping.golden import drawn

TOLERANCE = 0.001
"""Of a golden answer, where the description does not have its own: other processors sum in another order."""

Codes = Mapping[str, tuple[str, str, str]]
"""Name of a concept to its value, coding scheme and meaning."""


class ExportError(ValueError):
    """What is given makes no bundle; the message names the file and the remedy, parted by a semicolon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle as it was written."""

    folder: Path
    sha256: str
    size: int
    """Bytes of the weights."""
    golden: dict[str, dict[str, float]]
    """File to what the shipped weights say of it."""


def export(
    folder: Path, checkpoint: Path | None, codes: Codes, *, dtype: Dtype | None = None, out: Path | None = None
) -> Exported:
    """Write weights, their hash, golden answers and the metadata's record into the bundle, or into its copy `out`.

    `checkpoint` is a bare state dict, one under the key `model`, or a safetensors file; without one the weights stay those of
    the bundle. `dtype` None keeps the description's. Heads that only training needs are left out. Raises `ExportError`.
    """
    target = folder if out is None else _copied(folder, out)
    serving = target / "configs" / "serving.json"
    description = json.loads(serving.read_text(encoding="utf-8"))
    weights = description["weights"]
    if checkpoint is None and dtype not in {None, weights["dtype"]}:
        raise ExportError(f"{weights['file']} is {weights['dtype']}; name the checkpoint to round to {dtype} from")
    if checkpoint is not None:
        weights["dtype"] = dtype or weights["dtype"]
        weights["sha256"] = save_weights(
            _state(checkpoint, description["network"]), target / weights["file"], weights["dtype"]
        )
        _write(serving, description)
    bundle = open_bundle(target)
    _write_golden(target, bundle)
    _write(serving, bundle.description)
    write_record(target, codes)
    return Exported(
        folder=target,
        sha256=weights["sha256"],
        size=(target / weights["file"]).stat().st_size,
        golden={one["file"]: one["expect"] for one in bundle.description["golden"]},
    )


def write_record(folder: Path, codes: Codes) -> None:
    """Bring the key `derm_pacs` of metadata.json to what serving.json says now."""
    place = folder / "configs" / "metadata.json"
    metadata = json.loads(place.read_text(encoding="utf-8"))
    description = json.loads((folder / "configs" / "serving.json").read_text(encoding="utf-8"))
    _write(place, metadata | {"version": description["version"], "derm_pacs": record(description, metadata, codes)})


def record(description: Mapping[str, Any], metadata: Mapping[str, Any], codes: Codes) -> dict[str, Any]:
    """Return what a bundle's metadata says of its use, for those who read no serving.json.

    Raises `ExportError` naming a class or region whose concept has no code.
    """
    given, quality = description["input"], dict(description["quality"])
    return {
        "intended_use": metadata["intended_use"],
        "grade": description["grade"],
        "images": given["intended"],
        "sop_classes": given.get("sop_classes", []),
        "colour": given["colour"],
        "min_short_side": given["min_short_side"],
        "outputs": [_output(one, codes) for one in description["outputs"]],
        "operating_points": description.get("operating_points", []),
        "quality": quality,
        "training_data": metadata["data_source"],
        "licence": description["licence"],
        "metrics": description.get("validation", []),
        "explanation": description.get("explanation"),
        "weights": {"sha256": description["weights"]["sha256"], "dtype": description["weights"]["dtype"]},
    }


def _output(output: Mapping[str, Any], codes: Codes) -> dict[str, Any]:
    said = {"id": output["id"], "kind": output["kind"]}
    if output["kind"] == "segmentation":
        return said | {"threshold": output["threshold"], "code": _code(output["concept"], codes)}
    classes = [{"id": one["id"], "code": _code(one["concept"], codes)} for one in output["classes"]]
    return said | {"temperature": output.get("temperature", 1.0), "classes": classes}


def _code(concept: str, codes: Codes) -> dict[str, str]:
    if concept not in codes:
        raise ExportError(f"the concept {concept} has no code; name one of derm_pacs/domain/codes.py in serving.json")
    value, scheme, meaning = codes[concept]
    return {"value": value, "scheme": scheme, "meaning": meaning}


def _state(checkpoint: Path, network: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of the served network; raises `ExportError` where they are another network's."""
    if not checkpoint.is_file():
        raise ExportError(f"{checkpoint} does not exist; name best.pt of a training")
    if checkpoint.suffix == ".safetensors":
        state = read_weights(checkpoint)
    else:
        loaded = torch.load(checkpoint, weights_only=True, map_location="cpu")
        state = loaded.get("model", loaded)
    if network["name"] == "efficientnet_auxiliary":
        state = without_auxiliary(state)
    try:
        make_network(network).load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = " ".join(str(error).split("\n\t")[:2])
        raise ExportError(
            f"{checkpoint} is no state of the network of serving.json: {first}; train with this bundle's train.json"
        ) from error
    return state


def _write_golden(folder: Path, bundle: ServedBundle) -> None:
    """Let the weights answer the golden pictures, drawn now where the bundle has none; changes the description."""
    description = bundle.description
    tolerances = {one["file"]: one["tolerance"] for one in description["golden"]}
    files = sorted((folder / "golden").glob("*.png"))
    if not files:
        (folder / "golden").mkdir(exist_ok=True)
        for number, picture in enumerate(drawn(description["input"]["colour"])):
            Image.fromarray(picture).save(folder / "golden" / f"{number}.png")
        files = sorted((folder / "golden").glob("*.png"))
    description["golden"] = [
        {
            "file": f"golden/{file.name}",
            "expect": _answers(bundle, _pixels(file)),
            "tolerance": tolerances.get(f"golden/{file.name}", TOLERANCE),
        }
        for file in files
    ]


def _answers(bundle: ServedBundle, picture: Picture) -> dict[str, float]:
    found: dict[str, float] = {}
    for output in bundle.description["outputs"]:
        if output["kind"] == "segmentation":
            found[f"{output['id']}_area_fraction"] = float(bundle.mask(picture, output=output["id"]).mean())
        else:
            found |= bundle.probabilities(picture)
    return {name: round(value, 6) for name, value in found.items()}


def _pixels(file: Path) -> Picture:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("L" if picture.mode == "L" else "RGB"))


def _copied(folder: Path, out: Path) -> Path:
    if out.exists():
        raise ExportError(f"{out} exists already; name a folder that does not")
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("training", "output", "__pycache__"))
    return out


def _write(place: Path, content: Mapping[str, Any]) -> None:
    place.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
