"""The sentences of the report, as a person reads them."""

from collections.abc import Iterator, Sequence

from derm_pacs.domain.codes import code
from derm_pacs.domain.findings import Classification, Combine, OperatingPoint, Rectangle
from derm_pacs.domain.operating_point import call, is_positive
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results.arrange import Arrangement, Frame, LesionCall, LesionTold, Refused, Region, place_of
from derm_pacs.results.measure import Measures, probability, significant
from derm_pacs.results.visits import Change, ProbabilityStep, change_since

RESEARCH_USE = "AI result, research use, not for primary diagnosis."


def preamble(arrangement: Arrangement) -> str:
    """Return the summary: what the result is worth, then each lesion's and each frame's result in a line."""
    said = [RESEARCH_USE]
    if arrangement.synthetic:
        said.append("The source images are SYNTHETIC: they show no patient.")
    if arrangement.demonstration:
        said.append("A bundle of demonstration grade took part: its figures say nothing about patients.")
    lines = [" ".join(said), _counted(arrangement)]
    for told in arrangement.lesions:
        lines += _lesion_lines(told)
    lines += [_frame_line(frame) for frame in arrangement.frames]
    if arrangement.unreadable:
        lines.append(f"Not analysed, because they cannot be read: {', '.join(arrangement.unreadable)}.")
    return "\n".join(lines)


def lesion_call(told: LesionTold, one: LesionCall) -> str:
    """Return of what a lesion's call speaks: the lesion, its place, and how its images were combined."""
    how = "mean of" if one.rule is Combine.MEAN else "the one with the highest probability of"
    return f"{_lesion(told)}, {how} {_number_of(one.frames)}"


def class_sentence(
    spoken_of: str, classification: Classification, class_id: str, points: Sequence[OperatingPoint]
) -> str:
    """Return the sentence of one class's group; `points` are those that watch the class."""
    name = code(_concepts(classification)[class_id]).meaning
    said = [f"{spoken_of}: probability of {_lower(name)} {_probability(classification.probability_of(class_id))}"]
    for point in points:
        sure = 100 * probability(classification.probability_of(call(classification, point)))
        said.append(_call(classification, point))
        said.append(f"Certainty of the call {sure:.1f} %: the bundle's own probability of the class that it calls, no more")
    return ". ".join(said) + f". {RESEARCH_USE}"


def size_change(told: LesionTold, change: Change) -> str:
    """Return the sentence of how the size of a lesion changed since its earlier visit, or that it cannot be said."""
    said = _size_changes(change)
    if not said:
        said = ["no size can be compared, because the same bundle did not outline the lesion at both visits"]
    elif change.area is None:
        said.append("millimetres are not compared, because not both visits know how large a pixel is")
    return f"{_since(told, change)}: {'; '.join(said)}. {RESEARCH_USE}"


def probability_change(told: LesionTold, change: Change, one: ProbabilityStep) -> str:
    """Return the sentence of how a probability changed since the lesion's earlier visit."""
    return f"{_since(told, change)}: {_probability_change(one)}, by the same bundle. {RESEARCH_USE}"


def region_sentence(frame: Frame, region: Region) -> str:
    """Return the sentence of one region's group; it says where millimetres come from, or that there are none."""
    measures = region.measures
    name = code(region.segmentation.concept).meaning
    if not measures.pixels:
        return f"{where(frame)}: no {_lower(name)} was found, so there is no segmentation. {RESEARCH_USE}"
    share = f"{significant(100 * measures.share):.3g} % of the image"
    parts = in_parts(measures)
    if measures.spacing:
        size = (
            f"area {measures.area:g} mm2{parts}, greatest diameter {measures.diameter:g} mm, perimeter {measures.perimeter:g} mm, "
            f"{share}. Pixel size {measures.spacing.row:g} mm x {measures.spacing.column:g} mm, from {measures.spacing.origin}"
        )
    else:
        size = (
            f"area {measures.pixels} pixels{parts}, greatest diameter {measures.diameter:g} pixels, perimeter "
            f"{measures.perimeter:g} pixels, {share}. The pixel size is unknown, so nothing is given in millimetres; where a "
            "segmentation object of ours names one, it is a placeholder"
        )
    return f"{where(frame)}: {_lower(name)}, {size}. {RESEARCH_USE}"


def in_parts(measures: Measures) -> str:
    """Return the words behind an area of several parts, whose greatest diameter is that of one; empty for one part."""
    return f" in {measures.parts} parts that do not touch" if measures.parts > 1 else ""


def refusal_sentence(frame: Frame, one: Refused) -> str:
    """Return the sentence of a refusal's group."""
    reason = REASONS[one.refusal.reason]
    detail = f" ({one.refusal.detail})" if one.refusal.detail else ""
    by = f" by {one.run.bundle.name}" if one.run else ""
    sentence = reason.sentence.rstrip(".")
    return f"{where(frame, one.refusal.region)}: not analysed{by}, because: {sentence}{detail}. {reason.remedy} {RESEARCH_USE}"


def on_the_crop(region: Rectangle) -> str:
    """Return which part of a frame was read; the first column and row have the number 1."""
    return f"on the crop at column {region.left + 1}, row {region.top + 1}, {region.width} x {region.height} pixels"


