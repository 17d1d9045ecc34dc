"""Which bundles read which images: routes of the settings, by SOP class and modality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of the settings."""

    name: str
    sop_classes: frozenset[str]
    """SOP Class UIDs; empty takes every class that can be analysed."""
    modalities: frozenset[str]
    """Values of Modality (0008,0060); empty takes every value."""
    bundles: tuple[str, ...]
    """Names of bundles, in the order in which they run."""
    destinations: tuple[str, ...]
    """Names of destinations for the results."""
    reads_crops_of: Mapping[str, str] = field(default_factory=dict)
    """A bundle that reads crops, and the bundle before it that finds them; without one it reads the whole image."""
    clinical: bool = True
    """Whether the images may be of patients: then no bundle of grade demonstration reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What a route looks at."""

    sop_class_uid: str
    modality: str


def route(facts: ImageFacts, routes: Sequence[Route]) -> Route | None:
    """Return the first route that takes the image, or None."""
    for one in routes:
        takes_class = not one.sop_classes or facts.sop_class_uid in one.sop_classes
        takes_modality = not one.modalities or facts.modality in one.modalities
        if takes_class and takes_modality:
            return one
    return None
