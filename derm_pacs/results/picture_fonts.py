"""The one typeface of pictures and printed reports, and what it can show: FiraGO, from a package, the same everywhere."""

import io
import re
import unicodedata
from functools import cache

import pymupdf_fonts
from PIL import ImageFont
from reportlab.pdfbase.ttfonts import TTFontFace

REGULAR, BOLD = "figo", "figbo"
"""Names of the two weights in the package of fonts."""

HIDDEN = "[…]"
"""Stands for characters that the typeface cannot show; a box would look like a name."""

_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "GEORGIAN", "COMBINING")
"""Scripts that are written from left to right, letter after letter; others need shaping, without which they are wrong."""
_SPACES = re.compile(r"\s+")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(mm|pixels|points)\b|%)")


@cache
def font_bytes(weight: str) -> bytes:
    """Return the TrueType file of a weight."""
    data: bytes = pymupdf_fonts.myfont(weight)
    return data


@cache
def font(size: int, weight: str = REGULAR) -> ImageFont.FreeTypeFont:
    """Return a weight at a size in pixels; laid out by Pillow alone, so that no library of the system has a say."""
    return ImageFont.truetype(io.BytesIO(font_bytes(weight)), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(TTFontFace(io.BytesIO(font_bytes(REGULAR))).charToGlyph)


def legible(text: str) -> str:
    """Return the text on one line as it can be shown; what the typeface lacks stands as `HIDDEN`, a number keeps its unit."""
    composed = _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip())
    shown: list[str] = []
    for character in composed:
        if _is_shown(character):
            shown.append(character)
        elif not shown or shown[-1] != HIDDEN:
            shown.append(HIDDEN)
    return "".join(shown)


def is_legible(text: str) -> bool:
    """Say whether nothing of the text is hidden."""
    return HIDDEN not in legible(text)


def _is_shown(character: str) -> bool:
    if ord(character) not in _glyphs():
        return False
    if unicodedata.category(character)[0] in "LM":
        return unicodedata.name(character, "").startswith(_SCRIPTS)
    return unicodedata.bidirectional(character) not in ("R", "AL", "AN")


def width(text: str, used: ImageFont.FreeTypeFont) -> float:
    """Return the width of a line in pixels."""
    return used.getlength(text)


def wrap(text: str, used: ImageFont.FreeTypeFont, most_width: float, most_lines: int) -> tuple[str, ...]:
    """Break a text into at most `most_lines` lines of at most `most_width` pixels; what is cut off ends in "…"."""
    lines: list[str] = []
    rest = legible(text)
    while rest:
        if len(lines) == most_lines - 1:
            lines.append(fitted(rest, used, most_width))
            break
        line, rest = _broken(rest, used, most_width)
        lines.append(line)
    return tuple(lines)


def fitted(text: str, used: ImageFont.FreeTypeFont, most_width: float) -> str:
    """Return the text shortened with "…" until it is at most `most_width` pixels wide."""
    shown = legible(text)
    if width(shown, used) <= most_width:
        return shown
    kept = _most(shown, used, most_width - width("…", used))
    return shown[:kept].rstrip() + "…"


def _broken(text: str, used: ImageFont.FreeTypeFont, most_width: float) -> tuple[str, str]:
    """Return the first line and what is left; a word longer than a line is broken within."""
    if width(text, used) <= most_width:
        return text, ""
    kept = max(1, _most(text, used, most_width))
    space = text.rfind(" ", 1, kept + 1)
    cut = space if space > 0 else kept
    return text[:cut].rstrip(), text[cut:].lstrip()


def _most(text: str, used: ImageFont.FreeTypeFont, most_width: float) -> int:
    """Return how many leading characters fit, by halving."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width(text[:middle], used) <= most_width:
            low = middle
        else:
            high = middle - 1
    return low