def where(frame: Frame, region: Rectangle | None = None) -> str:
    """Return of which lesion, image, frame and crop is spoken; image numbers begin anew in each series."""
    numbers = (("series", "SeriesNumber"), ("image", "InstanceNumber"))
    said = [f"{word} {frame.image.dataset.get(keyword)}" for word, keyword in numbers if frame.image.dataset.get(keyword)]
    if frame.image.frames > 1:
        said.append(f"frame {frame.number}")
    if region is not None:
        said.append(f"read {on_the_crop(region)}")
    return ", ".join([frame.lesion.label, *said])


def _counted(arrangement: Arrangement) -> str:
    lesions, images = len(arrangement.lesions), len(arrangement.images)
    crops = sum(len(frame.crops) for frame in arrangement.frames if len(frame.crops) > 1)
    said = f"{lesions} lesion{'' if lesions == 1 else 's'} on {images} image{'' if images == 1 else 's'}."
    return f"{said} {crops} crops of an image were read, each as a lesion of its own." if crops else said


def _lesion_lines(told: LesionTold) -> Iterator[str]:
    """Yield what is said of a lesion as a whole; a lesion of one frame is told with the frame."""
    for one in told.calls:
        if one.rule is not None:
            calls = [_call(one.classification, point) for point in one.points] or _probabilities(one.classification)
            yield f"{lesion_call(told, one)}: {'; '.join(calls)}."
    change = change_since(told)
    if change is not None:
        said = [*_size_changes(change), *(_probability_change(one) for one in change.probabilities)]
        yield f"{_since(told, change)}: {'; '.join(said) or 'nothing can be compared'}."


def _frame_line(frame: Frame) -> str:
    said = []
    for one in frame.classified:
        calls = [_call(one.classification, point) for point in one.points] or _probabilities(one.classification)
        said += [_read_on(one.classification.region) + each for each in calls]
    for region in frame.regions:
        name = code(region.segmentation.concept).meaning
        share = f"{significant(100 * region.measures.share):.3g} % of the image"
        said.append(f"{name}: {share if region.measures.pixels else 'not found'}")
    for refused in frame.refused:
        by = f" by {refused.run.bundle.name}" if refused.run else ""
        said.append(f"{_read_on(refused.refusal.region)}not analysed{by}, because: {REASONS[refused.refusal.reason].sentence.rstrip('.')}")
    return f"{where(frame)}: " + "; ".join(said) + "."


def _read_on(region: Rectangle | None) -> str:
    return "" if region is None else f"{on_the_crop(region)}, "


def _probabilities(classification: Classification) -> list[str]:
    return [f"{code(each.concept).meaning} {_probability(each.probability)}" for each in classification.probabilities]


def _call(classification: Classification, point: OperatingPoint) -> str:
    concepts = {class_id: code(row).meaning for class_id, row in _concepts(classification).items()}
    relation = "at or above" if is_positive(classification, point) else "below"
    return (
        f"Call: {_lower(concepts[call(classification, point)])} (probability of {_lower(concepts[point.positive])} "
        f"{_probability(classification.probability_of(point.positive))}, {relation} the threshold "
        f"{probability(point.threshold):g} set by {point.set_by})"
    )


def _concepts(classification: Classification) -> dict[str, str]:
    return {each.class_id: each.concept for each in classification.probabilities}


def _lesion(told: LesionTold) -> str:
    site = next((frame.image.site for frame in told.frames if frame.image.site is not None), None)
    if site is None or place_of(told.frames) is None:
        return told.lesion.label
    side = f" {_lower(site.laterality.meaning)}" if site.laterality else ""
    return f"{told.lesion.label} ({_lower(site.region.meaning)}{side})"


def _number_of(frames: Sequence[Frame]) -> str:
    images = len({frame.image.uid for frame in frames})
    return f"{len(frames)} images" if images == len(frames) else f"{len(frames)} frames"


def _since(told: LesionTold, change: Change) -> str:
    date = change.since.study_date
    return f"{_lesion(told)}, since the study of {date.isoformat() if date else 'an unknown date'}"


def _size_changes(change: Change) -> list[str]:
    said = [
        f"{name} {step.difference:+g} {unit}, from {step.before:g} to {step.now:g} {unit}"
        for name, step, unit in (("area", change.area, "mm2"), ("greatest diameter", change.diameter, "mm"))
        if step is not None
    ]
    if change.share is not None:
        before, now = 100 * change.share.before, 100 * change.share.now
        said.append(
            f"share of the image {now - before:+.3g} percentage points, from {before:.3g} % to {now:.3g} %, which also "
            "depends on the camera's distance"
        )
    return said


def _probability_change(one: ProbabilityStep) -> str:
    name = _lower(code(one.told.concept).meaning)
    return (
        f"probability of {name} {one.step.difference:+g}, from {_probability(one.step.before)} to "
        f"{_probability(one.step.now)}"
    )


def _probability(value: float) -> str:
    return f"{probability(value):g} ({100 * value:.1f} %)"


def _lower(meaning: str) -> str:
    return meaning[:1].lower() + meaning[1:]
