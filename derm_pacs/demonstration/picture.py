"""A picture of what came back: the image, the outline of the SEG, the call, and what it must not be used for."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from derm_pacs.demonstration.account import ImageAccount
from derm_pacs.results.contour import outline

NOTICE = "Research use only, not for primary diagnosis."
SYNTHETIC = "SYNTHETIC picture, drawn by a program."
_LONGEST_SIDE = 1200
_CALM = (0, 214, 255)
_ALERT = (255, 138, 0)


def picture(account: ImageAccount, *, synthetic: bool) -> Image.Image:
    """Draw an image with the outline of its findings and the words below it."""
    shown = _upright(account.image)
    scale = min(1.0, _LONGEST_SIDE / max(shown.size))
    if scale < 1:
        shown = shown.resize((round(shown.width * scale), round(shown.height * scale)), Image.Resampling.LANCZOS)
    alert = any(one.is_positive for one in account.calls)
    if account.mask is not None and account.mask.any():
        points = [(float(x) * scale, float(y) * scale) for x, y in outline(account.mask)]
        pen = ImageDraw.Draw(shown)
        thick = max(2, shown.width // 320)
        pen.line(points, fill=(255, 255, 255), width=thick + 3, joint="curve")
        pen.line(points, fill=_ALERT if alert else _CALM, width=thick, joint="curve")
    return _with_words(shown, lines(account, synthetic=synthetic), alert=alert)


def lines(account: ImageAccount, *, synthetic: bool) -> list[str]:
    """Return what is said below the picture."""
    said = [
        f"Called {one.called}: probability of {one.positive} {one.probability:.3f}, {'at or above' if one.is_positive else 'below'}"
        f" the threshold {one.threshold:.2f} (set by {one.threshold_set_by})"
        for one in account.calls
    ]
    said += [
        f"Lesion area {one.pixels} pixels, {100 * one.share:.1f} % of the image" if one.pixels else "No lesion found"
        for one in account.areas
    ]
    said += [f"Not analysed, because: {one}" for one in account.refusals]
    if not said:
        said.append("Not analysed: no bundle reads this kind of image")
    return [*said, *([SYNTHETIC] if synthetic else []), NOTICE]


def _upright(image: Dataset) -> Image.Image:
    """Return the (first frame of the) image in 8-bit RGB."""
    pixels = np.asarray(image.pixel_array)
    if int(image.get("NumberOfFrames") or 1) > 1:
        pixels = pixels[0]
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) * (255 / max(high - low, 1))).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB")


def _with_words(shown: Image.Image, said: list[str], *, alert: bool) -> Image.Image:
    size = max(14, shown.width // 52)
    font = ImageFont.load_default(size=size)
    room = shown.width - 2 * size
    wrapped = [part for line in said for part in _wrapped(line, font, room)]
    step = round(1.5 * size)
    sheet = Image.new("RGB", (shown.width, shown.height + step * len(wrapped) + size), (18, 20, 24))
    sheet.paste(shown, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(wrapped):
        first = number == 0
        colour = (_ALERT if alert else _CALM) if first else (225, 225, 225)
        pen.text((size, shown.height + size // 2 + number * step), line, fill=colour, font=font)
    return sheet


def _wrapped(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> list[str]:
    parts = [""]
    for word in line.split(" "):
        longer = f"{parts[-1]} {word}".strip()
        if font.getlength(longer) <= room or not parts[-1]:
            parts[-1] = longer
        else:
            parts.append(word)
    return parts
