"""Synthetic sources of the classes that we analyse, and findings about them; all drawn here, none a person's."""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from derm_pacs.domain.composed import Composed, Form, Identity, Reference
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.findings import (
    BundleIdentity,
    CaseFindings,
    Classification,
    ClassProbability,
    FrameFinding,
    Grade,
    Mask,
    OperatingPoint,
    Outcome,
    Run,
    RunRole,
    Segmentation,
)
from derm_pacs.domain.study import SpoolPlace, StoredInstance
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose

ROOT = "1.2.840.10008.5.1.4.1.1."
DERMOSCOPIC, PHOTOGRAPHIC, CONFOCAL = ROOT + "77.1.7", ROOT + "77.1.4", ROOT + "77.1.8"
CAPTURE, MULTI_FRAME_CAPTURE = ROOT + "7", ROOT + "7.4"
MODALITIES = {DERMOSCOPIC: "DMS", PHOTOGRAPHIC: "XC", CONFOCAL: "CFM", CAPTURE: "OT", MULTI_FRAME_CAPTURE: "OT"}
STUDY = "1.2.826.0.1.3680043.10.999.1"
BASIC = {"PatientName": "Muster^Erika", "PatientID": "P-1"}


def lesion_mask(rows: int, columns: int) -> Mask:
    """An ellipse with a ragged edge in the middle of the picture."""
    row, column = np.mgrid[:rows, :columns]
    angle = np.arctan2(row - 0.5 * rows, column - 0.45 * columns)
    radius = np.hypot((row - 0.5 * rows) / (0.28 * rows), (column - 0.45 * columns) / (0.24 * columns))
    inside: Mask = radius < 1 + 0.08 * np.sin(7 * angle)
    return inside


