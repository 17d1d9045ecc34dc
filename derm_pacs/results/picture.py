"""A card as pixels: the picture that says everything by itself in every viewer."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from derm_pacs.results.picture_card import Card
from derm_pacs.results.picture_layout import Layout, lay_out
from derm_pacs.results.picture_marks import draw as draw_marks
from derm_pacs.results.picture_paint import paint

BACKGROUND = (20, 22, 26)

Picture = NDArray[np.uint8]
"""(rows, columns, 3) RGB."""


def draw(card: Card) -> Picture:
    """Draw a card; equal cards give equal pixels."""
    return drawn(lay_out(card))


def drawn(layout: Layout) -> Picture:
    """Draw what is laid out."""
    canvas = Image.new("RGB", (layout.width, layout.height), BACKGROUND)
    for one in layout.panels:
        canvas.paste(paint(one.panel, one.size), (one.x, one.y))
    draw_marks(layout.marks, ImageDraw.Draw(canvas))
    return np.asarray(canvas, dtype=np.uint8)
