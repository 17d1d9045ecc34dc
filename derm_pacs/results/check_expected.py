"""What each group of the report must say, made from the findings without the code that writes it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from derm_pacs.domain.codes import PRIVATE_SCHEME
from derm_pacs.domain.findings import Combine, Run
from derm_pacs.domain.operating_point import call, called_first
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results.arrange import SKIN, Classified, Frame, LesionCall, LesionTold, Region, place_of
from derm_pacs.results.lesions import Lesion
from derm_pacs.results.readback import CodeKey, ReadGroup, key_of
from derm_pacs.results.visits import change_since

PROBABILITY_TOLERANCE = 6e-7
"""Half of the last of six written decimals."""
RELATIVE_TOLERANCE = 6e-6
"""Half of the last of six written significant digits."""

_RULES = {Combine.MEAN: "mean_of_images", Combine.MAXIMUM: "maximum_of_images"}
_QUALITY = ("poor_quality_blur", "poor_quality_dark", "poor_quality_bright", "poor_quality_contrast", "too_small")

Figure = tuple[str, float, str]
"""Name of the code's row, value, code value of the unit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """What a group of the report must say, no more and no less."""

    what: str
    """For the message."""
    lesion: Lesion
    frames: tuple[Frame, ...]
    finding: str
    """Name of the code's row."""
    run: Run | None
    numbers: list[Figure] = field(default_factory=list)
    evaluations: list[tuple[CodeKey, CodeKey]] = field(default_factory=list)
    prior: str | None = None
    segment: int | None = None
    """Of the frame's SEG, where the edition has one."""


def lesion_expectations(told: LesionTold) -> Iterator[Expected]:
    """Yield what the groups of a lesion as a whole must say: combined classes, then what changed."""
    for one in told.calls:
        if one.rule is not None:
            combined = (key_of("combined_by"), key_of(_RULES[one.rule]))
            yield from _classes(told.lesion, one.frames, one, [combined])
    change = change_since(told)
    if change is None:
        return
    sizes = (
        ("change_of_area", change.area, 1, "mm2"), ("change_of_diameter", change.diameter, 1, "mm"),
        ("change_of_share", change.share, 100, "%"),
    )
    prior = change.since.report.sop_instance_uid
    yield Expected(
        what=f"change of {told.lesion.label}", lesion=told.lesion, frames=told.frames, finding="skin_lesion", run=None,
        numbers=[(name, factor * (step.now - step.before), unit) for name, step, factor, unit in sizes if step], prior=prior,
    )
    for each in change.probabilities:
        yield Expected(
            what=f"change of {each.told.concept} of {told.lesion.label}", lesion=told.lesion, frames=told.frames,
            finding=each.told.concept, prior=prior,
            run=next(one.run for one in told.calls if one.run.bundle.content_hash == each.told.bundle_hash),
            numbers=[("change_of_probability", each.step.now - each.step.before, "1")],
        )


def frame_expectations(frame: Frame) -> Iterator[Expected]:
    """Yield what the groups of a frame must say, in their order."""
    for one in frame.classified:
        yield from _classes(frame.lesion_on(one.classification.region), (frame,), one, [])
    for region in frame.regions:
        if not region.measures.pixels:
            unit = "mm2" if region.measures.spacing else "{pixels}"
            yield Expected(
                what=f"nothing found on {frame.lesion.label}", lesion=frame.lesion, frames=(frame,),
                finding=region.segmentation.concept, run=region.run, numbers=[("area", 0.0, unit)],
            )
    for segment, region in enumerate(frame.found, 1):
        yield Expected(
            what=f"region of {frame.lesion.label}", lesion=frame.lesion, frames=(frame,),
            finding=region.segmentation.concept, run=region.run, numbers=_region_numbers(region), segment=segment,
        )
    for refused in frame.refused:
        dicom_code = REASONS[refused.refusal.reason].dicom_code
        said = [(key_of("not_analysed_because"), (dicom_code, PRIVATE_SCHEME) if dicom_code else key_of("other_reason"))]
        if refused.refusal.reason in _QUALITY:
            said.append((key_of("image_quality"), key_of("insufficient_quality")))
        yield Expected(
            what=f"refusal of {frame.lesion.label}", lesion=frame.lesion_on(refused.refusal.region), frames=(frame,),
            finding="image_quality",
            run=refused.run, evaluations=said,
        )


