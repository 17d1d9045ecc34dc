"""Findings in the order in which they are told: image by image, frame by frame, bundle by bundle, lesions numbered."""

from collections.abc import Mapping
from dataclasses import dataclass

from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import (
    CaseFindings,
    Classification,
    FrameFinding,
    Grade,
    OperatingPoint,
    Outcome,
    Refusal,
    Run,
    RunRole,
    Segmentation,
)
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.results.measure import Measures, measure
from derm_pacs.results.source import SourceImage

SKIN = "skin"
"""Concept of the one region that is not a lesion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One lesion of the study, under the name that it has in all our objects."""

    number: int
    tracking_uid: str
    """The image's own tracking UID, else derived from installation, study and image."""
    tracking_id: str
    """The image's own tracking identifier, else the label."""

    @property
    def label(self) -> str:
        """Our own short name; an overlay's identifier is never the image's (viewers react to some prefixes)."""
        return f"Lesion {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """One segmented region of a frame with its figures."""

    run: Run
    segmentation: Segmentation
    measures: Measures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classified:
    """One classification of a frame with the operating points that hold for it."""

    run: Run
    classification: Classification
    points: tuple[OperatingPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refused:
    """One refusal of a frame; no run where none was ever started."""

    run: Run | None
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """All that is said of one frame of one image."""

    image: SourceImage
    number: int
    """1-based."""
    lesion: Lesion
    classified: tuple[Classified, ...]
    regions: tuple[Region, ...]
    refused: tuple[Refused, ...]

    def tracking(self, region: Region) -> tuple[str, str]:
        """Return tracking UID and identifier of a region; skin is not the lesion and has its own."""
        concept = region.segmentation.concept
        if concept == SKIN:
            return derived_uid(["region", concept, self.lesion.tracking_uid]), f"Skin around {self.lesion.tracking_id}"
        return self.lesion.tracking_uid, self.lesion.tracking_id

    @property
    def found(self) -> tuple[Region, ...]:
        """The regions in which something was found; segment n of the frame's SEG is the n-th of them."""
        return tuple(region for region in self.regions if region.measures.pixels)

    @property
    def reference(self) -> list[int] | None:
        """The frame's number for a reference, None for a single-frame image."""
        return [self.number] if self.image.frames > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrangement:
    """A revision's findings, told in order."""

    frames: tuple[Frame, ...]
    runs: tuple[Run, ...]
    """The active runs, by bundle name and version."""

    @property
    def images(self) -> tuple[SourceImage, ...]:
        """The images in order, each once."""
        return tuple({frame.image.uid: frame.image for frame in self.frames}.values())

    @property
    def synthetic(self) -> bool:
        """Whether a source image says that it is synthetic."""
        return any(image.synthetic for image in self.images)

    @property
    def demonstration(self) -> bool:
        """Whether a bundle of demonstration grade took part."""
        return any(run.bundle.grade is Grade.DEMONSTRATION for run in self.runs)


def arrange(case: CaseFindings, images: Mapping[str, SourceImage], installation_uid: str) -> Arrangement:
    """Order the findings of active runs; the order in which they are given does not matter.

    Raises `Defect` where there are none, where one names no run though it analysed, where a mask is not of its image's
    size, or where the images are not of one study.
    """
    runs = {run.bundle.content_hash: run for run in case.runs}
    kept = [one for one in case.findings if _is_told(one, runs)]
    if not kept:
        raise Defect(RESULT_INVALID, "no finding of an active run, so there is nothing to say")
    if len({image.study_uid for image in images.values()}) > 1:
        raise Defect(RESULT_INVALID, "the source images are of more than one study")
    by_frame: dict[tuple[str, int], list[FrameFinding]] = {}
    for one in kept:
        by_frame.setdefault((one.image.sop_instance_uid, one.frame), []).append(one)
    keys = sorted(by_frame, key=lambda key: (images[key[0]].order, key[1]))
    lesions = _lesions([images[uid] for uid, _ in keys], installation_uid)
    return Arrangement(
        frames=tuple(_frame(images[uid], number, by_frame[uid, number], runs, lesions[uid]) for uid, number in keys),
        runs=tuple(sorted((run for run in case.runs if run.role is RunRole.ACTIVE), key=_run_order)),
    )


def _is_told(finding: FrameFinding, runs: Mapping[str, Run]) -> bool:
    run = runs.get(finding.bundle_hash)
    if run is None and not all(isinstance(outcome, Refusal) for outcome in finding.outcomes):
        raise Defect(RESULT_INVALID, "a finding names no run of the case")
    return run is None or run.role is RunRole.ACTIVE


def _run_order(run: Run) -> tuple[str, str, str]:
    return (run.bundle.name, run.bundle.version, run.bundle.content_hash)


def _lesions(images: list[SourceImage], installation_uid: str) -> dict[str, Lesion]:
    """Return the lesion of each image, numbered in the order of their first image; one tracking UID is one lesion."""
    numbers: dict[str, int] = {}
    lesions: dict[str, Lesion] = {}
    for image in images:
        derived = derived_uid(["lesion", installation_uid, image.study_uid, image.uid])
        uid = image.tracking.uid if image.tracking else derived
        number = numbers.setdefault(uid, len(numbers) + 1)
        own = image.tracking.identifier if image.tracking else None
        lesions[image.uid] = Lesion(number=number, tracking_uid=uid, tracking_id=own or f"Lesion {number}")
    return lesions


def _frame(image: SourceImage, number: int, findings: list[FrameFinding], runs: Mapping[str, Run], lesion: Lesion) -> Frame:
    told = sorted(
        ((runs.get(one.bundle_hash), outcome) for one in findings for outcome in one.outcomes),
        key=lambda pair: (_run_order(pair[0]) if pair[0] else ("", "", ""), _outcome_order(pair[1])),
    )
    return Frame(
        image=image,
        number=number,
        lesion=lesion,
        classified=tuple(_classified(run, one) for run, one in told if run and isinstance(one, Classification)),
        regions=tuple(_region(run, one, image, number) for run, one in told if run and isinstance(one, Segmentation)),
        refused=tuple(Refused(run=run, refusal=one) for run, one in told if isinstance(one, Refusal)),
    )


def _outcome_order(outcome: Outcome) -> str:
    return outcome.reason if isinstance(outcome, Refusal) else outcome.output


def _classified(run: Run, classification: Classification) -> Classified:
    points = tuple(point for point in run.operating_points if point.output == classification.output)
    return Classified(run=run, classification=classification, points=tuple(sorted(points, key=lambda point: point.id)))


def _region(run: Run, segmentation: Segmentation, image: SourceImage, number: int) -> Region:
    if segmentation.mask.shape != (image.rows, image.columns):
        raise Defect(RESULT_INVALID, f"a mask of {segmentation.mask.shape} for an image of {(image.rows, image.columns)}")
    return Region(run=run, segmentation=segmentation, measures=measure(segmentation.mask, image.spacing(number)))
