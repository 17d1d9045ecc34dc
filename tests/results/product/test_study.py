"""A whole study before the validators: images of several classes, two lesions, a refusal, an odd object, two revisions."""

import re
from pathlib import Path
from typing import Any

import pytest

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.findings import CaseFindings, Refusal
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose
from derm_pacs.results.validator import is_false
from tests.results import conftest as kit
from tests.results.product.judges import FALSE_DSRDUMP, REPORTS, Tools

pytestmark = pytest.mark.server  # computes for long: each test composes whole studies

EVERYTHING = Edition(forms=frozenset(Form) - {Form.MESSAGE})


def in_series(number: int) -> dict[str, Any]:
    """Attributes of an image of a series of its own, as each modality makes one."""
    return kit.BASIC | {"SeriesInstanceUID": f"{kit.STUDY}.5.{number}", "SeriesNumber": number}


TRACKED = kit.BASIC | kit.skin_of_back() | {"TrackingUID": "1.2.3.4.5", "TrackingID": "mole 7"}
SOURCES = [
    kit.Source(attributes=TRACKED), kit.Source(number=2, rows=44, columns=52, attributes=TRACKED),
    kit.Source(number=3, sop_class=kit.PHOTOGRAPHIC, attributes=in_series(6)),
    kit.Source(number=4, sop_class=kit.MULTI_FRAME_CAPTURE, frames=2, attributes=in_series(7)),
    kit.Source(number=5, grey=True, attributes=in_series(8)),
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Composed | None]:
    """The study's files, with what was composed for the second revision; None is a source."""
    folder = tmp_path_factory.mktemp("study")
    refused = SOURCES[-1].finding(kit.CLASSIFIER.bundle.content_hash, [Refusal(reason="poor_quality_blur", detail="3.1")])
    told = kit.whole_case(SOURCES[:-1])
    case = CaseFindings(runs=told.runs, findings=(*told.findings, refused), unreadable=("1.2.3.4.99",))
    previews = {(one.uid, frame): kit.picture(one.mask, grey=False) for one in SOURCES for frame in range(1, one.frames + 1)}
    parts = {one.uid: one.part10 for one in SOURCES}
    first = compose(case, parts, kit.identity(), EVERYTHING, previews)
    identity = kit.identity(revision=2, predecessors=tuple(_reference(one) for one in first if one.form in REPORTS))
    second = compose(case, parts, identity, EVERYTHING, previews)
    check(second, case, parts, identity, EVERYTHING, previews)
    made: dict[Path, Composed | None] = {folder / f"{uid}.dcm": None for uid in parts}
    made |= {folder / f"{one.sop_instance_uid}.dcm": one for one in second}
    for path, one in made.items():
        path.write_bytes(parts[path.stem] if one is None else one.data)
    return made


def _reference(one: Composed) -> Reference:
    return Reference(
        form=one.form, sop_class_uid=one.sop_class_uid, sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid, study_instance_uid=kit.STUDY,
    )  # fmt: skip


def test_every_form_is_there(files: dict[Path, Composed | None]) -> None:
    assert {one.form for one in files.values() if one is not None} == EVERYTHING.forms


def test_dciodvfy_reports_no_error(files: dict[Path, Composed | None], tools: Tools) -> None:
    for path, one in files.items():
        said = tools.told_by("dciodvfy", "-new", path).splitlines() if one is not None else []
        assert [line for line in said if line.startswith("Error") and not is_false(line, one.sop_class_uid if one else "")] == []


def test_dcentvfy_finds_one_patient_study_and_equipment(files: dict[Path, Composed | None], tools: Tools) -> None:
    said = tools.told_by("dcentvfy", *files).splitlines()
    # the tool counts Accession Number to the series of an image and to the study of a report
    assert [line for line in said if line.strip() and "Element=<AccessionNumber> IE" not in line] == []


def test_dsrdump_has_nothing_to_say(files: dict[Path, Composed | None], tools: Tools) -> None:
    reports: list[Any] = [path for path, one in files.items() if one is not None and one.form in REPORTS]
    said = tools.told_by("dsrdump", *reports).splitlines()
    complaints = [line for line in said if re.match(r"[EWF]: ", line)]
    assert [line for line in complaints if not any(false in line for false in FALSE_DSRDUMP)] == []