def differences(group: ReadGroup, want: Expected) -> Iterator[str]:
    """Yield what a group that was read back does not say as it must."""
    names = Counter((one.name, one.unit) for one in group.numbers)
    agreements = {
        "finding": group.finding == key_of(want.finding),
        "images": group.images == tuple((frame.image.uid, frame.number) for frame in want.frames),
        "tracking UID": want.finding == SKIN or group.tracking_uid == want.lesion.tracking_uid,
        "finding site": group.site == _site(want.frames),
        "earlier report": group.prior == want.prior,
        "algorithm": want.run is None or _names(group, want.run),
        "evaluations": Counter(group.evaluations) == Counter(want.evaluations),
        "which figures": names == Counter((key_of(name), unit) for name, _, unit in want.numbers),
    }
    yield from (what for what, agrees in agreements.items() if not agrees)
    for name, value, unit in want.numbers:
        if not any(one.name == key_of(name) and _near(one.value, value, unit) for one in group.numbers):
            yield name


def _classes(
    lesion: Lesion, frames: tuple[Frame, ...], one: Classified | LesionCall, combined: list[tuple[CodeKey, CodeKey]]
) -> Iterator[Expected]:
    classification, points = one.classification, one.points
    concepts = {each.class_id: each.concept for each in classification.probabilities}
    for each in called_first(classification, points):
        numbers: list[Figure] = [("probability", each.probability, "1")]
        evaluations = []
        for point in points:
            if point.positive == each.class_id:
                called = call(classification, point)
                numbers.append(("threshold_value", point.threshold, "1"))
                numbers.append(("certainty_of_finding", 100 * classification.probability_of(called), "%"))
                evaluations.append((key_of("classifier_call"), key_of(concepts[called])))
        yield Expected(
            what=f"{each.concept} of {lesion.label}", lesion=lesion, frames=frames, finding=each.concept, run=one.run,
            numbers=numbers, evaluations=[*evaluations, *combined],
        )


def _region_numbers(region: Region) -> list[Figure]:
    mask, spacing = region.segmentation.mask, region.measures.spacing
    pixels = int(np.count_nonzero(mask))
    unit = "mm" if spacing else "{pixels}"
    area: Figure = ("area", pixels * spacing.row * spacing.column, "mm2") if spacing else ("area", float(pixels), "{pixels}")
    return [
        area,
        ("diameter", region.measures.diameter, unit),
        ("perimeter", region.measures.perimeter, unit),
        ("share_of_image", 100 * pixels / mask.size, "%"),
    ]


def _site(frames: tuple[Frame, ...]) -> tuple[CodeKey, CodeKey | None] | None:
    sites = [frame.image.site for frame in frames if frame.image.site is not None]
    if not sites or place_of(frames) is None:
        return None
    side = sites[0].laterality
    return (sites[0].region.value, sites[0].region.scheme), (side.value, side.scheme) if side else None


def _names(group: ReadGroup, run: Run) -> bool:
    bundle = run.bundle
    return group.algorithm == (bundle.name, bundle.version) and f"sha256={bundle.content_hash}" in group.parameters


def _near(one: float, two: float, unit: str) -> bool:
    """Say whether two figures agree as far as they are written; per cents and differences end in fractions of 1."""
    tolerance = PROBABILITY_TOLERANCE if unit == "1" else max(1e-12, abs(two) * RELATIVE_TOLERANCE)
    if unit == "%":
        tolerance = max(tolerance, 100 * PROBABILITY_TOLERANCE)
    return abs(one - two) <= tolerance
