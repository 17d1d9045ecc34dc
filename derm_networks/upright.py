"""A picture file as every viewer shows it: turned as its EXIF says, in 8 bits, with nothing lost unsaid.

Training, evaluation and MONAI's configurations read files by this rule, and the service wraps them into DICOM by it.
"""

from PIL import Image, ImageOps

_EIGHT_BITS = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Return the picture upright, as RGB; raises ValueError naming the file as `plain` does."""
    name = getattr(picture, "filename", "") or "the picture"
    turned = ImageOps.exif_transpose(picture)
    try:
        return plain(turned).convert("RGB")
    except ValueError as lost:
        raise ValueError(f"{name} {lost}") from None


def plain(picture: Image.Image) -> Image.Image:
    """Return the picture as grey (L) or colour (RGB).

    Raises ValueError with the end of a sentence where 8 bits of these would lose something: deeper pixels (they would be cut off
    at 255), four inks, transparent parts.
    """
    if picture.has_transparency_data:
        with_alpha = picture.convert("RGBA")
        if with_alpha.getchannel("A").getextrema() != (255, 255):
            raise ValueError("is transparent in parts; save it without transparency")
        return with_alpha.convert("L" if picture.mode in {"1", "L", "LA"} else "RGB")
    if picture.mode not in _EIGHT_BITS:
        raise ValueError(f"has pixels of the mode {picture.mode}, neither 8-bit grey nor 8-bit RGB; save it as one of these")
    return picture.convert(_EIGHT_BITS[picture.mode])
