"""What a picture shows, as values: panels with images, and beside them the words."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derm_pacs.domain.findings import Heat, Preview

Points = NDArray[np.float64]
"""(n, 2) column and row as shares of the image, 0..1; closed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A region's contour."""

    points: Points
    name: str
    is_lesion: bool
    """The lesion has the accent colour, any other region is white."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """One image of the picture: the frame with its outlines, or with a map of where the network looked."""

    preview: Preview | None
    """None where the frame cannot be shown; the outlines then lie on a plain field."""
    size: tuple[int, int]
    """Rows and columns of the frame itself; they give the shape."""
    outlines: tuple[Outline, ...]
    caption: str
    heat: Heat | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A class's probability as a bar."""

    name: str
    share: float
    """0..1, as it is drawn."""
    figure: str
    """As it is written, in per cent."""
    thresholds: tuple[float, ...] = ()
    """Where the marks stand, 0..1."""

    @property
    def watched(self) -> bool:
        """Whether a threshold holds for the class."""
        return bool(self.thresholds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One large statement with its reason beneath: a call, or that there is none, and the bars that it comes from."""

    heading: str
    verdict: str
    reasons: tuple[str, ...]
    bars: tuple[Bar, ...] = ()
    further: str = ""
    """Of the classes without a bar."""
    small: bool = False
    """Beneath a statement that weighs more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Lines under a heading."""

    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Card:
    """One picture."""

    title: str
    subtitle: str
    marks: tuple[str, ...]
    """SYNTHETIC, DEMONSTRATION."""
    panels: tuple[Panel, ...]
    statements: tuple[Statement, ...]
    paragraphs: tuple[Paragraph, ...]
    honesty: str
    """The sentence that stands on every result."""

    def words(self) -> Iterator[str]:
        """Yield every text of the picture in the order of reading, whole where the drawing shortens it."""
        yield self.honesty
        yield from self.marks
        yield self.title
        yield self.subtitle
        for one in self.statements:
            yield f"{one.heading}: {one.verdict}"
            yield from one.reasons
            yield from (f"{bar.name} {bar.figure}" for bar in one.bars)
            yield one.further
        for paragraph in self.paragraphs:
            yield paragraph.heading
            yield from paragraph.lines
        yield from (panel.caption for panel in self.panels)
