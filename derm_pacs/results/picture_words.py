"""What a picture says of one frame: call, bars, size, change, reasons; every figure as the report has it, rounded to read."""

from collections.abc import Iterator

import numpy as np

from derm_pacs.domain.codes import code
from derm_pacs.domain.findings import Classification, Combine, Grade, Mask, OperatingPoint, Preview, Rectangle, Run
from derm_pacs.domain.operating_point import call, is_positive
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results.arrange import SKIN, Arrangement, Classified, Frame, LesionCall, LesionTold, Refused, Region
from derm_pacs.results.contour import outline
from derm_pacs.results.picture_card import Bar, Card, Outline, Panel, Paragraph, Points, Statement
from derm_pacs.results.picture_change import change
from derm_pacs.results.picture_figures import figure, rounded, threshold
from derm_pacs.results.wording import RESEARCH_USE, in_parts, on_the_crop

HONESTY = RESEARCH_USE.rstrip(".")
MOST_BARS = 5
"""Of classes that no threshold watches, as many as bring the bars to this number; those that one watches have one each."""
_MOST_IMAGES = 6
"""Images whose own figure stands beside a lesion's; the report has all."""
_FINE_ENOUGH = 1024
"""Pixels of a mask's longer side from which its contour is drawn: as many as the picture shows."""
_RULES = {
    Combine.MEAN: "the mean of their probabilities",
    Combine.MAXIMUM: "the one with the highest probability speaks",
}


def card(frame: Frame, arrangement: Arrangement, preview: Preview | None, revision: int) -> Card:
    """Return what the picture of a frame shows; `preview` is None where the frame cannot be shown."""
    told = lesion_of(frame, arrangement)
    overall = [one for one in told.calls if len(one.frames) > 1]
    statements = [_lesion_statement(told, one) for one in overall]
    statements += [_image_statement(frame, one, small=bool(overall)) for one in frame.classified]
    statements += [_refusal(frame, one, small=bool(statements)) for one in frame.refused]
    if not statements:
        statements.append(_outline_alone(frame))
    changed = change(told)
    paragraphs = [Paragraph(heading="Size", lines=tuple(size(region) for region in frame.regions)), *([changed] if changed else [])]
    paragraphs.append(Paragraph(heading="Algorithms", lines=tuple(algorithm(run) for run in runs_of(frame))))
    paragraphs.append(Paragraph(heading="Note", lines=tuple(notes(arrangement))))
    return Card(
        title=frame.lesion.label,
        subtitle=" · ".join(_where(frame, revision)),
        marks=marks(arrangement),
        panels=panels(frame, preview),
        statements=tuple(statements),
        paragraphs=tuple(one for one in paragraphs if one.lines),
        honesty=HONESTY,
    )


def lesion_of(frame: Frame, arrangement: Arrangement) -> LesionTold:
    """Return the lesion that a frame shows, as it is told over its images."""
    return next(one for one in arrangement.lesions if one.lesion.number == frame.lesion.number)


def marks(arrangement: Arrangement) -> tuple[str, ...]:
    """Return the words that say that a result speaks of no patient."""
    said = (("SYNTHETIC", arrangement.synthetic), ("DEMONSTRATION", arrangement.demonstration))
    return tuple(word for word, holds in said if holds)


def notes(arrangement: Arrangement) -> Iterator[str]:
    """Yield what the marks mean."""
    if arrangement.synthetic:
        yield "The source images are SYNTHETIC: they show no patient."
    if arrangement.demonstration:
        yield "A bundle of demonstration grade took part: its figures say nothing about patients."


def place(frame: Frame) -> str:
    """Return which image of the study a frame is, as "series 1, image 2, frame 3"."""
    numbers = (("series", "SeriesNumber"), ("image", "InstanceNumber"))
    said = [f"{word} {frame.image.dataset.get(keyword)}" for word, keyword in numbers if frame.image.dataset.get(keyword)]
    if frame.image.frames > 1:
        said.append(f"frame {frame.number}")
    return ", ".join(said) or "the image"


def site(frame: Frame) -> str:
    """Return where on the body the image says that it was taken, empty where it does not say it."""
    where = frame.image.site
    if where is None:
        return ""
    return where.region.meaning + (f", {where.laterality.meaning.lower()}" if where.laterality else "")


def algorithm(run: Run) -> str:
    """Return a bundle's name, version and the first twelve digits of its content hash."""
    grade = ", demonstration grade" if run.bundle.grade is Grade.DEMONSTRATION else ""
    return f"{run.bundle.name} {run.bundle.version}, {run.bundle.content_hash[:12]}{grade}"


def verdict(classification: Classification, points: tuple[OperatingPoint, ...]) -> str:
    """Return the call at the first operating point."""
    if not points:
        return "No call"
    return _names(classification)[call(classification, points[0])]