def picture(mask: Mask, *, grey: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Skin with a brown lesion and grain, (rows, columns[, 3])."""
    grain = np.random.default_rng(7).normal(0, 6, mask.shape)
    skin, brown = np.array([224, 178, 158.0]), np.array([112, 70, 52.0])
    colours = np.where(mask[..., None], brown, skin) + grain[..., None]
    pixels = np.clip(colours, 0, 255).astype(np.uint8)
    return pixels[..., 1] if grey else pixels


@dataclass
class Source:
    """A synthetic source: `part10` are its bytes."""

    sop_class: str = DERMOSCOPIC
    number: int = 1
    rows: int = 60
    columns: int = 80
    frames: int = 1
    grey: bool = False
    attributes: dict[str, Any] = field(default_factory=lambda: dict(BASIC))
    study: str = STUDY
    date: str = "20261120"

    @property
    def uid(self) -> str:
        return f"{self.study}.7.{self.number}"

    @property
    def mask(self) -> Mask:
        return lesion_mask(self.rows, self.columns)

    @property
    def stored(self) -> StoredInstance:
        return StoredInstance(
            sop_class_uid=self.sop_class, sop_instance_uid=self.uid, series_instance_uid=f"{self.study}.5",
            study_instance_uid=self.study, transfer_syntax_uid=ExplicitVRLittleEndian, sha256=f"{self.number:064x}",
            pixel_sha256=None, place=SpoolPlace(listener="listener-0", segment=1, offset=0, length=1),
        )

    def dataset(self) -> Dataset:
        """The image as a data set, minimal but legal for its class."""
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SpecificCharacterSet = "ISO_IR 192"
        image.SOPClassUID, image.SOPInstanceUID = self.sop_class, self.uid
        image.StudyInstanceUID, image.SeriesInstanceUID = self.study, f"{self.study}.5"
        image.Modality = MODALITIES[self.sop_class]
        image.SeriesNumber, image.InstanceNumber = 1, self.number
        image.StudyDate, image.StudyTime = self.date, "093000"
        image.PatientBirthDate, image.PatientSex = "19700101", "F"
        image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "S1", "A1", "Doctor^Some"
        image.Manufacturer, image.SeriesDescription = "Drawn", "SYNTHETIC dermoscopy"
        image.ImageType = ["ORIGINAL", "PRIMARY"]
        image.LossyImageCompression = "00"
        image.SamplesPerPixel = 1 if self.grey else 3
        image.PhotometricInterpretation = "MONOCHROME2" if self.grey else "RGB"
        if not self.grey:
            image.PlanarConfiguration = 0
        image.Rows, image.Columns = self.rows, self.columns
        image.BitsAllocated = image.BitsStored = 8
        image.HighBit, image.PixelRepresentation = 7, 0
        if self.frames > 1 or self.sop_class in (CONFOCAL, MULTI_FRAME_CAPTURE):
            image.NumberOfFrames = self.frames
        if self.sop_class == CONFOCAL:
            _add_geometry(image)
        for keyword, value in self.attributes.items():
            setattr(image, keyword, value)
        image.PixelData = picture(self.mask, grey=self.grey).tobytes() * self.frames
        return image

    @property
    def part10(self) -> bytes:
        with io.BytesIO() as buffer:
            pydicom.dcmwrite(buffer, self.dataset(), enforce_file_format=True)
            return buffer.getvalue()

    def finding(self, bundle_hash: str, outcomes: Sequence[Outcome], frame: int = 1) -> FrameFinding:
        return FrameFinding(bundle_hash=bundle_hash, image=self.stored, frame=frame, outcomes=tuple(outcomes))


def _add_geometry(image: Dataset) -> None:
    image.FrameOfReferenceUID = f"{STUDY}.9"
    image.PositionReferenceIndicator = ""
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.002, 0.001], 0.005
    orientation.ImageOrientationPatient = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    image.SharedFunctionalGroupsSequence = [shared]


SEGMENTER = Run(
    bundle=BundleIdentity(
        name="skin_lesion_deeplabv3plus", version="1.0.0", content_hash="a" * 64, title="Lesion outline", grade=Grade.RESEARCH
    ),
    role=RunRole.ACTIVE,
    operating_points=(),
)
CLASSIFIER = Run(
    bundle=BundleIdentity(
        name="melanoma_nevus_alexnet", version="1.2.0", content_hash="b" * 64, title="Melanoma or nevus", grade=Grade.RESEARCH
    ),
    role=RunRole.ACTIVE,
    operating_points=(
        OperatingPoint(id="default", output="diagnosis", positive="melanoma", threshold=0.5, set_by="bundle author"),
    ),
)


def diagnosis(melanoma: float) -> Classification:
    """Melanoma against nevus."""
    return Classification(
        output="diagnosis",
        probabilities=(
            ClassProbability(class_id="melanoma", concept="melanoma", probability=melanoma),
            ClassProbability(class_id="nevus", concept="melanocytic_nevus", probability=1 - melanoma),
        ),
    )


def outlined(mask: Mask) -> Segmentation:
    return Segmentation(output="lesion", concept="skin_lesion", threshold=0.5, mask=mask)


def whole_case(sources: Sequence[Source], melanoma: float = 0.8731234) -> CaseFindings:
    """Every frame of every source outlined and classified."""
    findings = [
        source.finding(run.bundle.content_hash, [outcome], frame)
        for source in sources
        for frame in range(1, source.frames + 1)
        for run, outcome in ((SEGMENTER, outlined(source.mask)), (CLASSIFIER, diagnosis(melanoma)))
    ]
    return CaseFindings(runs=(SEGMENTER, CLASSIFIER), findings=tuple(findings))


def identity(revision: int = 1, predecessors: tuple[Reference, ...] = (), **other: Any) -> Identity:
    made_at = datetime(2026, 11, 21, 9, 30, 15, 250000, tzinfo=ZoneInfo("Europe/Berlin"))
    values: dict[str, Any] = {
        "installation_uid": "2.25.1234567", "facility": "Universitätsklinikum", "revision": revision,
        "revision_hash": f"{revision:064x}", "predecessors": predecessors, "made_at": made_at,
    }
    return Identity(**(values | other))


def edition(*forms: Form, **other: Any) -> Edition:
    """The edition of these forms, without any SEG, overlay and report."""
    return Edition(forms=frozenset(forms or (Form.SEG, Form.OVERLAY_SR, Form.REPORT_SR)), **other)


def composed(case: CaseFindings, *sources: Source, **other: Any) -> tuple[Composed, ...]:
    """What is made of a case; `other` are arguments of `compose` that are not as usual."""
    return compose(case, parts(*sources), **(_usual() | other))


def checked(objects: Sequence[Composed], case: CaseFindings, *sources: Source, **other: Any) -> None:
    """The last look at what was made with the same `other`."""
    check(objects, case, parts(*sources), **(_usual() | other))


def parts(*sources: Source) -> dict[str, bytes]:
    """The bytes of the sources."""
    return {one.uid: one.part10 for one in sources}


def _usual() -> dict[str, Any]:
    return {"identity": identity(), "edition": edition(), "previews": {}}


@pytest.fixture(scope="session")
def kit() -> ModuleType:
    """All of the above, for tests beside this file."""
    return sys.modules[__name__]


def skin_of_back(side: str = "7771000") -> dict[str, Any]:
    """Attributes of an image of the left side of the back."""
    region, modifier = Dataset(), Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "66643007", "SCT", "Skin of back"
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = side, "SCT", "Left"
    region.AnatomicRegionModifierSequence = [modifier]
    return {"AnatomicRegionSequence": [region]}
