"""What a message says, value by value: one observation (OBX) for each, grouped by lesion, image and region.

Sub-identifiers: "0" is the study, "0.b1" its first bundle, "0.u1" its first unreadable object. "2" is lesion 2, "2.c1"
the first call of it, "2.c1.p1" the first operating point of that call, "2.d" what changed since it was seen before,
"2.d1" the first class of which the probability changed. "2.i1" is the lesion's first image or frame, "2.i1.c1" a call
of it alone, "2.i1.r3" its third region, "2.i1.n1" a bundle's reason not to analyse it. No two observations have name
and sub-identifier in common.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from derm_pacs.domain.codes import PRIVATE_SCHEME, Code, code
from derm_pacs.domain.findings import Classification, OperatingPoint, Run
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS, UNREADABLE
from derm_pacs.results import wording
from derm_pacs.results.arrange import SKIN, Arrangement, Frame, LesionCall, LesionTold, Refused, Region, place_of
from derm_pacs.results.identity import Naming
from derm_pacs.results.measure import certainty, probability, significant
from derm_pacs.results.sr_class import RULES
from derm_pacs.results.visits import Change, change_since

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
    for number, run in enumerate(arrangement.runs, 1):
        yield from _bundle(f"{STUDY}.b{number}", run)
    for number, uid in enumerate(arrangement.unreadable, 1):
        yield Observation(name=code("unreadable_object"), sub=f"{STUDY}.u{number}", value=uid)
        yield Observation(name=code("not_analysed_because"), sub=f"{STUDY}.u{number}", value=reason(UNREADABLE.code))
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


def _bundle(sub: str, run: Run) -> Iterator[Observation]:
    bundle = run.bundle
    said = {
        "algorithm_name": bundle.name,
        "algorithm_version": bundle.version,
        "algorithm_parameters": f"sha256={bundle.content_hash}; grade={bundle.grade}",
    }
    for name, value in said.items():
        yield Observation(name=code(name), sub=sub, value=(value,), run=run)


def _lesion(told: LesionTold) -> Iterator[Observation]:
    sub = str(told.lesion.number)
    yield Observation(name=code("tracking_uid"), sub=sub, value=told.lesion.tracking_uid)
    yield Observation(name=code("tracking_identifier"), sub=sub, value=told.lesion.tracking_id)
    site = next((frame.image.site for frame in told.frames if frame.image.site is not None), None)
    if site is not None and place_of(told.frames) is not None:  # images that contradict one another say no place
        yield Observation(name=code("finding_site"), sub=sub, value=site.region)
        if site.laterality is not None:
            yield Observation(name=code("laterality"), sub=sub, value=site.laterality)
    for number, one in enumerate(told.calls, 1):
        yield from _call(f"{sub}.c{number}", one)
    change = change_since(told)
    if change is not None:
        yield from _change(f"{sub}.d", told, change)
    alone = {(one.run.bundle.content_hash, one.classification.output) for one in told.calls if one.rule is None}
    for number, frame in enumerate(told.frames, 1):
        yield from _frame(f"{sub}.i{number}", frame, alone)


def _call(sub: str, one: LesionCall) -> Iterator[Observation]:
    if one.rule is not None:
        yield Observation(name=code("combined_by"), sub=sub, value=code(RULES[one.rule]), run=one.run)
        yield Observation(name=code("comment"), sub=sub, value=(f"Combined of {len(one.frames)} images.",), run=one.run)
    yield from _classification(sub, one.run, one.classification, one.points)


def _classification(
    sub: str, run: Run, classification: Classification, points: tuple[OperatingPoint, ...]
) -> Iterator[Observation]:
    concepts = {each.class_id: each.concept for each in classification.probabilities}
    if classification.region is not None:
        said = f"Read {wording.on_the_crop(classification.region)}."
        yield Observation(name=code("comment"), sub=sub, value=(said,), run=run)
    for each in classification.probabilities:
        yield Observation(
            name=class_name(code(each.concept)), alternate=code("probability"), sub=sub,
            value=probability(each.probability), unit=code("no_units"), run=run,
        )
    for number, point in enumerate(points, 1):
        own, called = f"{sub}.p{number}", call(classification, point)
        sure = certainty(classification.probability_of(called))
        yield Observation(
            name=code("threshold_value"), alternate=class_name(code(concepts[point.positive])), sub=own,
            value=probability(point.threshold), unit=code("no_units"), run=run,
        )
        yield Observation(name=code("set_by"), sub=own, value=(f"{point.id}: {point.set_by}",), run=run)
        yield Observation(name=code("classifier_call"), sub=own, value=code(concepts[called]), run=run)
        yield Observation(name=code("certainty_of_finding"), sub=own, value=sure, unit=code("percent"), run=run)


def _change(sub: str, told: LesionTold, change: Change) -> Iterator[Observation]:
    yield Observation(name=code("earlier_study"), sub=sub, value=change.since.study_instance_uid)
    yield Observation(name=code("comment"), sub=sub, value=(wording.size_change(told, change),))
    share = None if change.share is None else significant(100 * change.share.difference)
    differences = (
        ("change_of_area", change.area.difference if change.area else None, "square_millimetre"),
        ("change_of_diameter", change.diameter.difference if change.diameter else None, "millimetre"),
        ("change_of_share", share, "percent"),
    )
    for name, value, unit in differences:
        if value is not None:
            yield Observation(name=code(name), sub=sub, value=value, unit=code(unit))
    runs = {one.run.bundle.content_hash: one.run for one in told.calls}
    for number, one in enumerate(change.probabilities, 1):
        own, run = f"{sub}{number}", runs[one.told.bundle_hash]
        yield Observation(
            name=code("change_of_probability"), alternate=class_name(code(one.told.concept)), sub=own,
            value=one.step.difference, unit=code("no_units"), run=run,
        )
        yield Observation(name=code("comment"), sub=own, value=(wording.probability_change(told, change, one),), run=run)


def _frame(sub: str, frame: Frame, alone: set[tuple[str, str]]) -> Iterator[Observation]:
    """Yield what is said of one frame; classifications of which it alone is the lesion's call are told there."""
    yield Observation(name=code("sop_instance_uid"), sub=sub, value=frame.image.uid)
    if frame.image.frames > 1:
        yield Observation(name=code("frame_number"), sub=sub, value=float(frame.number), unit=code("no_units"))
    for number, one in enumerate(frame.classified, 1):
        if (one.run.bundle.content_hash, one.classification.output) not in alone:
            if len(frame.crops) > 1 and one.classification.region is not None:
                uid = frame.lesion_on(one.classification.region).tracking_uid
                yield Observation(name=code("tracking_uid"), sub=f"{sub}.c{number}", value=uid, run=one.run)
            yield from _classification(f"{sub}.c{number}", one.run, one.classification, one.points)
    for number, region in enumerate(frame.regions, 1):
        yield from _region(f"{sub}.r{number}", frame, region)
    for number, refused in enumerate(frame.refused, 1):
        yield from _refusal(f"{sub}.n{number}", frame, refused)


