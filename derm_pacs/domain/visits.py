"""What one visit said of a lesion, kept so that a later visit can be compared with it."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from derm_pacs.domain.composed import Reference


class Grouping(StrEnum):
    """By what images are said to show one lesion, within a study and from visit to visit."""

    TRACKING = "tracking"
    """By the images' own tracking UID alone; an image without one stands for itself."""
    SITE = "site"
    """Also, where an image has no tracking UID, by patient, anatomic site and laterality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionProbability:
    """A lesion's probability of one class, by one bundle's rule over the lesion's images."""

    bundle_hash: str
    """Figures of two visits are compared only where the same bundle gave them."""
    output: str
    class_id: str
    concept: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionVisit:
    """What one revision said of one lesion."""

    tracking_uid: str
    """The name that the lesion has in our objects of that revision."""
    tracked: bool
    """Whether the tracking UID is the images' own."""
    site: str | None
    """Code value of the anatomic region, None where the images name none."""
    laterality: str | None
    """Code value of the side, None where the images name none."""
    study_instance_uid: str
    study_date: date | None
    report: Reference
    """What that revision is named by: its report SR, else its PDF or first picture where no report SR was made."""
    images: tuple[tuple[str, str], ...]
    """(SOP Class UID, SOP Instance UID) of the lesion's images."""
    probabilities: tuple[LesionProbability, ...]
    area: float | None
    """In mm2, the largest of the lesion's images; None where no image says how large a pixel is."""
    diameter: float | None
    """In mm, as `area`."""
    share: float | None
    """Largest share of the image that the lesion covers, 0..1; None where it was not outlined."""
    outlined_by: tuple[str, ...]
    """Content hashes of the bundles that outlined the lesion, sorted; sizes are compared only where the same ones did."""
