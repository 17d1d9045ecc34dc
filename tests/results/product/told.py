"""What is said of a source: its frames are decoded as the product does, the findings are invented."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form, Identity
from derm_pacs.domain.findings import (
    BundleIdentity,
    CaseFindings,
    Classification,
    ClassProbability,
    Combine,
    FrameFinding,
    Grade,
    LesionRule,
    Mask,
    OperatingPoint,
    Outcome,
    Preview,
    Refusal,
    Run,
    RunRole,
    Saliency,
    Segmentation,
)
from derm_pacs.domain.reasons import POOR_QUALITY_BLUR
from derm_pacs.domain.study import SpoolPlace, StoredInstance
from derm_pacs.inference import pixels as decoder
from derm_pacs.inference.previews import preview
from derm_pacs.results.compose import compose
from tests.results.conftest import identity
from tests.results.product import sources
from tests.results.product.axes import Combination, Name, Told
from tests.results.product.pixels import lesion

CLASSES = ("melanoma", "melanocytic_nevus", "basal_cell_carcinoma")
PROBABILITIES = (0.6181234, 0.3818766, 0.0)

SEGMENTER = Run(
    bundle=BundleIdentity(
        name="skin_lesion_outline", version="1.0.0", content_hash="a" * 64, title="Lesion and skin", grade=Grade.RESEARCH
    ),
    role=RunRole.ACTIVE,
    operating_points=(),
)
CLASSIFIER = Run(
    bundle=BundleIdentity(
        name="three_classes", version="1.2.0", content_hash="b" * 64, title="Three classes", grade=Grade.RESEARCH
    ),
    role=RunRole.ACTIVE,
    operating_points=(
        OperatingPoint(id="default", output="diagnosis", positive="melanoma", threshold=0.5, set_by="bundle author"),
    ),
    lesion_rules=(LesionRule(output="diagnosis", combine=Combine.MEAN),),
)

Said = list[tuple[Run, tuple[Outcome, ...]]]
"""What each run says of a frame."""
Say = Callable[[Mask], Said]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A combination with its source, its findings and what is composed of them."""

    combination: Combination
    source: bytes
    findings: CaseFindings
    previews: dict[tuple[str, int], Preview]
    identity: Identity
    composed: tuple[Composed, ...]

    @property
    def uid(self) -> str:
        """SOP Instance UID of the source."""
        return sources.uid("image", self.combination)

    @property
    def sources(self) -> dict[str, bytes]:
        """What compose and check take."""
        return {self.uid: self.source}

    @property
    def objects(self) -> list[Composed]:
        """What is composed but the message, which is no DICOM object."""
        return [one for one in self.composed if one.form is not Form.MESSAGE]

    def of(self, *forms: Form) -> list[Composed]:
        """Return the composed objects of these forms."""
        return [one for one in self.composed if one.form in forms]


def case(combination: Combination, say: Say | None = None) -> Case:
    """Make the source of a combination, decode it, invent findings and compose the full edition.

    `say` gives what is said of a frame with this lesion in it; by itself what the combination's `told` names.
    """
    say = say or partial(_say, combination.told)
    source, image = sources.part10(combination), sources.dataset(combination)
    uid = str(image.SOPInstanceUID)
    findings: list[FrameFinding] = []
    previews: dict[tuple[str, int], Preview] = {}
    for frame in decoder.frames(source, max_pixels=10**6, max_frames=10):
        if isinstance(frame, decoder.Undecoded):
            raise AssertionError(f"{combination}: {frame.refusal.detail}")
        previews[uid, frame.number] = preview(frame.pixels)
        findings += [
            FrameFinding(bundle_hash=run.bundle.content_hash, image=_stored(image), frame=frame.number, outcomes=outcomes)
            for run, outcomes in say(lesion(frame.pixels.shape[0], frame.pixels.shape[1], frame.number))
        ]
    told = CaseFindings(runs=(SEGMENTER, CLASSIFIER), findings=tuple(findings))
    # a hospital with a foreign name, too, where the patient has one
    foreign: dict[str, Any] = {"facility": "都立皮膚科病院"} if combination.name is Name.JAPANESE else {}
    called = identity(**foreign)
    composed = compose(told, {uid: source}, called, combination.answer.edition, previews)
    return Case(
        combination=combination, source=source, findings=told, previews=previews, identity=called, composed=composed
    )


def _stored(image: Dataset) -> StoredInstance:
    """Return the source as the spool names it."""
    return StoredInstance(
        sop_class_uid=str(image.SOPClassUID), sop_instance_uid=str(image.SOPInstanceUID),
        series_instance_uid=str(image.SeriesInstanceUID), study_instance_uid=str(image.StudyInstanceUID),
        transfer_syntax_uid=str(image.file_meta.TransferSyntaxUID), sha256="1" * 64, pixel_sha256=None,
        place=SpoolPlace(listener="listener-0", segment=1, offset=0, length=1),
    )  # fmt: skip


def probabilities(values: tuple[float, ...], classes: tuple[str, ...] = CLASSES) -> Classification:
    """Return a classification with these probabilities and a saliency that rises from left to right."""
    grid = np.tile(np.linspace(0, 255, 16).astype(np.uint8), (12, 1))
    return Classification(
        output="diagnosis",
        probabilities=tuple(
            ClassProbability(class_id=name, concept=name, probability=value)
            for name, value in zip(classes, values, strict=True)
        ),
        saliency=Saliency(method="grad_cam", class_id=classes[0], grid=grid),
    )


def region(concept: str, mask: Mask) -> Segmentation:
    """Return a segmented region."""
    return Segmentation(output=concept, concept=concept, threshold=0.5, mask=mask)


def _say(told: Told, mask: Mask) -> Said:
    match told:
        case Told.EVERYTHING:
            regions: tuple[Outcome, ...] = (region("skin_lesion", mask), region("skin", np.ones_like(mask)))
            return [(SEGMENTER, regions), (CLASSIFIER, (probabilities(PROBABILITIES),))]
        case Told.NOTHING_FOUND:
            return [
                (SEGMENTER, (region("skin_lesion", np.zeros_like(mask)),)), (CLASSIFIER, (probabilities(PROBABILITIES),)),
            ]
        case Told.MASK_ALONE:
            return [(SEGMENTER, (region("skin_lesion", mask),))]
        case Told.REFUSED:
            return [(CLASSIFIER, (Refusal(reason=POOR_QUALITY_BLUR.code, detail="sharpness 3.1, at least 20"),))]
