"""What bundles say of images: typed values between inference, ledger and results."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from derm_pacs.domain.study import StoredInstance
from derm_pacs.domain.visits import Grouping, LesionVisit

Mask = NDArray[np.bool_]
"""(rows, columns) of the source image's frame; True is inside."""


Heat = NDArray[np.uint8]
"""(rows, columns), at most 64 x 64, laid over the whole frame; 255 is the strongest."""

Preview = NDArray[np.uint8]
"""(rows, columns, 3) RGB of a frame, the longer side at most 1024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """A part of a frame, in pixels of the frame: from (left, top) on `width` columns and `height` rows."""

    left: int
    top: int
    width: int
    height: int

    def lies_in(self, rows: int, columns: int) -> bool:
        """Whether it holds pixels, all of them of a frame of this size."""
        across = 0 <= self.left < self.left + self.width <= columns
        return across and 0 <= self.top < self.top + self.height <= rows


class RunRole(StrEnum):
    """What a run is for; only active runs make results."""

    ACTIVE = "active"
    SHADOW = "shadow"
    REPLAY = "replay"


class Grade(StrEnum):
    """How far a bundle may be trusted with patients."""

    RESEARCH = "research"
    """Validated on real images."""
    DEMONSTRATION = "demonstration"
    """Trained on synthetic or partly synthetic data: never active on a clinical route, results titled so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleIdentity:
    """Exactly which bundle."""

    name: str
    version: str
    content_hash: str
    """Hexadecimal SHA-256 of the manifest of the installed files."""
    title: str
    grade: Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The threshold in force for a classification output, and who set it."""

    id: str
    output: str
    positive: str
    """Class id whose probability is compared with the threshold."""
    threshold: float
    """Probability in 0..1; the call is positive at or above it."""
    set_by: str
    """Actor who set it; the bundle's own default names the bundle's author."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassProbability:
    """One class of a classification output."""

    class_id: str
    concept: str
    """Name of the class's row in `domain/codes.py`."""
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Saliency:
    """Where the network found what speaks for a class; a coarse map over the whole of what it read, frame or crop."""

    method: str
    """Name of the method's row in `domain/codes.py`."""
    class_id: str
    grid: Heat


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The probabilities of one frame or of one crop of it, in the bundle's order of classes; they sum to 1."""

    output: str
    probabilities: tuple[ClassProbability, ...]
    saliency: Saliency | None = None
    """None where the bundle explains nothing."""
    region: Rectangle | None = None
    """The crop that was read; None where the whole frame was."""

    def probability_of(self, class_id: str) -> float:
        """Return the probability of a class; raises `KeyError` where the output has no such class."""
        for one in self.probabilities:
            if one.class_id == class_id:
                return one.probability
        raise KeyError(class_id)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """One segmented region of one frame; an empty mask says that nothing was found."""

    output: str
    concept: str
    """Name of the region's row in `domain/codes.py`."""
    threshold: float
    """Probability at or above which a pixel is inside."""
    mask: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """Which parts of the frame another bundle may read, by a bundle that searches them; empty where there is none."""

    output: str
    """The segmentation output around whose regions the search went."""
    rectangles: tuple[Rectangle, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The bundle did not analyse the frame, or one crop of it, because."""

    reason: str
    """Code of a row of `domain/reasons.py`."""
    detail: str = ""
    """The figure that decided, with its limit; no patient data."""
    region: Rectangle | None = None
    """The crop that was to be read; None where it was the whole frame."""


Outcome = Classification | Segmentation | Crops | Refusal
"""What one bundle says of one frame; a bundle with several outputs, or several crops to read, gives several outcomes."""


class Combine(StrEnum):
    """How several images of a lesion give one call."""

    MEAN = "mean"
    """The mean of the images' probabilities."""
    MAXIMUM = "maximum"
    """The image with the highest probability of the operating point's positive class speaks for the lesion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRule:
    """The bundle's stated rule for one classification output."""

    output: str
    combine: Combine


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One bundle on one revision."""

    bundle: BundleIdentity
    role: RunRole
    operating_points: tuple[OperatingPoint, ...]
    lesion_rules: tuple[LesionRule, ...] = ()
    """One for each classification output; without one, each image's call stands alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameFinding:
    """What one run says of one frame of one image."""

    bundle_hash: str
    """Content hash of the bundle of the run."""
    image: StoredInstance
    frame: int
    """1-based; 1 for a single-frame image."""
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseFindings:
    """All that is to be said of a revision."""

    runs: tuple[Run, ...]
    findings: tuple[FrameFinding, ...]
    unreadable: tuple[str, ...] = ()
    """SOP Instance UIDs of objects of the study that cannot be read; the report names them."""
    grouping: Grouping = Grouping.TRACKING
    visits: tuple[LesionVisit, ...] = ()
    """What earlier studies of the patient said of lesions; which of them are lesions of this study, composing finds out."""

    @property
    def analysed(self) -> bool:
        """Whether at least one frame was analysed by at least one bundle."""
        return any(not isinstance(outcome, Refusal) for finding in self.findings for outcome in finding.outcomes)
