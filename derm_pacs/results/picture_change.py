"""The change of a lesion since it was seen before, as lines of a picture; only what can be compared is compared."""

from collections.abc import Iterator

from derm_pacs.domain.codes import code
from derm_pacs.domain.visits import LesionVisit
from derm_pacs.results.arrange import LesionTold
from derm_pacs.results.picture_card import Paragraph
from derm_pacs.results.picture_figures import difference, figure, points, rounded

NOTHING_COMPARABLE = "Nothing can be compared: other bundles spoke then, and the pixel size is not known both times."


def change(told: LesionTold) -> Paragraph | None:
    """Return what changed since the newest earlier visit, None where there is none."""
    visit = told.earlier
    if visit is None:
        return None
    date = visit.study_date.isoformat() if visit.study_date else "unknown date"
    lines = (*_probabilities(told, visit), *_sizes(told, visit))
    return Paragraph(heading=f"Since the visit of {date}", lines=lines or (NOTHING_COMPARABLE,))


def _probabilities(told: LesionTold, visit: LesionVisit) -> Iterator[str]:
    """Yield the watched classes where the same bundle gave both figures; without a threshold, the most probable class."""
    before = {(one.bundle_hash, one.output, one.class_id): one.probability for one in visit.probabilities}
    for one in told.calls:
        classes = one.classification.probabilities
        watched = {point.positive for point in one.points} or {max(classes, key=lambda each: each.probability).class_id}
        for each in classes:
            then = before.get((one.run.bundle.content_hash, one.classification.output, each.class_id))
            if each.class_id in watched and then is not None:
                name = code(each.concept).meaning
                yield f"{name}: {figure(then)} → {figure(each.probability)} ({points(then, each.probability)})"


def _sizes(told: LesionTold, visit: LesionVisit) -> Iterator[str]:
    """Yield area and greatest diameter where both visits know the pixel size, else the share of the image."""
    outlined = told.outlined
    if not outlined:
        return
    among = ", largest of the images" if len(outlined) > 1 else ""
    calibrated = [region.measures for region in outlined if region.measures.spacing]
    if calibrated and visit.area is not None and visit.diameter is not None:
        for name, unit, then, now in (
            ("Area", "mm²", visit.area, max(one.area for one in calibrated)),
            ("Greatest diameter", "mm", visit.diameter, max(one.diameter for one in calibrated)),
        ):
            yield f"{name}{among}: {rounded(then)} {unit} → {rounded(now)} {unit} ({difference(then, now, unit)})"
    elif visit.share is not None:
        now = max(region.measures.share for region in outlined)
        yield f"Share of the image{among}: {figure(visit.share)} → {figure(now)} ({points(visit.share, now)}); it depends on the camera's distance"
