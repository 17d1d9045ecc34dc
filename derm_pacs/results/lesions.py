"""From images to lesions: which images show one lesion, what they say of it together, and where it was seen before."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from derm_pacs.domain.findings import Classification, Combine
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.domain.visits import Grouping, LesionVisit
from derm_pacs.results.source import SourceImage

Place = tuple[str, str | None]
"""Code values of anatomic region and side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One lesion of the study, under the name that it has in all our objects."""

    number: int
    tracking_uid: str
    """The images' own tracking UID, else derived from installation, study and image or place."""
    tracking_id: str
    """The image's own tracking identifier, else the label."""
    tracked: bool = False
    """Whether the tracking UID is the images' own."""

    @property
    def label(self) -> str:
        """Our own short name; an overlay's identifier is never the image's (viewers react to some prefixes)."""
        return f"Lesion {self.number}"


def lesions(images: Iterable[SourceImage], installation_uid: str, grouping: Grouping) -> dict[str, Lesion]:
    """Return the lesion of each image by SOP Instance UID, numbered in the order of their first image.

    Images with one tracking UID show one lesion; with `Grouping.SITE` also those without one that name the same place.
    """
    numbers: dict[str, int] = {}
    found: dict[str, Lesion] = {}
    for image in images:
        uid = image.tracking.uid if image.tracking else _derived(image, installation_uid, grouping)
        number = numbers.setdefault(uid, len(numbers) + 1)
        own = image.tracking.identifier if image.tracking else None
        found[image.uid] = Lesion(
            number=number, tracking_uid=uid, tracking_id=own or f"Lesion {number}", tracked=image.tracking is not None
        )
    return found


def place(image: SourceImage) -> Place | None:
    """Return where an image says that it was taken, None where it does not say it."""
    if image.site is None:
        return None
    return image.site.region.value, image.site.laterality.value if image.site.laterality else None


def combined(classifications: Sequence[Classification], rule: Combine, positive: str | None) -> Classification | None:
    """Return what several images of a lesion say together, None where the rule decides nothing.

    The mean is that of each class, in the order of the first image. The maximum needs a `positive` class: the first
    image with its highest probability speaks. Images whose classes differ cannot be combined.
    """
    first = classifications[0]
    classes = [one.class_id for one in first.probabilities]
    if any([each.class_id for each in one.probabilities] != classes for one in classifications):
        return None
    if rule is Combine.MAXIMUM:
        if positive is None:
            return None
        return replace(max(classifications, key=lambda one: one.probability_of(positive)), saliency=None, region=None)
    means = (
        replace(each, probability=sum(one.probabilities[n].probability for one in classifications) / len(classifications))
        for n, each in enumerate(first.probabilities)
    )
    return replace(first, probabilities=tuple(means), saliency=None, region=None)


def earlier(
    lesion: Lesion, places: Mapping[str, Place | None], visits: Sequence[LesionVisit],
    *, study_uid: str, study_date: date | None, grouping: Grouping,
) -> LesionVisit | None:
    """Return the newest earlier visit of a lesion, None where there is none.

    `places` gives the place of each lesion of this study by tracking UID. The tracking UID decides; with
    `Grouping.SITE`, the place does where exactly one lesion of this study and one of the earlier is there, unless the
    images of both name other lesions.
    """
    before = [one for one in visits if one.study_instance_uid != study_uid and _is_earlier(one, study_date)]
    matching = [one for one in before if one.tracking_uid == lesion.tracking_uid]
    if not matching and grouping is Grouping.SITE:
        matching = _at_the_same_place(lesion, places, before)
    return max(matching, key=_age, default=None)


def _at_the_same_place(lesion: Lesion, places: Mapping[str, Place | None], before: Sequence[LesionVisit]) -> list[LesionVisit]:
    here = places[lesion.tracking_uid]
    if here is None or list(places.values()).count(here) != 1:
        return []
    there = [one for one in before if one.site is not None and (one.site, one.laterality) == here]
    in_study = Counter({(one.study_instance_uid, one.tracking_uid) for one in there})
    lesions_of = Counter(study for study, _ in in_study)
    return [
        one for one in there if lesions_of[one.study_instance_uid] == 1 and not (one.tracked and lesion.tracked)
    ]


def _is_earlier(visit: LesionVisit, study_date: date | None) -> bool:
    return visit.study_date is None or study_date is None or visit.study_date <= study_date


def _age(visit: LesionVisit) -> tuple[date, str, str]:
    return visit.study_date or date.min, visit.study_instance_uid, visit.report.sop_instance_uid


def _derived(image: SourceImage, installation_uid: str, grouping: Grouping) -> str:
    where = place(image)
    if grouping is Grouping.SITE and where is not None:
        return derived_uid(["lesion at", installation_uid, image.study_uid, where[0], where[1] or ""])
    return derived_uid(["lesion", installation_uid, image.study_uid, image.uid])
