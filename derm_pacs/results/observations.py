"""What a message says, value by value: one observation (OBX) for each, grouped by lesion, image and region.

Sub-identifiers: "0" is the study; "2" is lesion 2, "2.1" its first image or frame, "2.1.3" that frame's third region.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from derm_pacs.domain.codes import PRIVATE_SCHEME, Code, code
from derm_pacs.domain.findings import Classification, OperatingPoint, Run
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS, UNREADABLE
from derm_pacs.results import wording
from derm_pacs.results.arrange import SKIN, Arrangement, Frame, LesionCall, LesionTold, Refused, Region
from derm_pacs.results.identity import Naming
from derm_pacs.results.measure import probability, significant

STUDY = "0"
"""Sub-identifier of what is said of the whole study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One value with its name, and where it belongs."""

    name: Code
    sub: str
    value: float | Code | str | tuple[str, ...]
    """A number, a coded value, a short text, or the lines of a text that a person reads."""
    alternate: Code | None = None
    """Another name: the standard's own where `name` is ours, or the class that a threshold is for."""
    unit: Code | None = None
    """Of a number."""
    run: Run | None = None
    """The bundle that said it."""


def observations(arrangement: Arrangement, naming: Naming) -> Iterator[Observation]:
    """Yield all that is told: what it is worth first, then the study, the bundles, and lesion by lesion."""
    yield Observation(name=code("comment"), sub=STUDY, value=tuple(wording.preamble(arrangement).splitlines()))
    yield Observation(name=code("study_instance_uid"), sub=STUDY, value=arrangement.images[0].study_uid)
    yield Observation(name=code("revision"), sub=STUDY, value=_revision(naming))
    for run in arrangement.runs:
        yield from _bundle(run)
    for number, uid in enumerate(arrangement.unreadable, 1):
        sub = f"{STUDY}.{number}"
        yield Observation(name=code("sop_instance_uid"), sub=sub, value=uid)
        yield Observation(name=code("not_analysed_because"), sub=sub, value=reason(UNREADABLE.code))
    for told in arrangement.lesions:
        yield from _lesion(told)


def class_name(row: Code) -> Code:
    """Return our name for the probability of a class, 0..1."""
    return Code(
        name=f"probability_of_{row.name}", value=f"P-{row.value}", scheme=PRIVATE_SCHEME,
        meaning=f"Probability of {row.meaning[:1].lower()}{row.meaning[1:]}"[:64], source="own",
    )


def reason(which: str) -> Code:
    """Return the coded value of a reason of `domain/reasons.py` why something was not analysed."""
    row = REASONS[which]
    if row.dicom_code is None:
        return code("other_reason")
    return Code(
        name=row.code, value=row.dicom_code, scheme=PRIVATE_SCHEME, meaning=row.sentence.rstrip(".")[:64], source="own"
    )


def _revision(naming: Naming) -> tuple[str, ...]:
    number = naming.identity.revision
    said = f"Revision {number} of the results of this study"
    return (said + (f"; it takes the place of revision {number - 1}." if number > 1 else "."),)


def _bundle(run: Run) -> Iterator[Observation]:
    bundle = run.bundle
    said = {
        "algorithm_name": bundle.name,
        "algorithm_version": bundle.version,
        "algorithm_parameters": f"sha256={bundle.content_hash}; grade={bundle.grade}",
    }
    for name, value in said.items():
        yield Observation(name=code(name), sub=STUDY, value=(value,), run=run)


def _lesion(told: LesionTold) -> Iterator[Observation]:
    sub = str(told.lesion.number)
    yield Observation(name=code("tracking_uid"), sub=sub, value=told.lesion.tracking_uid)
    yield Observation(name=code("tracking_identifier"), sub=sub, value=told.lesion.tracking_id)
    site = next((frame.image.site for frame in told.frames if frame.image.site is not None), None)
    if site is not None:
        yield Observation(name=code("finding_site"), sub=sub, value=site.region)
        if site.laterality is not None:
            yield Observation(name=code("laterality"), sub=sub, value=site.laterality)
    for one in told.calls:
        yield from _call(sub, one)
    alone = {(one.run.bundle.content_hash, one.classification.output) for one in told.calls if one.rule is None}
    for number, frame in enumerate(told.frames, 1):
        yield from _frame(f"{sub}.{number}", frame, alone)


