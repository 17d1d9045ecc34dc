"""The objects before tools that others wrote: dciodvfy, dcentvfy, dsrdump, tid1500reader, highdicom.

Complaints that are false stand in lists, each with its reason; any other fails.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose

FALSE_ERRORS = {
    # the tool of 2022 does not know 77.1.8 as a class of multi-frame images, so it forbids naming a frame
    "Shall not be present for Referenced SOP Class that is not multi-frame",
}
FALSE_DSRDUMP = {
    # DCMTK 3.6.7 cannot check the characters of UTF-8 values; nothing is wrong with them
    "W: The VR checker does not support this Specific Character Set: ISO_IR 192",
}
SOURCES: dict[str, dict[str, Any]] = {
    "dermoscopic": {},
    "dermoscopic, calibrated, foreign name, with site and lesion": {"attributes": {
        "SpecificCharacterSet": "ISO_IR 144", "PatientName": "Люксембург", "PatientID": "K-9", "PixelSpacing": [0.02, 0.02],
        "PixelSpacingCalibrationType": "FIDUCIAL", "PixelSpacingCalibrationDescription": "ruler", "TrackingUID": "1.2.3.4.5",
        "TrackingID": "mole 7", "site": "back",
    }},
    "photographic": {"sop_class": "1.2.840.10008.5.1.4.1.1.77.1.4"},
    "capture, grey": {"sop_class": "1.2.840.10008.5.1.4.1.1.7", "grey": True},
    "multi-frame capture": {"sop_class": "1.2.840.10008.5.1.4.1.1.7.4", "frames": 2},
    "confocal with geometry": {"sop_class": "1.2.840.10008.5.1.4.1.1.77.1.8", "grey": True},
    "confocal, several frames": {"sop_class": "1.2.840.10008.5.1.4.1.1.77.1.8", "grey": True, "frames": 2},
}  # fmt: skip


class Study:
    """A source with its results as files."""

    def __init__(self, kit: Any, name: str, folder: Path) -> None:
        values = dict(SOURCES[name])
        attributes = dict(values.pop("attributes", kit.BASIC))
        if attributes.pop("site", None):
            attributes |= kit.skin_of_back()
        self.source = kit.Source(**values, attributes=attributes)
        self.case = kit.whole_case([self.source])
        self.sources = {self.source.uid: self.source.part10}
        self.identity, self.edition = kit.identity(), kit.edition()
        self.objects = compose(self.case, self.sources, self.identity, self.edition, {})
        self.folder = folder
        for one in self.objects:
            (folder / f"{one.sop_instance_uid}.dcm").write_bytes(one.data)
        self.source_file = folder / "source.dcm"
        self.source_file.write_bytes(self.sources[self.source.uid])

    def file(self, one: Composed) -> Path:
        return self.folder / f"{one.sop_instance_uid}.dcm"

    def of(self, form: Form) -> list[Composed]:
        return [one for one in self.objects if one.form is form]


@pytest.fixture(scope="module", params=list(SOURCES))
def study(request: pytest.FixtureRequest, kit: Any, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(kit, request.param, tmp_path_factory.mktemp("study"))


def told_by(program: str, *arguments: str | Path) -> str:
    path = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    if path is None:
        pytest.skip(f"{program} is not installed (apt-get install dicom3tools dcmtk, pip install dcmqi)")
    done = subprocess.run([path, *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False)
    return done.stdout + done.stderr


def test_our_own_check_passes(study: Study) -> None:
    check(study.objects, study.case, study.sources, study.identity, study.edition, {})


def test_dciodvfy_reports_no_error(study: Study) -> None:
    for one in study.objects:
        said = told_by("dciodvfy", "-new", study.file(one)).splitlines()
        errors = [line for line in said if line.startswith("Error") and not any(false in line for false in FALSE_ERRORS)]
        assert errors == []


def test_dcentvfy_finds_one_patient_and_study(study: Study) -> None:
    # the tool of 2022 does not know the confocal class, and it compares bytes, not characters, of a name in another
    # character set; there only our objects are compared with one another (our own check compares with the source)
    alone = study.source.sop_class.endswith("77.1.8") or "SpecificCharacterSet" in study.source.attributes
    source = [] if alone else [study.source_file]
    said = told_by("dcentvfy", *(study.file(one) for one in study.objects), *source).splitlines()
    # the tool counts Accession Number to the series of an image and to the study of a report
    assert [line for line in said if line.strip() and "Element=<AccessionNumber> IE" not in line] == []


def test_dsrdump_has_nothing_to_say(study: Study) -> None:
    for one in study.of(Form.OVERLAY_SR) + study.of(Form.REPORT_SR):
        # DCMTK 3.6.7 does not know the class of confocal images and stops at it, so it is shown one that it knows
        shown = study.folder / "shown.dcm"
        shown.write_bytes(one.data.replace(b"5.1.4.1.1.77.1.8", b"5.1.4.1.1.77.1.4"))
        said = told_by("dsrdump", shown).splitlines()
        assert {line for line in said if re.match(r"[EWF]: ", line)} <= FALSE_DSRDUMP


def test_tid1500reader_gives_the_numbers_back(study: Study) -> None:
    (report,) = study.of(Form.REPORT_SR)
    out = study.folder / "report.json"
    told_by("tid1500reader", "--inputDICOM", study.file(report), "--outputMetadata", out)
    groups = json.loads(out.read_text())["Measurements"]
    told = [
        (group["Finding"]["CodeMeaning"], item["quantity"]["CodeMeaning"], float(item["value"]), item["units"]["CodeValue"])
        for group in groups for item in group["measurementItems"]
    ]  # fmt: skip
    area = np.count_nonzero(study.source.mask)
    unit, factor = {"confocal": ("mm2", 2e-6), "dermoscopic, calibrated": ("mm2", 4e-4)}.get(kind_of(study), ("{pixels}", 1))
    for frame in range(study.source.frames):
        own = told[8 * frame :]
        assert own[:4] == [
            ("Melanoma", "Probability", 0.873123, "1"), ("Melanoma", "Threshold Value", 0.5, "1"),
            ("Melanoma", "Certainty of Finding", 87.3123, "%"), ("Melanocytic nevus", "Probability", 0.126877, "1"),
        ]  # fmt: skip
        assert own[4][:2] == ("Skin lesion", "Area")
        assert own[4][2] == pytest.approx(area * factor, rel=1e-5)
        assert own[4][3] == unit
        assert [one[:2] for one in own[5:7]] == [("Skin lesion", "Diameter"), ("Skin lesion", "Perimeter")]
        assert own[7][:2] == ("Skin lesion", "Share of the image")
        assert own[7][2] == pytest.approx(100 * area / study.source.mask.size, rel=1e-5)
    names = {group["measurementAlgorithmIdentification"]["AlgorithmName"] for group in groups}
    assert names == {"melanoma_nevus_alexnet", "skin_lesion_deeplabv3plus"}


def kind_of(study: Study) -> str:
    if study.source.sop_class.endswith("77.1.8"):
        return "confocal"
    return "dermoscopic, calibrated" if "PixelSpacing" in study.source.attributes else "plain"


def test_highdicom_reads_groups_and_masks_back(study: Study) -> None:
    (report,) = study.of(Form.REPORT_SR)
    content: Any = highdicom.sr.srread(study.file(report)).content
    assert len(content.get_image_measurement_groups()) == 2 * study.source.frames
    assert len(content.get_planar_roi_measurement_groups()) == study.source.frames
    for one in study.of(Form.SEG):
        pixels = highdicom.seg.segread(study.file(one)).pixel_array.astype(bool).reshape(-1, *study.source.mask.shape)
        assert len(pixels) == study.source.frames
        assert all(np.array_equal(frame, study.source.mask) for frame in pixels)


def test_both_reports_together_name_everything_as_one_study(study: Study) -> None:
    seen: Mapping[str, int] = {one.form: len(study.of(one.form)) for one in study.objects}
    assert seen == {Form.SEG: 1, Form.OVERLAY_SR: 1, Form.REPORT_SR: 1}
