"""A picture file as every viewer shows it: turned as its EXIF says, in 8 bits, with nothing lost unsaid.

Training, evaluation and MONAI's configurations read files by this rule, by which the service wraps them into DICOM as well.
"""

from PIL import Image, ImageOps

_EIGHT_BITS = ("1", "L", "RGB", "P")


def upright_rgb(picture: Image.Image) -> Image.Image:
    """Return the picture upright, as RGB.

    Raises ValueError naming the file where RGB of 8 bits would lose something: deeper pixels (they would be cut off at 255),
    four inks, transparent parts.
    """
    name = getattr(picture, "filename", "") or "the picture"
    turned = ImageOps.exif_transpose(picture)
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        if turned.getchannel("A").getextrema() != (255, 255):
            raise ValueError(f"{name} is transparent in parts; save it without transparency")
    elif turned.mode not in _EIGHT_BITS:
        raise ValueError(f"{name} has pixels of the mode {turned.mode}, neither 8-bit grey nor 8-bit RGB; save it as one of these")
    return turned.convert("RGB")
