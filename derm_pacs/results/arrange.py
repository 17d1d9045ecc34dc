"""Findings in the order in which they are told: image by image, frame by frame, bundle by bundle, lesions numbered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import (
    CaseFindings,
    Classification,
    Combine,
    FrameFinding,
    Grade,
    OperatingPoint,
    Outcome,
    Rectangle,
    Refusal,
    Run,
    RunRole,
    Segmentation,
)
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.domain.visits import Grouping, LesionVisit
from derm_pacs.results.lesions import Lesion, combined, earlier, lesions, place
from derm_pacs.results.measure import Measures, measure
from derm_pacs.results.source import SourceImage

SKIN = "skin"
"""Concept of the one region that is not a lesion."""


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
    def crops(self) -> tuple[Rectangle, ...]:
        """The crops of the frame that were read or refused, in the order of reading."""
        regions = {one.classification.region for one in self.classified} | {one.refusal.region for one in self.refused}
        return tuple(sorted((one for one in regions if one is not None), key=_reading_order))

    def lesion_on(self, region: Rectangle | None) -> Lesion:
        """Return the lesion on a crop, under the name that it has: several crops of a frame show several lesions.

        Which of them is the image's own is not known, so each then has a name of its own.
        """
        if region is None or len(self.crops) == 1:
            return self.lesion
        place = (str(each) for each in _reading_order(region))
        return replace(
            self.lesion,
            tracking_uid=derived_uid(["crop", self.lesion.tracking_uid, self.image.uid, str(self.number), *place]),
            tracking_id=f"{self.lesion.tracking_id}, crop {self.crops.index(region) + 1}",
            tracked=False,
        )

    @property
    def found(self) -> tuple[Region, ...]:
        """The regions in which something was found; segment n of the frame's SEG is the n-th of them."""
        return tuple(region for region in self.regions if region.measures.pixels)

    @property
    def reference(self) -> list[int] | None:
        """The frame's number for a reference, None for a single-frame image."""
        return [self.number] if self.image.frames > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionCall:
    """What one output of one bundle says of a lesion, by the bundle's rule over the lesion's images."""

    run: Run
    classification: Classification
    """The combined probabilities; those of the frame where there is only one."""
    rule: Combine | None
    """None where one frame speaks for itself, so nothing was combined."""
    points: tuple[OperatingPoint, ...]
    frames: tuple[Frame, ...]
    """The frames that were combined, in order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionTold:
    """One lesion with all that is said of it over its images."""

    lesion: Lesion
    frames: tuple[Frame, ...]
    calls: tuple[LesionCall, ...]
    """One for each output of a bundle; none for an output whose images have no rule that combines them, or that was read on
    several crops of an image."""
    earlier: LesionVisit | None
    """The newest earlier visit of the same lesion."""

    @property
    def outlined(self) -> tuple[Region, ...]:
        """The found outlines of the lesion over its frames; skin is not the lesion."""
        return tuple(region for frame in self.frames for region in frame.found if region.segmentation.concept != SKIN)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrangement:
    """A revision's findings, told in order."""

    frames: tuple[Frame, ...]
    lesions: tuple[LesionTold, ...]
    """In the order of their numbers."""
    unreadable: tuple[str, ...]
    """SOP Instance UIDs of objects of the study that cannot be read, in order."""
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
    named = lesions((images[uid] for uid, _ in keys), installation_uid, case.grouping)
    frames = tuple(_frame(images[uid], number, by_frame[uid, number], runs, named[uid]) for uid, number in keys)
    return Arrangement(
        frames=frames,
        lesions=_lesions(frames, case.visits, case.grouping),
        unreadable=tuple(sorted(set(case.unreadable))),
        runs=tuple(sorted((run for run in case.runs if run.role is RunRole.ACTIVE), key=_run_order)),
    )


def _is_told(finding: FrameFinding, runs: Mapping[str, Run]) -> bool:
    run = runs.get(finding.bundle_hash)
    if run is None and not all(isinstance(outcome, Refusal) for outcome in finding.outcomes):
        raise Defect(RESULT_INVALID, "a finding names no run of the case")
    return run is None or run.role is RunRole.ACTIVE


def _run_order(run: Run) -> tuple[str, str, str]:
    return (run.bundle.name, run.bundle.version, run.bundle.content_hash)


