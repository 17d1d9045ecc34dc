"""Writes what came back into files: demo.json, the pictures for a person, the objects for a DICOM viewer."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from derm_pacs.demonstration.account import CaseAccount, ImageAccount
from derm_pacs.demonstration.compare import shortcomings
from derm_pacs.demonstration.notice import NOTICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where what came back lies."""

    pictures: tuple[Path, ...]
    latest: Path | None
    """The picture to look at first: of a later visit, where there is one."""


def write(out: Path, accounts: Sequence[CaseAccount], *, isolated: bool) -> Written:
    """Write demo.json, the pictures that came back and all objects into `out`."""
    pictures: list[Path] = []
    rows = []
    for number, case in enumerate(accounts, start=1):
        mine = _pictures(case, out / "demo" / "pictures", number)
        pictures += mine
        rows.append(_row(case, out / "demo" / "dicom" / f"study-{number}", out) | {
            "images": [_image(one) for one in case.images],
            "pictures": [str(one.relative_to(out)) for one in mine],
        })  # fmt: skip
    summary = {"notice": NOTICE, "pacs_in_its_own_network_namespace": isolated, "cases": rows}
    (out / "demo.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Written(pictures=tuple(pictures), latest=_first_to_look_at(pictures, accounts))


def _first_to_look_at(pictures: Sequence[Path], accounts: Sequence[CaseAccount]) -> Path | None:
    compares = [number for number, case in enumerate(accounts, start=1) if case.since]
    preferred = [one for one in pictures for number in compares if one.name.startswith(f"study-{number}-")]
    return next(iter([*preferred, *pictures]), None)


def _pictures(case: CaseAccount, folder: Path, number: int) -> tuple[Path, ...]:
    made = []
    for index, picture in enumerate(case.pictures, start=1):
        if picture.document is None:
            continue
        file = folder / f"study-{number}-picture-{index}.png"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(picture.document.pixel_array, np.uint8)).save(file)
        made.append(file)
    return tuple(made)


def _image(image: ImageAccount) -> dict[str, object]:
    return {
        "sop_instance_uid": image.sop_instance_uid,
        "kind": image.kind,
        "calls": [asdict(one) | {"is_positive": one.is_positive} for one in image.calls],
        "areas": [asdict(one) for one in image.areas],
        "not_analysed": list(image.refusals),
    }


def _row(case: CaseAccount, folder: Path, out: Path) -> dict[str, object]:
    results = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(case.study.files, start=1):
        (folder / f"image-{number}.dcm").write_bytes(data)
    for number, one in enumerate(case.results, start=1):
        file = folder / f"{one.form}-{number}.dcm"
        if one.file is not None:
            file.write_bytes(one.file)
        results.append({
            "form": one.form,
            "series": one.series,
            "sop_class_uid": one.sop_class_uid,
            "sop_instance_uid": one.sop_instance_uid,
            "fetched_back_from_the_pacs": one.file is not None,
            "file": str(file.relative_to(out)) if one.file is not None else None,
        })  # fmt: skip
    return {
        "title": case.study.title,
        "synthetic": case.study.synthetic,
        "study_instance_uid": case.study.study_uid,
        "case": case.case_id,
        "state": case.state,
        "reason": case.reason,
        "proven_by": list(case.proof),
        "left_out": list(case.left_out),
        "since_an_earlier_visit": list(case.since),
        "the_pacs_holds": dict(case.holds),
        "results": results,
        "shortcomings": list(shortcomings(case)),
    }
