"""Tools that others wrote, and what each of them says against a case's objects; an empty list is praise.

Complaints that are false stand in tables, each with its reason; any other counts.
"""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import UID

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import LABEL_MAP_SEGMENTATION, SEGMENTATION
from derm_pacs.results.validator import is_false
from tests.results.product.axes import CONFOCAL, Combination, Name, SopClass, Type2
from tests.results.product.told import Case

REPORTS = (Form.OVERLAY_SR, Form.REPORT_SR)
SENDERS_OWN = ("PatientName", "PatientID", "StudyDescription", "ReferringPhysicianName")
"""Attributes that our objects take over from the source as they are, right or wrong: the PACS files by them."""
ILLEGAL_NAMES = (Name.BACKSLASH, Name.CARETS, Name.LONG, Name.CONTROL)
FALSE_DSRDUMP = (
    # DCMTK 3.6.7 cannot check the characters of UTF-8 values; nothing is wrong with them
    "The VR checker does not support this Specific Character Set: ISO_IR 192",
)


class Tools:
    """The programs, and a folder in which they find a case's objects as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def told_by(self, program: str, *arguments: str | Path) -> str:
        """Run a program and return what it says, errors included; skip where it is not installed."""
        path = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
        if path is None:
            pytest.skip(f"{program} is not installed (apt-get install dicom3tools dcmtk, pip install dcmqi)")
        done = subprocess.run([path, *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False)
        return done.stdout + done.stderr

    def file(self, one: Composed) -> Path:
        """Return the object as a file."""
        path = self.folder / f"{one.sop_instance_uid}.dcm"
        path.write_bytes(one.data)
        return path


def dciodvfy(case: Case, tools: Tools) -> Iterator[str]:
    """Yield the errors of each object against its IOD; the false ones stand in `results/validator.py`."""
    for one in case.objects:
        for line in tools.told_by("dciodvfy", "-new", tools.file(one)).splitlines():
            if line.startswith("Error") and not _is_false_error(line, one, case.combination):
                yield f"dciodvfy, {one.form}: {line}"


def _is_false_error(line: str, one: Composed, combination: Combination) -> bool:
    if any(line.startswith(f"Error - </{keyword}(") for keyword in SENDERS_OWN):
        return combination.name in ILLEGAL_NAMES
    return is_false(line, one.sop_class_uid)


def dcentvfy(case: Case, tools: Tools) -> Iterator[str]:
    """Yield what contradicts that source and objects are of one patient, study, series and equipment."""
    said = tools.told_by("dcentvfy", _as_the_tool_reads_it(case, tools), *_known(case, tools))
    for line in said.splitlines():
        if line.strip() and not _is_false_contradiction(line, case.combination):
            yield f"dcentvfy: {line}"


def _as_the_tool_reads_it(case: Case, tools: Tools) -> Path:
    """Return the source in UTF-8, because the tool compares bytes, and of a class that the tool of 2022 knows."""
    source = pydicom.dcmread(io.BytesIO(case.source), stop_before_pixels=True)
    source.decode()
    source.SpecificCharacterSet = "ISO_IR 192"
    if case.combination.sop_class in CONFOCAL:
        source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = UID(SopClass.PHOTOGRAPHIC.value)
    path = tools.folder / "source.dcm"
    pydicom.dcmwrite(path, source)
    return path


def _known(case: Case, tools: Tools) -> Iterator[Path]:
    """Yield the objects; a label map, whose class the tool does not know, as a segmentation."""
    for one in case.objects:
        path = tools.file(one)
        if one.sop_class_uid == LABEL_MAP_SEGMENTATION:
            path = tools.folder / f"shown-{one.sop_instance_uid}.dcm"
            path.write_bytes(one.data.replace(LABEL_MAP_SEGMENTATION.encode(), SEGMENTATION.encode()))
        yield path


def _is_false_contradiction(line: str, combination: Combination) -> bool:
    if "Different information entities for attribute" in line and "Element=<AccessionNumber>" in line:
        return True  # the tool counts it to the series of an image and to the study of a report
    if "present in one instance but not the other" not in line:
        return False
    # Patient Comments are not taken over: nobody knows what they hold. Absent type 2 attributes become empty ones.
    return "Element=<PatientComments>" in line or combination.type2 is Type2.MISSING


def dsrdump(case: Case, tools: Tools) -> Iterator[str]:
    """Yield DCMTK's errors and warnings of both reports."""
    for one in case.of(*REPORTS):
        shown = tools.folder / "shown.dcm"
        shown.write_bytes(_of_a_class_that_dcmtk_knows(one.data))
        for line in tools.told_by("dsrdump", shown).splitlines():
            if re.match(r"[EWF]: ", line) and not _is_false_warning(line, case.combination):
                yield f"dsrdump, {one.form}: {line}"


def _of_a_class_that_dcmtk_knows(data: bytes) -> bytes:
    """DCMTK 3.6.7 knows neither the confocal classes nor label maps, and stops at them."""
    for unknown, known in (("77.1.8", "77.1.4"), ("77.1.9", "77.1.4"), ("66.7", "66.4")):
        data = data.replace(f"5.1.4.1.1.{unknown}".encode(), f"5.1.4.1.1.{known}".encode())
    return data


def _is_false_warning(line: str, combination: Combination) -> bool:
    if any(one in line for one in FALSE_DSRDUMP):
        return True
    return combination.name in ILLEGAL_NAMES and any(f"W: {one} (" in line for one in SENDERS_OWN)


def groups_by_tid1500reader(case: Case, tools: Tools) -> list[dict[str, Any]]:
    """Return the measurement groups of the report as dcmqi reads them."""
    (report,) = case.of(Form.REPORT_SR)
    out = tools.folder / "report.json"
    out.unlink(missing_ok=True)
    said = tools.told_by("tid1500reader", "--inputDICOM", tools.file(report), "--outputMetadata", out)
    if not out.exists():
        raise AssertionError(f"tid1500reader gives nothing back: {said[-500:]}")
    groups: list[dict[str, Any]] = json.loads(out.read_text())["Measurements"]
    return groups

