"""The sentences of the report, as a person reads them."""

from derm_pacs.domain.codes import code
from derm_pacs.domain.findings import ClassProbability, OperatingPoint
from derm_pacs.domain.operating_point import call, is_positive
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results.arrange import Arrangement, Classified, Frame, Refused, Region
from derm_pacs.results.measure import probability, significant

RESEARCH_USE = "AI result, research use, not for primary diagnosis."


def preamble(arrangement: Arrangement) -> str:
    """Return what stands before everything else, then each frame's result in a line."""
    said = [RESEARCH_USE]
    if arrangement.synthetic:
        said.append("The source images are SYNTHETIC: they show no patient.")
    if arrangement.demonstration:
        said.append("A bundle of demonstration grade took part: its figures say nothing about patients.")
    return "\n".join([" ".join(said), *(_frame_line(frame) for frame in arrangement.frames)])


def class_sentence(frame: Frame, one: Classified, each: ClassProbability) -> str:
    """Return the sentence of one class's group."""
    name = code(each.concept).meaning
    said = f"{_where(frame)}: probability of {_lower(name)} {_probability(each.probability)}"
    points = [point for point in one.points if point.positive == each.class_id]
    return ". ".join([said, *(_call(one, point) for point in points)]) + f". {RESEARCH_USE}"


def region_sentence(frame: Frame, region: Region) -> str:
    """Return the sentence of one region's group; it says where millimetres come from, or that there are none."""
    measures = region.measures
    name = code(region.segmentation.concept).meaning
    if not measures.pixels:
        return f"{_where(frame)}: no {_lower(name)} was found, so there is no segmentation. {RESEARCH_USE}"
    share = f"{significant(100 * measures.share):.3g} % of the image"
    if measures.spacing:
        size = (
            f"area {measures.area:g} mm2, greatest diameter {measures.diameter:g} mm, {share}. Pixel size "
            f"{measures.spacing.row:g} mm x {measures.spacing.column:g} mm, from {measures.spacing.origin}"
        )
    else:
        size = (
            f"area {measures.pixels} pixels, greatest diameter {measures.diameter:g} pixels, {share}. The pixel size is "
            "unknown, so nothing is given in millimetres; a pixel size in the segmentation object is a placeholder"
        )
    return f"{_where(frame)}: {_lower(name)}, {size}. {RESEARCH_USE}"


def refusal_sentence(frame: Frame, one: Refused) -> str:
    """Return the sentence of a refusal's group."""
    reason = REASONS[one.refusal.reason]
    detail = f" ({one.refusal.detail})" if one.refusal.detail else ""
    by = f" by {one.run.bundle.name}" if one.run else ""
    sentence = reason.sentence.rstrip(".")
    return f"{_where(frame)}: not analysed{by}, because: {sentence}{detail}. {reason.remedy} {RESEARCH_USE}"


def _frame_line(frame: Frame) -> str:
    said = []
    for one in frame.classified:
        said += [_call(one, point) for point in one.points] or [
            f"{code(each.concept).meaning} {_probability(each.probability)}" for each in one.classification.probabilities
        ]
    for region in frame.regions:
        name = code(region.segmentation.concept).meaning
        share = f"{significant(100 * region.measures.share):.3g} % of the image"
        said.append(f"{name}: {share if region.measures.pixels else 'not found'}")
    for refused in frame.refused:
        said.append(f"not analysed, because: {REASONS[refused.refusal.reason].sentence.rstrip('.')}")
    return f"{_where(frame)}: " + "; ".join(said) + "."


def _call(one: Classified, point: OperatingPoint) -> str:
    concepts = {each.class_id: code(each.concept).meaning for each in one.classification.probabilities}
    called = concepts[call(one.classification, point)]
    relation = "at or above" if is_positive(one.classification, point) else "below"
    return (
        f"Call: {_lower(called)} (probability of {_lower(concepts[point.positive])} "
        f"{_probability(one.classification.probability_of(point.positive))}, {relation} the threshold "
        f"{probability(point.threshold):g} set by {point.set_by})"
    )


def _where(frame: Frame) -> str:
    # Image numbers begin anew in each series.
    numbers = (("series", "SeriesNumber"), ("image", "InstanceNumber"))
    said = [f"{word} {frame.image.dataset.get(keyword)}" for word, keyword in numbers if frame.image.dataset.get(keyword)]
    if frame.image.frames > 1:
        said.append(f"frame {frame.number}")
    return ", ".join([frame.lesion.label, *said])


def _probability(value: float) -> str:
    return f"{probability(value):g} ({100 * value:.1f} %)"


def _lower(meaning: str) -> str:
    return meaning[:1].lower() + meaning[1:]