def _lesions(frames: Sequence[Frame], visits: Sequence[LesionVisit], grouping: Grouping) -> tuple[LesionTold, ...]:
    by_lesion: dict[str, list[Frame]] = {}
    for frame in frames:
        by_lesion.setdefault(frame.lesion.tracking_uid, []).append(frame)
    places = {uid: place_of(own) for uid, own in by_lesion.items()}
    first = frames[0].image
    return tuple(
        LesionTold(
            lesion=own[0].lesion,
            frames=tuple(own),
            calls=tuple(_calls(own)),
            earlier=earlier(
                own[0].lesion, places, visits,
                study_uid=first.study_uid, study_date=study_date(first), grouping=grouping,
            ),
        )
        for own in by_lesion.values()
    )


def place_of(frames: Sequence[Frame]) -> tuple[str, str | None] | None:
    """Return where a lesion's images say that it is, None where they say nothing or contradict one another."""
    said = {where for frame in frames if (where := place(frame.image)) is not None}
    return said.pop() if len(said) == 1 else None


def study_date(image: SourceImage) -> date | None:
    """Return the Study Date, None where the image has none that can be read."""
    try:
        return datetime.strptime(str(image.dataset.get("StudyDate") or ""), "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None


def _calls(frames: Sequence[Frame]) -> Iterator[LesionCall]:
    """Yield the calls of one lesion, in the order of bundles and outputs.

    What was read on several crops of an image speaks of several lesions, and of none of them over its images.
    """
    told: dict[tuple[str, str], list[tuple[Frame, Classified]]] = {}
    split = {
        one.run.bundle.content_hash
        for frame in frames
        for one in frame.classified
        if len(frame.crops) > 1 and one.classification.region is not None
    }
    for frame in frames:
        for one in frame.classified:
            if one.run.bundle.content_hash in split:
                continue
            told.setdefault((one.run.bundle.content_hash, one.classification.output), []).append((frame, one))
    for pairs in sorted(told.values(), key=lambda pairs: (_run_order(pairs[0][1].run), pairs[0][1].classification.output)):
        first = pairs[0][1]
        if len(pairs) == 1:
            yield LesionCall(
                run=first.run, classification=first.classification, rule=None, points=first.points, frames=(pairs[0][0],)
            )
            continue
        rule = next((one.combine for one in first.run.lesion_rules if one.output == first.classification.output), None)
        if rule is not None:
            yield from _combined_calls(pairs, rule)


def _combined_calls(pairs: Sequence[tuple[Frame, Classified]], rule: Combine) -> Iterator[LesionCall]:
    """Yield one call, or by the maximum one for each class that an operating point watches."""
    first = pairs[0][1]
    watched: tuple[str | None, ...] = tuple(dict.fromkeys(point.positive for point in first.points))
    for positive in watched if rule is Combine.MAXIMUM else (None,):
        classification = combined([one.classification for _, one in pairs], rule, positive)
        if classification is not None:
            yield LesionCall(
                run=first.run, classification=classification, rule=rule,
                points=tuple(point for point in first.points if positive in {None, point.positive}),
                frames=tuple(frame for frame, _ in pairs),
            )


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


def _outcome_order(outcome: Outcome) -> tuple[str, tuple[int, ...]]:
    name = outcome.reason if isinstance(outcome, Refusal) else outcome.output
    region = outcome.region if isinstance(outcome, Classification | Refusal) else None
    return name, () if region is None else _reading_order(region)


def _reading_order(region: Rectangle) -> tuple[int, int, int, int]:
    return region.top, region.left, region.height, region.width


def _classified(run: Run, classification: Classification) -> Classified:
    points = tuple(point for point in run.operating_points if point.output == classification.output)
    return Classified(run=run, classification=classification, points=tuple(sorted(points, key=lambda point: point.id)))


def _region(run: Run, segmentation: Segmentation, image: SourceImage, number: int) -> Region:
    if segmentation.mask.shape != (image.rows, image.columns):
        raise Defect(RESULT_INVALID, f"a mask of {segmentation.mask.shape} for an image of {(image.rows, image.columns)}")
    return Region(run=run, segmentation=segmentation, measures=measure(segmentation.mask, image.spacing(number)))
