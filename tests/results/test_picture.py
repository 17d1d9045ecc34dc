"""The picture's drawing: nothing overflows or stands where viewers print, contours show on any skin, figures do not lie."""

import importlib.util
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from derm_pacs.results.contour import outline
from derm_pacs.results.picture import draw
from derm_pacs.results.picture_card import Bar, Card, Outline, Panel, Paragraph, Statement
from derm_pacs.results.picture_figures import difference, figure, points, rounded, threshold
from derm_pacs.results.picture_fonts import HIDDEN, fitted, font, legible, width, wrap
from derm_pacs.results.picture_layout import MARGIN_Y, Layout, lay_out
from derm_pacs.results.picture_marks import Text
from derm_pacs.results.picture_paint import ACCENT, paint, shown_size
from derm_pacs.results.wording import RESEARCH_USE

HONESTY = RESEARCH_USE.rstrip(".")
LONG = "Keloid_and_hypertrophic_scar_after_burns " * 12


def panel(kit: Any, rows: int, columns: int, *, shown: bool = True, heat: bool = False) -> Panel:
    mask = kit.lesion_mask(rows, columns)
    contour = Outline(points=outline(mask) / [columns, rows], name="Outline: skin lesion", is_lesion=True)
    scale = -(-max(rows, columns) // 1024)
    preview = kit.picture(mask, grey=False)[::scale, ::scale] if shown else None
    grid = np.arange(256, dtype=np.uint8).reshape(16, 16) if heat else None
    return Panel(preview=preview, size=(rows, columns), outlines=(contour,), caption="Series 1, image 2", heat=grid)


def card(*panels: Panel, name: str = "Melanoma", classes: int = 2, text: str = "As it is.", marks: tuple[str, ...] = ()) -> Card:
    bars = tuple(Bar(name=name, share=1 / (n + 1), figure="87.3 %", thresholds=(0.5,) if n == 0 else ()) for n in range(classes))
    said = Statement(heading="This image", verdict=name, reasons=(text,), bars=bars, further=text)
    return Card(
        title="Lesion 1", subtitle=text, marks=marks, panels=panels, statements=(said,),
        paragraphs=(Paragraph(heading="Size", lines=(text, text)),), honesty=HONESTY,
    )


def texts(layout: Layout) -> list[Text]:
    return [mark for mark in layout.marks if isinstance(mark, Text)]


SHAPES = {
    "small": (100, 100), "usual": (600, 800), "portrait": (800, 600), "wide mosaic": (250, 2000), "high mosaic": (2000, 250),
    "one row": (1, 900),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("heat", [False, True], ids=["alone", "with saliency"])
def test_nothing_overflows_or_overlaps_whatever_the_image_and_the_words(kit: Any, shape: tuple[int, int], heat: bool) -> None:
    panels = [panel(kit, *shape)] if shape[0] > 1 else [Panel(preview=None, size=shape, outlines=(), caption=LONG)]
    panels += [panel(kit, *shape, heat=True)] if heat and shape[0] > 1 else []
    for long in ("As it is.", LONG):
        layout = lay_out(card(*panels, name=long, classes=5, text=long, marks=("SYNTHETIC", "DEMONSTRATION")))
        assert all(one.x >= 0 and one.right <= layout.width for one in texts(layout))
        assert all(one.y >= MARGIN_Y and one.bottom <= layout.height - MARGIN_Y + 1 for one in texts(layout))
        for one, two in combinations(texts(layout), 2):
            assert one.right <= two.x or two.right <= one.x or one.bottom <= two.y or two.bottom <= one.y, (one, two)
        for placed in layout.panels:
            around = (placed.x, placed.y, placed.x + placed.size[0], placed.y + placed.size[1])
            assert around[0] >= 0 and around[2] <= layout.width and around[3] <= layout.height
            for one in texts(layout):
                assert one.right <= around[0] or one.x >= around[2] or one.bottom <= around[1] or one.y >= around[3], one


@pytest.mark.parametrize("shape", [(600, 800), (250, 2000)])
def test_no_words_stand_in_the_corners_and_the_top_middle(kit: Any, shape: tuple[int, int]) -> None:
    pixels = draw(card(panel(kit, *shape), text=LONG)).astype(int)
    free = (pixels[: MARGIN_Y - 1], pixels[-MARGIN_Y + 1 :])
    assert all(np.ptp(part.reshape(-1, 3), axis=0).max() == 0 for part in free)


def test_without_an_image_the_words_fill_the_picture_alone() -> None:
    layout = lay_out(card(text="Not analysed, because: the image is not sharp enough."))
    assert layout.panels == ()
    assert min(one.x for one in texts(layout)) > layout.width / 6


def test_research_use_is_on_every_layout(kit: Any) -> None:
    for one in (card(), card(panel(kit, 60, 80)), card(panel(kit, 250, 2000))):
        assert HONESTY in [text.words for text in texts(lay_out(one))]
        assert HONESTY in list(one.words())


def test_equal_cards_give_equal_pixels(kit: Any) -> None:
    assert np.array_equal(draw(card(panel(kit, 60, 80, heat=True))), draw(card(panel(kit, 60, 80, heat=True))))


@pytest.mark.parametrize("tone", [(240, 214, 196), (150, 104, 76), (46, 32, 26), (0, 214, 255)], ids=["light", "brown", "dark", "cyan"])
def test_the_contour_shows_on_any_skin(kit: Any, tone: tuple[int, int, int]) -> None:
    mask = kit.lesion_mask(300, 400)
    plain = np.broadcast_to(np.array(tone, np.uint8), (300, 400, 3))
    contour = Outline(points=outline(mask) / [400, 300], name="Outline", is_lesion=True)
    drawn = np.asarray(paint(Panel(preview=plain, size=(300, 400), outlines=(contour,), caption=""), (400, 300))).astype(int)
    luminance = drawn @ [0.299, 0.587, 0.114]
    changed = np.abs(luminance - np.dot(tone, [0.299, 0.587, 0.114])) > 40
    # Wherever the contour runs, dark or bright stands out within three pixels of it.
    for x, y in (contour.points[::10] * [400, 300]).astype(int):
        assert changed[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4].any()


def test_the_contour_lies_where_the_mask_ends(kit: Any) -> None:
    mask = np.zeros((120, 160), bool)
    mask[30:90, 40:120] = True
    contour = Outline(points=outline(mask) / [160, 120], name="Outline", is_lesion=True)
    drawn = np.asarray(paint(Panel(preview=None, size=(120, 160), outlines=(contour,), caption=""), (160, 120))).astype(int)
    bright = (np.abs(drawn - np.array(ACCENT)).sum(axis=-1) < 60).nonzero()
    assert abs(bright[0].min() - 30) <= 1 and abs(bright[0].max() - 89) <= 1
    assert abs(bright[1].min() - 40) <= 1 and abs(bright[1].max() - 119) <= 1


def test_saliency_changes_what_it_covers_the_more_the_stronger(kit: Any) -> None:
    grid = np.zeros((8, 8), np.uint8)
    grid[2, 5] = 255
    grey = np.full((80, 80, 3), 128, np.uint8)
    drawn = np.asarray(paint(Panel(preview=grey, size=(80, 80), outlines=(), caption="", heat=grid), (80, 80))).astype(int)
    colourful = np.ptp(drawn, axis=-1)
    assert colourful[25, 55] > 60
    assert colourful[70, 10] == 0


@given(rows=st.integers(1, 5000), columns=st.integers(1, 5000))
@settings(max_examples=40)
def test_an_image_keeps_its_shape_in_any_box(rows: int, columns: int) -> None:
    wide, high = shown_size(Panel(preview=None, size=(rows, columns), outlines=(), caption=""), 700, 900)
    assert 1 <= wide <= 700 and 1 <= high <= 900
    assert wide == 1 or high == 1 or abs(wide / high - columns / rows) <= columns / rows * (1 / wide + 1 / high)


def test_a_small_image_is_not_enlarged_beyond_what_it_can_show(kit: Any) -> None:
    assert shown_size(panel(kit, 100, 100), 700, 900) == (400, 400)


@given(text=st.text(max_size=80), room=st.integers(30, 600))
@settings(max_examples=40)
def test_wrapped_lines_fit_and_are_few(text: str, room: int) -> None:
    used = font(19)
    lines = wrap(text, used, room, 3)
    assert len(lines) <= 3
    assert all(width(line, used) <= room or len(line) == 1 for line in lines)
    assert width(fitted(text, used, room), used) <= max(room, width("…", used))


def test_a_text_that_does_not_fit_ends_in_an_ellipsis() -> None:
    assert fitted("Squamous cell carcinoma of skin", font(19), 120).endswith("…")
    assert wrap("one two three four five six seven eight", font(19), 100, 2)[-1].endswith("…")


@pytest.mark.parametrize(("text", "shown"), [
    ("Müller^Jürgen", "Müller^Jürgen"), ("Люксембург", "Люксембург"), ("Παπαδόπουλος", "Παπαδόπουλος"), ("Nguyễn Thị", "Nguyễn Thị"),
    ("山田^太郎 Yamada", f"{HIDDEN}^{HIDDEN} Yamada"), ("قباني Qabbani", f"{HIDDEN} Qabbani"), ("שרון", HIDDEN), ("नमस्ते", HIDDEN),
    ("two\nlines", "two lines"), ("50 % of 3 mm", "50\N{NO-BREAK SPACE}% of 3\N{NO-BREAK SPACE}mm"), ("\x07", HIDDEN),
])  # fmt: skip
def test_what_the_typeface_cannot_show_is_marked_and_never_a_box(text: str, shown: str) -> None:
    assert legible(text) == shown


@given(share=st.floats(0, 1), limit=st.floats(0, 1))
@settings(max_examples=40)
def test_a_rounded_figure_stands_on_its_own_side_of_the_threshold(share: float, limit: float) -> None:
    said = figure(share, limit)
    if said[0] in "<>":
        return
    value = float(said.removesuffix(" %"))
    assert abs(value - 100 * share) <= 0.05 + 1e-9
    if abs(share - limit) > 1e-5:
        assert (value >= 100 * limit) == (share >= limit)


def test_figures_read_as_they_are() -> None:
    assert [figure(one) for one in (0.0, 0.0001, 0.5, 0.87312, 0.9999, 1.0)] == ["0.0 %", "<0.1 %", "50.0 %", "87.3 %", ">99.9 %", "100.0 %"]
    assert figure(0.4999, 0.5) == "49.99 %"
    assert [threshold(one) for one in (0.5, 0.123456, 1.0)] == ["50 %", "12.3456 %", "100 %"]
    assert [rounded(one) for one in (12345.6, 3.14159, 0.00012345, 10.0)] == ["12300", "3.14", "0.000123", "10"]
    assert [difference(4.1, 5.1, "mm"), difference(35.12, 31.74, "mm²")] == ["+1.0 mm", "\N{MINUS SIGN}3.4 mm²"]
    assert difference(6.449, 7.541, "mm") == "+1.09 mm", "6.45 to 7.54: as a reader subtracts them"
    assert [points(0.42, 0.873), points(0.5, 0.4)] == ["+45.3 points", "\N{MINUS SIGN}10.0 points"]


def test_the_documentations_sample_is_what_is_drawn_today() -> None:
    script = Path(__file__).parents[2] / "docs" / "pictures" / "result_picture.py"
    spec = importlib.util.spec_from_file_location("result_picture", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with Image.open(script.with_name("result-picture.png")) as image:
        kept = np.asarray(image.convert("RGB")).astype(int)
    drawn = module.picture().astype(int)
    # Other libraries of arithmetic move single values of the drawn skin; a word that moves changes far more.
    assert kept.shape == drawn.shape, f"draw it anew: python {script.name}"
    assert np.abs(kept - drawn).mean() < 0.3, f"draw it anew: python {script.name}"