def reasons(classification: Classification, points: tuple[OperatingPoint, ...]) -> tuple[str, ...]:
    """Return, for each operating point, the probability, the threshold and who set it."""
    if not points:
        return ("No threshold is set for it, so its probabilities stand alone.",)
    names = _names(classification)
    said = []
    for point in points:
        value = classification.probability_of(point.positive)
        relation = "at or above" if is_positive(classification, point) else "below"
        sentence = (
            f"probability of {_lower(names[point.positive])} {figure(value, point.threshold)}, {relation} the threshold "
            f"of {threshold(point.threshold)} set by {point.set_by}"
        )
        other = f"{names[call(classification, point)]}: " if len(points) > 1 else ""
        said.append(other + (sentence if other else sentence[0].upper() + sentence[1:]))
    return tuple(said)


def size(region: Region) -> str:
    """Return how large a region is: in mm only where the image says how large a pixel is."""
    measures = region.measures
    name = code(region.segmentation.concept).meaning
    if not measures.pixels:
        return f"No {_lower(name)} was found."
    share = f"{figure(measures.share)} of the image"
    if region.segmentation.concept == SKIN:
        return f"{name}: {share}."
    parts = in_parts(measures)
    if measures.spacing:
        return (
            f"{name}: area {rounded(measures.area)} mm²{parts}, greatest diameter {rounded(measures.diameter)} mm, {share}. Pixel size "
            f"{rounded(measures.spacing.row)} mm x {rounded(measures.spacing.column)} mm, from {measures.spacing.origin}."
        )
    return (
        f"{name}: area {measures.pixels} pixels{parts}, greatest diameter {rounded(measures.diameter)} pixels, {share}. The pixel size "
        "is unknown, so nothing is given in millimetres."
    )


def refusal(one: Refused) -> tuple[str, str]:
    """Return why a frame was not analysed, and what can be done."""
    reason = REASONS[one.refusal.reason]
    detail = f" ({one.refusal.detail})" if one.refusal.detail else ""
    by = f" by {one.run.bundle.name}" if one.run else ""
    return f"{read_on(one.refusal.region)}Not analysed{by}, because: {reason.sentence.rstrip('.')}{detail}.", reason.remedy


def read_on(region: Rectangle | None) -> str:
    """Return the words before what was read on a crop, empty for what was read on the whole frame."""
    return "" if region is None else f"Read {on_the_crop(region)}: "


def panels(frame: Frame, preview: Preview | None) -> tuple[Panel, ...]:
    """Return the frame with its outlines and, for each explained classification, where the network looked."""
    size_of_frame = (frame.image.rows, frame.image.columns)
    outlines = (*(_outline(region) for region in frame.found), *(_crop_outline(one, size_of_frame) for one in frame.crops))
    explained = [(one, one.classification.saliency) for one in frame.classified if one.classification.saliency]
    if preview is None and not outlines and not explained:
        return ()
    caption = place(frame)[:1].upper() + place(frame)[1:]
    if preview is None:
        caption += ". The image cannot be shown here."
    made = [Panel(preview=preview, size=size_of_frame, outlines=outlines, caption=caption)]
    for one, saliency in explained:
        watched, region = _lower(_names(one.classification)[saliency.class_id]), one.classification.region
        said = (
            f"{code(saliency.method).meaning}: where the network looked for {watched}, coarsely. "
            "It outlines no disease; the brightest place is bright however little it weighs."
        )
        if region is None:
            lesions = tuple(each for each in outlines if each.is_lesion)
            made.append(Panel(preview=preview, size=size_of_frame, outlines=lesions, caption=said, heat=saliency.grid))
        else:
            said = f"{on_the_crop(region).capitalize()}. {said}"
            made.append(
                Panel(
                    preview=_cut(preview, region, size_of_frame), size=(region.height, region.width), outlines=(), caption=said,
                    heat=saliency.grid,
                )
            )
    return tuple(made)


def _crop_outline(region: Rectangle, size_of_frame: tuple[int, int]) -> Outline:
    right, bottom = region.left + region.width, region.top + region.height
    corners = [(region.left, region.top), (right, region.top), (right, bottom), (region.left, bottom), (region.left, region.top)]
    points: Points = np.array(corners, dtype=np.float64) / np.array([size_of_frame[1], size_of_frame[0]])
    return Outline(points=points, name="Frame: the crop that was read", is_lesion=False)


def _cut(preview: Preview | None, region: Rectangle, size_of_frame: tuple[int, int]) -> Preview | None:
    """Return the crop's part of a frame's preview, at least one pixel."""
    if preview is None:
        return None
    down, across = preview.shape[0] / size_of_frame[0], preview.shape[1] / size_of_frame[1]
    top = min(int(region.top * down), preview.shape[0] - 1)
    left = min(int(region.left * across), preview.shape[1] - 1)
    bottom = max(round((region.top + region.height) * down), top + 1)
    right = max(round((region.left + region.width) * across), left + 1)
    return preview[top:bottom, left:right]


def _outline(region: Region) -> Outline:
    is_lesion = region.segmentation.concept != SKIN
    name = code(region.segmentation.concept).meaning
    return Outline(points=_points(region.segmentation.mask), name=f"Outline: {_lower(name)}", is_lesion=is_lesion)


