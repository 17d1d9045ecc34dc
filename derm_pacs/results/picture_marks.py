"""What is drawn beside the images, as texts and boxes at places: measured before anything is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import ImageDraw

from derm_pacs.results.picture_fonts import BOLD, REGULAR, fitted, font, width, wrap

Colour = tuple[int, int, int]

TEXT: Colour = (240, 242, 244)
DIM: Colour = (166, 172, 180)
"""For what explains; seven to one against the background."""
_LINE_SPACING = 1.36


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line of text; (x, y) is the upper left corner of its line."""

    x: float
    y: float
    words: str
    size: int
    colour: Colour = TEXT
    weight: str = REGULAR

    @property
    def right(self) -> float:
        """Where the line ends."""
        return self.x + width(self.words, font(self.size, self.weight))

    @property
    def bottom(self) -> float:
        """Where the next line may begin."""
        return self.y + line_height(self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled or outlined rectangle with rounded corners."""

    x: float
    y: float
    right: float
    bottom: float
    fill: Colour | None = None
    edge: Colour | None = None
    radius: float = 0.0


Mark = Text | Box


def line_height(size: int) -> float:
    """Return the distance between two lines."""
    return round(size * _LINE_SPACING)


def moved(mark: Mark, x: float, y: float) -> Mark:
    """Return the mark at another place."""
    if isinstance(mark, Text):
        return replace(mark, x=mark.x + x, y=mark.y + y)
    return replace(mark, x=mark.x + x, right=mark.right + x, y=mark.y + y, bottom=mark.bottom + y)


def draw(marks: Sequence[Mark], on: ImageDraw.ImageDraw) -> None:
    """Draw the marks, the later over the earlier."""
    for mark in marks:
        if isinstance(mark, Text):
            on.text((round(mark.x), round(mark.y)), mark.words, fill=mark.colour, font=font(mark.size, mark.weight))
        else:
            around = (round(mark.x), round(mark.y), round(mark.right), round(mark.bottom))
            on.rounded_rectangle(around, radius=mark.radius, fill=mark.fill, outline=mark.edge, width=2)


class Column:
    """Marks one beneath the other within a width; (0, 0) is the upper left corner."""

    def __init__(self, most_width: float) -> None:
        self.width = most_width
        self.height = 0.0
        self.marks: list[Mark] = []

    def space(self, height: float) -> None:
        """Leave room."""
        self.height += height

    def lines(self, words: str, size: int, *, colour: Colour = TEXT, weight: str = REGULAR, most: int = 3) -> None:
        """Add a text in at most `most` lines."""
        for line in wrap(words, font(size, weight), self.width, most):
            self.marks.append(Text(x=0, y=self.height, words=line, size=size, colour=colour, weight=weight))
            self.height += line_height(size)

    def heading(self, words: str) -> None:
        """Add a heading above lines."""
        self.lines(words.upper(), 15, colour=DIM, weight=BOLD, most=2)
        self.space(4)

    def row(self, left: str, right: str, size: int, *, colour: Colour = TEXT, weight: str = REGULAR) -> None:
        """Add one line with a text at either end; the left one is shortened where both do not fit."""
        used = font(size, weight)
        room = self.width - width(right, used) - size
        for words, x in ((fitted(left, used, room), 0.0), (right, self.width - width(right, used))):
            self.marks.append(Text(x=x, y=self.height, words=words, size=size, colour=colour, weight=weight))
        self.height += line_height(size)

    def under(self, words: str, middle: float, size: int) -> None:
        """Add a line centred on a place, or as near to it as it fits."""
        shown = fitted(words, font(size), self.width)
        wide = width(shown, font(size))
        x = min(max(middle - wide / 2, 0.0), self.width - wide)
        self.marks.append(Text(x=x, y=self.height, words=shown, size=size, colour=DIM))
        self.height += line_height(size)

    def box(self, x: float, right: float, height: float, *, fill: Colour, lift: float = 0.0) -> None:
        """Add a filled bar `height` high at the present place, `lift` above it; the place stays."""
        self.marks.append(
            Box(x=x, right=right, y=self.height - lift, bottom=self.height - lift + height, fill=fill, radius=min(3.0, height / 2))
        )

    def pills(self, words: Sequence[str], colour: Colour) -> None:
        """Add short words, each in an outline, side by side or beneath one another."""
        size, x = 17, 0.0
        height = line_height(size) + 8
        for one in words:
            wide = width(one, font(size, BOLD)) + 28
            if x and x + wide > self.width:
                x, self.height = 0.0, self.height + height + 8
            self.marks.append(Box(x=x, y=self.height, right=x + wide, bottom=self.height + height, edge=colour, radius=height / 2))
            self.marks.append(Text(x=x + 14, y=self.height + 4, words=one, size=size, colour=colour, weight=BOLD))
            x += wide + 12
        self.height += height

    def placed(self, x: float, y: float) -> list[Mark]:
        """Return the marks with the column's corner at (x, y)."""
        return [moved(mark, x, y) for mark in self.marks]
