"""Three synthetic studies with results, as they reach a viewer: a dermoscopic, a clinical and a confocal picture.

Pictures and figures are invented; the outlines lie where the drawings are dark or bright.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
from PIL import Image
from pydicom import Dataset
from skimage import filters, measure

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.findings import (
    CaseFindings,
    Classification,
    ClassProbability,
    FrameFinding,
    Mask,
    Saliency,
    Segmentation,
)
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.domain.study import SpoolPlace, StoredInstance
from derm_pacs.inference.previews import previews
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose
from derm_pacs.samples import draw
from derm_pacs.samples.draw import Picture
from derm_pacs.samples.wrap import Code, Kind, Label, part10, wrap_bytes
from tests.results.conftest import CLASSIFIER, SEGMENTER, identity

CONFOCAL_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.8"
EVERYTHING = Edition(forms=frozenset(Form) - {Form.MESSAGE})
_AT = datetime(2026, 11, 20, 9, 30, tzinfo=timezone(timedelta(hours=1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture to be drawn, and what is said of it."""

    name: str
    kind: Kind
    draw: Callable[[], Picture]
    bright: bool
    """Whether the region of interest is brighter than the rest, not darker."""
    reach: float
    """How far from the middle it may lie, 1 to the middle of each side."""
    melanoma: float
    site: Code
    laterality: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study with its results."""

    name: str
    study_uid: str
    source: bytes
    composed: tuple[Composed, ...]


SAMPLES = (
    Sample(
        name="dermoscopy", kind=Kind.DERMOSCOPIC, draw=lambda: draw.dermoscopic(9, draw.IRREGULAR, hairs=2), bright=False,
        reach=0.85, melanoma=0.8213, site=Code(value="66643007", scheme="SCT", meaning="Skin of back"),
    ),
    Sample(
        name="clinical", kind=Kind.CLINICAL, draw=lambda: draw.clinical(3, draw.IRREGULAR), bright=False,
        reach=0.25, melanoma=0.3127, site=Code(value="371311000", scheme="SCT", meaning="Skin of upper extremity"), laterality="L",
    ),
    Sample(
        name="confocal", kind=Kind.CONFOCAL, draw=lambda: draw.confocal(4), bright=True,
        reach=0.6, melanoma=0.6402, site=Code(value="73897004", scheme="SCT", meaning="Skin of face"), laterality="R",
    ),
)  # fmt: skip


def make(sample: Sample, edition: Edition = EVERYTHING) -> Study:
    """Draw, wrap, say and compose; what is composed has passed its check."""
    picture = sample.draw()
    source = _source(sample, picture)
    shown = dict(previews(part10(source), max_pixels=10**7, max_frames=1))
    outline = region(picture, bright=sample.bright, reach=sample.reach)
    image = _stored(source)
    findings = [
        FrameFinding(bundle_hash=run.bundle.content_hash, image=image, frame=1, outcomes=(outcome,))
        for run, outcome in (
            (SEGMENTER, Segmentation(output="lesion", concept="skin_lesion", threshold=0.5, mask=outline)),
            (CLASSIFIER, _diagnosis(sample.melanoma, outline)),
        )
    ]
    case = CaseFindings(runs=(SEGMENTER, CLASSIFIER), findings=tuple(findings))
    told = ({image.sop_instance_uid: part10(source)}, identity(), edition, {(image.sop_instance_uid, 1): shown[1]})
    composed = compose(case, *told)
    check(composed, case, *told)
    return Study(name=sample.name, study_uid=str(source.StudyInstanceUID), source=part10(source), composed=composed)


def region(picture: Picture, *, bright: bool, reach: float) -> Mask:
    """Return the largest region about the middle that is darker, or brighter, than what lies around it.

    `reach` is the part of the picture that is looked at, 1 to the middle of each side.
    """
    grey = picture.astype(float) if picture.ndim == 2 else picture @ np.array((0.299, 0.587, 0.114))
    blur = max(grey.shape) / (40 if bright else 150)
    smooth = np.asarray(filters.gaussian(-grey if bright else grey, blur))  # type: ignore[no-untyped-call]
    rows, columns = grey.shape
    middle = np.hypot(*np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))) < reach
    level = filters.threshold_otsu(smooth[middle])  # type: ignore[no-untyped-call]
    inside = _largest(middle & (smooth < level))
    return ~_largest(~inside)  # without holes


def _largest(mask: Mask) -> Mask:
    labels = np.asarray(measure.label(mask, connectivity=1))  # type: ignore[no-untyped-call]
    return np.asarray(labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1)


def _source(sample: Sample, picture: Picture) -> Dataset:
    with io.BytesIO() as buffer:
        Image.fromarray(picture).save(buffer, "PNG")
        data = buffer.getvalue()
    label = Label(
        patient_id=f"SYNTHETIC-{sample.name.upper()}", patient_name=f"SYNTHETIC^{sample.name.upper()}",
        study_uid=derived_uid(["viewer study", sample.name]), study_description="SYNTHETIC, drawn by a program",
        series_description=f"SYNTHETIC {sample.name}", at=_AT, site=sample.site, laterality=sample.laterality, synthetic=True,
    )  # fmt: skip
    source = wrap_bytes(data, sample.kind, label)
    if sample.kind is Kind.CONFOCAL:
        _make_confocal(source)
    return source


def _make_confocal(source: Dataset) -> None:
    """Turn the capture into an image of the confocal class, with the size of its pixels (PS3.3 A.90)."""
    del source.ConversionType
    source.SOPClassUID = CONFOCAL_CLASS
    source.NumberOfFrames = 1
    source.FrameOfReferenceUID, source.PositionReferenceIndicator = derived_uid(["viewer frame of reference"]), ""
    source.AcquisitionContextSequence = []
    measures, orientation, position, shared, own = (Dataset() for _ in range(5))
    measures.PixelSpacing, measures.SliceThickness = [0.0005, 0.0005], 0.005
    orientation.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    position.ImagePositionPatient = [0.0, 0.0, 0.0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    own.PlanePositionSequence = [position]
    source.SharedFunctionalGroupsSequence, source.PerFrameFunctionalGroupsSequence = [shared], [own]


def _stored(source: Dataset) -> StoredInstance:
    return StoredInstance(
        sop_class_uid=str(source.SOPClassUID), sop_instance_uid=str(source.SOPInstanceUID),
        series_instance_uid=str(source.SeriesInstanceUID), study_instance_uid=str(source.StudyInstanceUID),
        transfer_syntax_uid=str(source.file_meta.TransferSyntaxUID), sha256="1" * 64, pixel_sha256=None,
        place=SpoolPlace(listener="listener-0", segment=1, offset=0, length=1),
    )  # fmt: skip


def _diagnosis(melanoma: float, outline: Mask) -> Classification:
    """Return the probabilities with a saliency that is strongest inside the outline."""
    heat = filters.gaussian(outline.astype(float), max(outline.shape) / 25)  # type: ignore[no-untyped-call]
    step = max(outline.shape) // 48
    grid = np.asarray(np.rint(255 * heat[step // 2 :: step, step // 2 :: step] / heat.max()), np.uint8)
    return Classification(
        output="diagnosis",
        probabilities=(
            ClassProbability(class_id="melanoma", concept="melanoma", probability=melanoma),
            ClassProbability(class_id="nevus", concept="melanocytic_nevus", probability=1 - melanoma),
        ),
        saliency=Saliency(method="grad_cam", class_id="melanoma", grid=grid),
    )
