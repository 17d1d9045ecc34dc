"""Ships a trained network: a checkpoint becomes a bundle's weights, hash, golden promises, and the record in its metadata."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from torch import Tensor

from derm_networks.bundle_files import file_inside
from derm_networks.efficientnet_auxiliary import without_auxiliary
from derm_networks.pretrained import read_state
from derm_networks.served import Dtype, make_network, save_weights
from derm_training.gate.novelty import features_file
from derm_training.measuring.trained_network import trained_arguments
from derm_training.shipping.outlived import Outlived, take_out
from derm_training.shipping.promises import GateOf, Promise, write_promises
from derm_training.shipping.staging import staged

_SERVING = Path("configs") / "serving.json"

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
    golden: dict[str, dict[str, float] | str]
    """File to what the shipped weights say of it, or to the reason for which the gate refuses it."""
    outlived: Outlived


def export(
    folder: Path, checkpoint: Path | None, codes: Codes, gate_of: GateOf, *,
    dtype: Dtype | None = None, version: str | None = None, out: Path | None = None,
) -> Exported:
    """Write weights, their hash, golden promises and the metadata's record into the bundle, or into its copy `out`.

    `checkpoint` is a bare state dict, one under the key `model`, or a safetensors file; without one the weights stay those of
    the bundle. `dtype` and `version` None keep the description's; weights other than those that are there need a new version.
    Heads that only training needs are left out. A limit of novelty, measured figures and temperatures do not outlive their weights. Raises `ExportError` and `NoPromise`, and ValueError where the
    description names files outside the bundle; then everything is as it was.
    """
    if out is not None and out.exists():
        raise ExportError(f"{out} exists already; name a folder that does not")
    with staged(folder, out) as copy:
        outlived = _put_weights(copy, checkpoint, dtype, version)
        promises = write_promises(copy, gate_of)
        write_record(copy, codes)
    target = folder if out is None else out
    weights = _description(target)["weights"]
    return Exported(
        folder=target,
        sha256=weights["sha256"],
        size=file_inside(target, weights["file"], "weights.file").stat().st_size,
        golden=golden_of(promises),
        outlived=outlived,
    )


def next_version(version: str) -> str:
    """Return the version with the next minor number, which weights that were trained anew may have."""
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"


def golden_of(promises: Sequence[Promise]) -> dict[str, dict[str, float] | str]:
    """Return file to promised figures, or to the promised reason of its refusal."""
    return {one["file"]: one.get("expect") or one["refused"] for one in promises}


def write_record(folder: Path, codes: Codes) -> None:
    """Bring the key `derm_pacs` of metadata.json to what serving.json says now."""
    place = folder / "configs" / "metadata.json"
    metadata = json.loads(place.read_text(encoding="utf-8"))
    description = _description(folder)
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


def _put_weights(folder: Path, checkpoint: Path | None, dtype: Dtype | None, version: str | None) -> Outlived:
    """Write the version, the weights and their hash; return what went with the former ones."""
    description = _description(folder)
    present = description["version"]
    description["version"] = version or present
    weights = description["weights"]
    file = file_inside(folder, weights["file"], "weights.file")
    features_file(folder, description)  # refused before anything is written
    if checkpoint is None:
        if dtype not in {None, weights["dtype"]}:
            raise ExportError(f"{weights['file']} is {weights['dtype']}; name the checkpoint to round to {dtype} from")
        _write(folder / _SERVING, description)
        return Outlived()
    former, had_weights = weights["sha256"], file.is_file()
    weights["dtype"] = dtype or weights["dtype"]
    _take_network(folder, checkpoint, description["network"])
    state = _state(checkpoint, description["network"])
    weights["sha256"] = save_weights(state, file, weights["dtype"])
    changed = weights["sha256"] != former
    if changed and had_weights and description["version"] == present:
        raise ExportError(
            f"{checkpoint} gives other weights than those of {description['name']} {present}, and a version is never used twice for other bytes; "
            f"give the new ones a version: --version {next_version(present)}"
        )
    outlived = take_out(folder, description) if changed else Outlived()
    _write(folder / _SERVING, description)
    return outlived


def _take_network(folder: Path, checkpoint: Path, network: dict[str, Any]) -> None:
    """Bring the arguments of the `network` of serving.json, and those of what stock MONAI runs, to what the training had."""
    for name in ("evaluate.json", "inference.json"):
        place = folder / "configs" / name
        if not place.is_file():
            continue
        configuration = json.loads(place.read_text(encoding="utf-8"))
        if trained := trained_arguments(checkpoint, configuration.get("network_def", {})):
            configuration["network_def"] |= trained
            network["args"] |= {key: value for key, value in trained.items() if key in network["args"]}
            _write(place, configuration)


def _description(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / _SERVING).read_text(encoding="utf-8")))


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
        raise ExportError(f"{checkpoint} does not exist; name the best.pt of a training or a .safetensors file")
    state = read_state(checkpoint)
    if network["name"] == "efficientnet_auxiliary":
        state = without_auxiliary(state)
    try:
        make_network(network).load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = shorten(str(error), 200, placeholder=" …")  # torch names every key
        raise ExportError(
            f"{checkpoint} is no state of the network of serving.json: {first}; train with this bundle's train.json, or set network.args (such as rank) "
            "in serving.json, and network_def in evaluate.json and inference.json, to what it was trained with"
        ) from error
    return state


def _write(place: Path, content: Mapping[str, Any]) -> None:
    place.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