def _region(sub: str, frame: Frame, region: Region) -> Iterator[Observation]:
    measures, run = region.measures, region.run
    area, length = ("square_millimetre", "millimetre") if measures.spacing else ("pixels", "pixels")
    yield Observation(name=code("finding"), sub=sub, value=code(region.segmentation.concept), run=run)
    if region.segmentation.concept == SKIN:
        yield Observation(name=code("tracking_uid"), sub=sub, value=frame.tracking(region)[0], run=run)
    numbers = [("area", measures.area, area)]
    if measures.pixels:
        numbers += [
            ("diameter", measures.diameter, length), ("perimeter", measures.perimeter, length),
            ("share_of_image", significant(100 * measures.share), "percent"),
        ]
    for name, value, unit in [*numbers, ("threshold_value", probability(region.segmentation.threshold), "no_units")]:
        yield Observation(name=code(name), sub=sub, value=value, unit=code(unit), run=run)
    yield Observation(name=code("comment"), sub=sub, value=(wording.region_sentence(frame, region),), run=run)


def _refusal(sub: str, frame: Frame, refused: Refused) -> Iterator[Observation]:
    because = reason(refused.refusal.reason)
    yield Observation(name=code("not_analysed_because"), sub=sub, value=because, run=refused.run)
    yield Observation(name=code("comment"), sub=sub, value=(wording.refusal_sentence(frame, refused),), run=refused.run)
