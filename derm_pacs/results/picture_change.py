"""The change of a lesion since it was seen before, as lines of a picture."""

from collections.abc import Iterator

from derm_pacs.domain.codes import code
from derm_pacs.results.arrange import LesionTold
from derm_pacs.results.picture_card import Paragraph
from derm_pacs.results.picture_figures import difference, figure, points, rounded
from derm_pacs.results.visits import Change, change_since

NOTHING_COMPARABLE = "Nothing can be compared: other bundles spoke then, and no figure of size is known of both visits."


def change(told: LesionTold) -> Paragraph | None:
    """Return what changed since the newest earlier visit, None where there is none."""
    changed = change_since(told)
    if changed is None:
        return None
    when = changed.since.study_date.isoformat() if changed.since.study_date else "unknown date"
    lines = (*_probabilities(told, changed), *_sizes(told, changed))
    return Paragraph(heading=f"Since the visit of {when}", lines=lines or (NOTHING_COMPARABLE,))


def _probabilities(told: LesionTold, changed: Change) -> Iterator[str]:
    """Yield the classes that a threshold watches; of a bundle without a threshold, the most probable one."""
    watched: set[tuple[str, str, str]] = set()
    for one in told.calls:
        leading = max(one.classification.probabilities, key=lambda each: each.probability).class_id
        classes = {point.positive for point in one.points} or {leading}
        watched |= {(one.run.bundle.content_hash, one.classification.output, class_id) for class_id in classes}
    for each in changed.probabilities:
        if (each.told.bundle_hash, each.told.output, each.told.class_id) in watched:
            before, now = each.step.before, each.step.now
            yield f"{code(each.told.concept).meaning}: {figure(before)} → {figure(now)} ({points(before, now)})"


def _sizes(told: LesionTold, changed: Change) -> Iterator[str]:
    """Yield area and greatest diameter where both visits know the pixel size, else the share of the image."""
    among = ", largest of the images" if len(told.outlined) > 1 else ""
    for name, unit, step in (("Area", "mm²", changed.area), ("Greatest diameter", "mm", changed.diameter)):
        if step is not None:
            before, now = step.before, step.now
            yield f"{name}{among}: {rounded(before)} {unit} → {rounded(now)} {unit} ({difference(before, now, unit)})"
    if changed.area is None and changed.share is not None:
        before, now = changed.share.before, changed.share.now
        yield f"Share of the image{among}: {figure(before)} → {figure(now)} ({points(before, now)}); it depends on the camera's distance"