def _call(sub: str, one: LesionCall) -> Iterator[Observation]:
    if one.rule is not None:
        how = f"the {one.rule} of {len(one.frames)} images"
        yield Observation(name=code("combined_by"), sub=sub, value=(how,), run=one.run)
    yield from _classification(sub, one.run, one.classification, one.points)


def _classification(
    sub: str, run: Run, classification: Classification, points: tuple[OperatingPoint, ...]
) -> Iterator[Observation]:
    concepts = {each.class_id: each.concept for each in classification.probabilities}
    for each in classification.probabilities:
        yield Observation(
            name=class_name(code(each.concept)), alternate=code("probability"), sub=sub,
            value=probability(each.probability), unit=code("no_units"), run=run,
        )
    for point in points:
        yield Observation(
            name=code("threshold_value"), alternate=class_name(code(concepts[point.positive])), sub=sub,
            value=probability(point.threshold), unit=code("no_units"), run=run,
        )
        yield Observation(name=code("set_by"), sub=sub, value=(f"{point.id}: {point.set_by}",), run=run)
        called = code(concepts[call(classification, point)])
        yield Observation(name=code("classifier_call"), sub=sub, value=called, run=run)


def _frame(sub: str, frame: Frame, alone: set[tuple[str, str]]) -> Iterator[Observation]:
    """Yield what is said of one frame; classifications of which it alone is the lesion's call are told there."""
    yield Observation(name=code("sop_instance_uid"), sub=sub, value=frame.image.uid)
    if frame.image.frames > 1:
        yield Observation(name=code("frame_number"), sub=sub, value=float(frame.number), unit=code("no_units"))
    for one in frame.classified:
        if (one.run.bundle.content_hash, one.classification.output) not in alone:
            yield from _classification(sub, one.run, one.classification, one.points)
    for number, region in enumerate(frame.regions, 1):
        yield from _region(f"{sub}.{number}", frame, region)
    for refused in frame.refused:
        yield from _refusal(sub, frame, refused)


def _region(sub: str, frame: Frame, region: Region) -> Iterator[Observation]:
    measures, run = region.measures, region.run
    area_unit, length_unit = ("square_millimetre", "millimetre") if measures.spacing else ("pixels", "pixels")
    yield Observation(name=code("finding"), sub=sub, value=code(region.segmentation.concept), run=run)
    if region.segmentation.concept == SKIN:
        yield Observation(name=code("tracking_uid"), sub=sub, value=frame.tracking(region)[0], run=run)
    yield Observation(name=code("area"), sub=sub, value=measures.area, unit=code(area_unit), run=run)
    if measures.pixels:
        yield Observation(name=code("diameter"), sub=sub, value=measures.diameter, unit=code(length_unit), run=run)
        share = significant(100 * measures.share)
        yield Observation(name=code("share_of_image"), sub=sub, value=share, unit=code("percent"), run=run)
    threshold = probability(region.segmentation.threshold)
    yield Observation(name=code("threshold_value"), sub=sub, value=threshold, unit=code("no_units"), run=run)
    yield Observation(name=code("comment"), sub=sub, value=(wording.region_sentence(frame, region),), run=run)


def _refusal(sub: str, frame: Frame, refused: Refused) -> Iterator[Observation]:
    because = reason(refused.refusal.reason)
    yield Observation(name=code("not_analysed_because"), sub=sub, value=because, run=refused.run)
    yield Observation(name=code("comment"), sub=sub, value=(wording.refusal_sentence(frame, refused),), run=refused.run)
