"""Typeface, colours and building blocks of the PDF report."""

import io
from collections.abc import Sequence
from functools import cache
from xml.sax.saxutils import escape

from PIL import Image as PillowImage
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Image, Paragraph, Table, TableStyle

from derm_pacs.results.picture_fonts import BOLD, REGULAR, font_bytes, legible

WIDTH, HEIGHT = A4
MARGIN = 18 * mm
INSET = 6
"""What a page's frame leaves free within its margins, in points."""
ROOM = WIDTH - 2 * MARGIN - 2 * INSET
"""Width of what is printed."""
INK, DIM, LINE = HexColor("#17191c"), HexColor("#5b636c"), HexColor("#c9ced4")
AMBER, PALE = HexColor("#8a5a00"), HexColor("#fff6e3")
_FACE, _FACE_BOLD = "FiraGO", "FiraGO-Bold"
_JPEG_QUALITY = 92


@cache
def _register() -> None:
    for name, weight in ((_FACE, REGULAR), (_FACE_BOLD, BOLD)):
        pdfmetrics.registerFont(TTFont(name, io.BytesIO(font_bytes(weight))))


def face(*, bold: bool = False) -> str:
    """Return the name of the registered typeface."""
    _register()
    return _FACE_BOLD if bold else _FACE


def style(size: float, *, bold: bool = False, colour: Color = INK, before: float = 0, right: bool = False) -> ParagraphStyle:
    """Return a style; `before` is the space above in points."""
    return ParagraphStyle(
        name=f"{size}", fontName=face(bold=bold), fontSize=size, leading=size * 1.36, textColor=colour, spaceBefore=before,
        alignment=TA_RIGHT if right else 0, splitLongWords=True,
    )


def text(words: str, size: float = 9, *, bold: bool = False, colour: Color = INK, before: float = 0) -> Paragraph:
    """Return a paragraph; what the typeface cannot show is marked, nothing of it is read as markup."""
    return Paragraph(escape(legible(words)), style(size, bold=bold, colour=colour, before=before))


def heading(words: str) -> Paragraph:
    """Return a heading that stays with what follows."""
    made = style(12.5, bold=True, before=12)
    made.keepWithNext = 1
    made.spaceAfter = 3
    return Paragraph(escape(legible(words)), made)


def facts(rows: Sequence[tuple[str, str]]) -> Table:
    """Return names and values in two columns of pairs."""
    cells = [(text(name, 8, colour=DIM), text(value or "not stated", 9)) for name, value in rows]
    cells += [(text(""), text(""))] * (len(cells) % 2)
    half = (len(cells) + 1) // 2
    lines = [[*cells[number], *cells[number + half]] for number in range(half)]
    table = Table(lines, colWidths=[0.17 * ROOM, 0.33 * ROOM] * 2, hAlign="LEFT")
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0), *_tight()]))
    return table


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float]) -> Table:
    """Return a table with a head that repeats on each page; `shares` are the columns' parts of the width."""
    lines = [[text(one, 8, bold=True) for one in head], *([text(one, 8.5) for one in row] for row in rows)]
    table = Table(lines, colWidths=[ROOM * share for share in shares], repeatRows=1, hAlign="LEFT")
    table.setStyle(TableStyle([
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK), ("LINEBELOW", (0, 1), (-1, -1), 0.3, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 2), *_tight(),
    ]))  # fmt: skip
    return table


def boxed(words: Sequence[str]) -> Table:
    """Return sentences in a box that cannot be overlooked."""
    table = Table([[[text(one, 10, bold=number == 0, colour=AMBER) for number, one in enumerate(words)]]], colWidths=[ROOM], hAlign="LEFT")
    table.setStyle(TableStyle([("BOX", (0, 0), (-1, -1), 1, AMBER), ("BACKGROUND", (0, 0), (-1, -1), PALE), ("TOPPADDING", (0, 0), (-1, -1), 4)]))
    return table


def photograph(image: PillowImage.Image, width: float) -> Image:
    """Return an image `width` points wide, as JPEG: a print does not need more."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    buffer.seek(0)
    return Image(buffer, width=width, height=width * image.height / image.width)


def side_by_side(cells: Sequence[Flowable | Sequence[Flowable]]) -> Table:
    """Return cells in one row of two."""
    table = Table([list(cells)], colWidths=[ROOM / 2] * 2, hAlign="LEFT")
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0), *_tight()]))
    return table


def _tight() -> list[tuple[str, tuple[int, int], tuple[int, int], float]]:
    return [("TOPPADDING", (0, 0), (-1, -1), 1.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5), ("RIGHTPADDING", (0, 0), (-1, -1), 5)]