def _points(mask: Mask) -> Points:
    step = max(1, -(-max(mask.shape) // _FINE_ENOUGH))
    coarse = mask[::step, ::step]
    shown = coarse if coarse.any() else mask
    scale = step if coarse.any() else 1
    points: Points = np.clip(outline(shown) * scale / np.array([mask.shape[1], mask.shape[0]]), 0.0, 1.0)
    return points


def _lesion_statement(told: LesionTold, one: LesionCall) -> Statement:
    frames = "images" if len({frame.image.uid for frame in one.frames}) == len(one.frames) else "frames"
    rule = f": {_RULES[one.rule]}" if one.rule else ""
    bars, further = _bars(one.classification, one.points)
    return Statement(
        heading=f"{told.lesion.label} over {len(one.frames)} {frames}{rule}{_by(told.calls, one)}",
        verdict=verdict(one.classification, one.points),
        reasons=(*reasons(one.classification, one.points), *_each_image(one)),
        bars=bars,
        further=further,
    )


def _by(calls: tuple[LesionCall, ...], one: LesionCall) -> str:
    return f", by {one.run.bundle.name}" if len(calls) > 1 else ""


def _each_image(one: LesionCall) -> Iterator[str]:
    """Yield the watched class's figure of each image that was combined."""
    if not one.points:
        return
    watched = one.points[0].positive
    said = []
    for frame in one.frames[:_MOST_IMAGES]:
        own = next(
            each.classification for each in frame.classified
            if each.run is one.run and each.classification.output == one.classification.output
        )
        said.append(f"{place(frame)}: {figure(own.probability_of(watched))}")
    more = f"; {len(one.frames) - _MOST_IMAGES} more" if len(one.frames) > _MOST_IMAGES else ""
    yield f"{_names(one.classification)[watched]} in each: {'; '.join(said)}{more}"


def _image_statement(frame: Frame, one: Classified, *, small: bool) -> Statement:
    bars, further = _bars(one.classification, one.points)
    by = f", by {one.run.bundle.name}" if len(frame.classified) > 1 else ""
    return Statement(
        heading=f"Call for {_this(frame)}{_crop(one.classification.region)}{by}", verdict=verdict(one.classification, one.points),
        # Beneath the lesion's call, which has just named threshold and setter, the bars say enough.
        reasons=() if small else reasons(one.classification, one.points), bars=bars, further=further, small=small,
    )


def _refusal(frame: Frame, one: Refused, *, small: bool) -> Statement:
    return Statement(
        heading=_this(frame) + _crop(one.refusal.region), verdict="Not analysed", reasons=refusal(one), small=small
    )


def _crop(region: Rectangle | None) -> str:
    return "" if region is None else f", {on_the_crop(region)}"


def _outline_alone(frame: Frame) -> Statement:
    lesions = [region for region in frame.regions if region.segmentation.concept != SKIN]
    found = any(region.measures.pixels for region in lesions)
    said = "Lesion outlined" if found else "No lesion found" if lesions else "Skin outlined"
    return Statement(heading=_this(frame), verdict=said, reasons=("No bundle gives a class for it.",))


def _this(frame: Frame) -> str:
    return "this frame" if frame.image.frames > 1 else "this image"


def _bars(classification: Classification, points: tuple[OperatingPoint, ...]) -> tuple[tuple[Bar, ...], str]:
    """Return bars of the watched and the most probable classes, by probability, and a word about the rest."""
    watched = {point.positive: tuple(sorted({each.threshold for each in points if each.positive == point.positive})) for point in points}
    by_probability = sorted(classification.probabilities, key=lambda one: -one.probability)
    # A class that a threshold watches is never among the rest, however many there are: its figure led to a call.
    leading = sorted(by_probability, key=lambda one: one.class_id not in watched)[: max(MOST_BARS, len(watched))]
    shown = [one for one in by_probability if one in leading]
    names = _names(classification)
    bars = tuple(
        Bar(
            name=names[one.class_id], share=one.probability, figure=figure(one.probability, *watched.get(one.class_id, ())),
            thresholds=watched.get(one.class_id, ()),
        )
        for one in shown
    )
    rest = [one.probability for one in by_probability if one not in leading]
    if not rest:
        return bars, ""
    return bars, f"{len(rest)} further {'class' if len(rest) == 1 else 'classes'}, together {figure(sum(rest))}"


def runs_of(frame: Frame) -> list[Run]:
    """Return the bundles that took part in a frame, each once, by name."""
    told = [*(one.run for one in frame.classified), *(one.run for one in frame.regions), *(one.run for one in frame.refused)]
    by_hash = {run.bundle.content_hash: run for run in told if run is not None}
    return sorted(by_hash.values(), key=lambda run: (run.bundle.name, run.bundle.version, run.bundle.content_hash))


def _where(frame: Frame, revision: int) -> Iterator[str]:
    yield place(frame)[:1].upper() + place(frame)[1:]
    if site(frame):
        yield site(frame)
    if revision > 1:
        yield f"result {revision} of this study"


def _names(classification: Classification) -> dict[str, str]:
    return {one.class_id: code(one.concept).meaning for one in classification.probabilities}


def _lower(meaning: str) -> str:
    return meaning[:1].lower() + meaning[1:]
