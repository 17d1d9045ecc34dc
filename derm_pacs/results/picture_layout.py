"""Where everything of a picture stands: images left and words right, or, where the image is wide, words beneath.

Viewers print over the four corners and the top middle of what they show; nothing of ours stands there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from derm_pacs.results.picture_card import Bar, Card, Panel, Paragraph, Statement
from derm_pacs.results.picture_figures import threshold as written
from derm_pacs.results.picture_fonts import BOLD, REGULAR
from derm_pacs.results.picture_marks import DIM, TEXT, Box, Colour, Column, Mark, moved
from derm_pacs.results.picture_paint import ACCENT, WHITE, heat_colour, shown_size

WIDTH = 1440
LEAST_HEIGHT = 900
MARGIN_X, MARGIN_Y = 72, 100
"""Viewers print four lines into a corner: about this much of a picture that fills the window."""

AMBER: Colour = (255, 196, 84)
_TRACK: Colour = (54, 58, 65)
_FILL: Colour = (148, 156, 166)
_GAP = 56
_WORDS_WIDTH = 560
_IMAGES_WIDTH = WIDTH - 2 * MARGIN_X - _GAP - _WORDS_WIDTH
_IMAGES_HEIGHT = 900
_WIDE = 2.4
"""Images so many times wider than high stand above the words."""
_BETWEEN = 26
_STACKED_GAIN = 1.3
"""Images stand beneath one another only where that shows them so much larger."""
_LEAST_LEGEND = 300
_HEAT_STEPS, _HEAT_WIDTH, _HEAT_HEIGHT = 48, 240, 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """A panel at its place."""

    panel: Panel
    x: int
    y: int
    size: tuple[int, int]
    """Width and height."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """A whole picture, ready to be drawn."""

    width: int
    height: int
    panels: tuple[Placed, ...]
    marks: tuple[Mark, ...]


def lay_out(card: Card) -> Layout:
    """Place everything; the picture becomes higher where there is more to say."""
    if not card.panels:
        return _words_alone(card)
    rows, columns = card.panels[0].size
    return _beneath(card) if columns > _WIDE * rows else _beside(card)


def _words_alone(card: Card) -> Layout:
    column = Column(880)
    for part in (_head(column.width, card), _body(column.width, card), _honesty(column.width, card)):
        _append(column, part)
    top = max(MARGIN_Y, (LEAST_HEIGHT - column.height) / 2)
    return _layout((), column.placed((WIDTH - column.width) / 2, top))


def _beside(card: Card) -> Layout:
    words = Column(_WORDS_WIDTH)
    for part in (_head(words.width, card), _body(words.width, card), _honesty(words.width, card)):
        _append(words, part)
    placed, captions, bottom = _panels(card.panels, MARGIN_X, MARGIN_Y, _IMAGES_WIDTH, _IMAGES_HEIGHT)
    lower = (max(bottom, MARGIN_Y + words.height) - bottom) / 2
    shifted = [Placed(panel=one.panel, x=one.x, y=one.y + round(lower), size=one.size) for one in placed]
    marks = [moved(mark, 0, round(lower)) for mark in captions]
    marks += words.placed(MARGIN_X + _IMAGES_WIDTH + _GAP, MARGIN_Y)
    return _layout(shifted, marks)


def _beneath(card: Card) -> Layout:
    across = WIDTH - 2 * MARGIN_X
    placed, marks, bottom = _panels(card.panels, MARGIN_X, MARGIN_Y, across, _IMAGES_HEIGHT // 2)
    half = (across - _GAP) / 2
    left, right = Column(half), Column(half)
    _append(left, _head(half, card))
    for one in card.statements:
        _append(left, _statement(half, one))
    for paragraph in card.paragraphs:
        _append(right, _paragraph(half, paragraph))
    _append(right, _honesty(half, card))
    marks += left.placed(MARGIN_X, bottom + _BETWEEN) + right.placed(MARGIN_X + half + _GAP, bottom + _BETWEEN)
    return _layout(placed, marks)


def _layout(panels: Sequence[Placed], marks: Sequence[Mark]) -> Layout:
    lowest = max(mark.bottom for mark in marks)
    lowest = max([lowest, *(one.y + one.size[1] for one in panels)])
    height = max(LEAST_HEIGHT, round(lowest) + MARGIN_Y)
    return Layout(width=WIDTH, height=height, panels=tuple(panels), marks=tuple(marks))


def _panels(panels: Sequence[Panel], x: int, y: int, wide: int, high: int) -> tuple[list[Placed], list[Mark], float]:
    """Place panels in a box, side by side or beneath one another, whichever shows them larger."""
    count = len(panels)
    across = (wide - (count - 1) * 24) // count
    down = (high - (count - 1) * 24) // count
    side_by_side = _STACKED_GAIN * shown_size(panels[0], across, high)[0] > shown_size(panels[0], wide, down)[0]
    placed: list[Placed] = []
    marks: list[Mark] = []
    left, top, bottom = x, float(y), float(y)
    for panel in panels:
        size = shown_size(panel, across if side_by_side else wide, high if side_by_side else down)
        room = across if side_by_side else wide
        placed.append(Placed(panel=panel, x=left, y=round(top), size=size))
        legend = _legend(panel, min(room, max(size[0], _LEAST_LEGEND)))
        marks += legend.placed(left, round(top) + size[1] + 10)
        ends = round(top) + size[1] + 10 + legend.height
        bottom = max(bottom, ends)
        if side_by_side:
            left += across + 24
        else:
            top = ends + 24
    return placed, marks, bottom


def _legend(panel: Panel, wide: float) -> Column:
    legend = Column(wide)
    for outline in panel.outlines:
        legend.marks.append(
            Box(x=0, right=34, y=legend.height + 10, bottom=legend.height + 14, fill=ACCENT if outline.is_lesion else WHITE)
        )
        inner = Column(wide - 46)
        inner.lines(outline.name, 17, most=1)
        legend.marks += inner.placed(46, legend.height)
        legend.height += inner.height
    legend.lines(panel.caption, 17, colour=DIM, most=3)
    if panel.heat is not None:
        _append(legend, _heat_scale(wide))
    return legend


def _heat_scale(wide: float) -> Column:
    """Return the colours from weak to strong with their words."""
    column = Column(wide)
    column.space(8)
    column.lines("weak", 15, colour=DIM, most=1)
    scale, step = 46, _HEAT_WIDTH / _HEAT_STEPS
    top = column.height - 16
    for number in range(_HEAT_STEPS):
        left = scale + number * step
        colour = heat_colour(number / (_HEAT_STEPS - 1))
        column.marks.append(Box(x=left, right=left + step, y=top, bottom=top + _HEAT_HEIGHT, fill=colour))
    strong = Column(60)
    strong.lines("strong", 15, colour=DIM, most=1)
    column.marks += strong.placed(scale + _HEAT_WIDTH + 12, column.height - strong.height)
    return column


def _append(column: Column, part: Column) -> None:
    column.marks += part.placed(0, column.height)
    column.height += part.height


def _head(wide: float, card: Card) -> Column:
    head = Column(wide)
    head.lines(card.title, 30, weight=BOLD, most=2)
    head.lines(card.subtitle, 18, colour=DIM, most=3)
    if card.marks:
        head.space(12)
        head.pills(card.marks, AMBER)
    head.space(_BETWEEN)
    return head


def _body(wide: float, card: Card) -> Column:
    body = Column(wide)
    for one in card.statements:
        _append(body, _statement(wide, one))
    for paragraph in card.paragraphs:
        _append(body, _paragraph(wide, paragraph))
    return body


def _statement(wide: float, one: Statement) -> Column:
    column = Column(wide)
    column.heading(one.heading)
    column.lines(one.verdict, 26 if one.small else 40, weight=BOLD, most=3)
    for reason in one.reasons:
        column.lines(reason, 19, most=6)
    if one.bars:
        column.space(12)
    for bar in one.bars:
        _append(column, _bar(wide, bar))
    column.lines(one.further, 17, colour=DIM, most=2)
    column.space(_BETWEEN)
    return column


def _bar(wide: float, bar: Bar) -> Column:
    column = Column(wide)
    column.row(bar.name, bar.figure, 19, weight=BOLD if bar.watched else REGULAR)
    column.box(0, wide, 14, fill=_TRACK)
    if bar.share > 0:
        column.box(0, max(3.0, wide * bar.share), 14, fill=ACCENT if bar.watched else _FILL)
    for threshold in bar.thresholds:
        middle = min(max(wide * threshold, 2.0), wide - 2.0)
        column.box(middle - 2, middle + 2, 24, fill=TEXT, lift=5)
    column.space(20)
    for threshold in bar.thresholds:
        column.under(f"threshold {written(threshold)}", wide * threshold, 15)
    column.space(10)
    return column


def _paragraph(wide: float, paragraph: Paragraph) -> Column:
    column = Column(wide)
    column.heading(paragraph.heading)
    for line in paragraph.lines:
        column.lines(line, 19, most=4)
    column.space(_BETWEEN)
    return column


def _honesty(wide: float, card: Card) -> Column:
    inner = Column(wide - 40)
    inner.lines(card.honesty, 21, weight=BOLD, colour=AMBER, most=4)
    column = Column(wide)
    column.marks.append(Box(x=0, y=0, right=wide, bottom=inner.height + 28, edge=AMBER, radius=8))
    column.marks += inner.placed(20, 14)
    column.height = inner.height + 28
    return column
