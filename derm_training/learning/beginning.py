"""What a training began with: its images and its settings. A folder is taken up with the same only, and refused before it changes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from derm_training.tables.manifest import write_table
from derm_training.tables.rows import Row

_TABLE, _SETTINGS = "table.csv", "training.json"
_FREE = {"_meta_", "bundle_root", "data", "device", "epochs", "output_dir", "patience"}
"""Settings in which a training that is taken up may differ: where it runs, for how long, and the table, of which the images count."""

Plain = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What `last.pt` keeps of it."""

    images: str
    """SHA-256 of table.csv, empty without one."""
    settings: str
    """The text of training.json, empty where MONAI's own command runs the training, which writes none."""


def beginning(folder: Path) -> Beginning:
    """Return what the training in `folder` has begun with."""
    table, settings = folder / _TABLE, folder / _SETTINGS
    return Beginning(
        images=hashlib.sha256(table.read_bytes()).hexdigest() if table.is_file() else "",
        settings=settings.read_text(encoding="utf-8") if settings.is_file() else "",
    )


def keep_table(folder: Path, rows: Sequence[Row], *, read: Path) -> None:
    """Write the images of both sides to `folder`/table.csv.

    Raises ValueError, and leaves the file as it is, where the training in `folder` began with others or the file is the table
    `read` itself.
    """
    place, growing = folder / _TABLE, folder / f"{_TABLE}.part"
    write_table(growing, rows)
    made = growing.read_bytes()
    try:
        last = folder / "last.pt"
        if last.is_file() and _kept(last, "images") != hashlib.sha256(made).hexdigest():
            raise ValueError(f"{last} was made from other images than the table now gives; choose another folder (--out) or delete the file")
        if place.is_file() and place.read_bytes() != made and read.exists() and place.samefile(read):
            raise ValueError(f"{place} is the table that is read, and would be replaced by what the training takes of it; choose another folder (--out)")
        growing.replace(place)
    finally:
        growing.unlink(missing_ok=True)


def keep_settings(folder: Path, configuration: Plain) -> None:
    """Write the `configuration` of a training that begins in `folder`, and the version that runs it, to training.json.

    Raises ValueError naming the settings, and leaves the file as it is, where the training in `folder` began with others.
    """
    settings = {key: value for key, value in configuration.items() if key not in _FREE}
    last = folder / "last.pt"
    if last.is_file():
        _compare(last, settings)
        return
    folder.mkdir(parents=True, exist_ok=True)
    record = {"version": version("derm-pacs"), "configuration": settings}
    (folder / _SETTINGS).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _compare(last: Path, settings: Plain) -> None:
    kept = _kept(last, "settings")
    if not kept:
        raise ValueError(f"{last} does not say with which settings it was made; choose another folder (--out) or delete the file")
    former, present = dict(_values(json.loads(kept)["configuration"])), dict(_values(settings))
    differing = [name for name in former | present if former.get(name) != present.get(name)]
    if differing:
        told = ", ".join(f"{name} {former.get(name, 'unset')} (now {present.get(name, 'unset')})" for name in differing)
        raise ValueError(f"{last} was made with {told}; choose another folder (--out), or give the same settings")


def _values(part: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Give every value of a configuration as JSON, by its name as `--set` writes it."""
    if part and isinstance(part, Mapping | list):
        for key, value in part.items() if isinstance(part, Mapping) else enumerate(part):
            yield from _values(value, f"{name}#{key}" if name else str(key))
    else:
        yield name, json.dumps(part, ensure_ascii=False)


def _kept(last: Path, name: str) -> str:
    """Return one text of last.pt, whose tensors are not read for it."""
    return str(torch.load(last, weights_only=True, map_location="cpu", mmap=True).get(name, ""))
