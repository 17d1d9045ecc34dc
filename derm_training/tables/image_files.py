"""Pictures of files as arrays: PNG and JPEG upright as every viewer shows them, DICOM as the service reads it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from derm_networks.upright import upright_rgb
from derm_training.tables.dicom_pixels import dicom_size, is_dicom, read_dicom_rgb

_ORIENTATION = 0x0112  # EXIF tag
_ON_ITS_SIDE = (5, 6, 7, 8)  # values of it by which width and height change places


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """Open a PNG or JPEG file; raises ValueError naming a file that is none, is too large, or is not whole when it is read inside."""
    try:
        with Image.open(file) as picture:
            yield picture
    except UnidentifiedImageError as unknown:
        raise ValueError(f"{file} is no image that can be read: PNG, JPEG or DICOM is wanted") from unknown
    except Image.DecompressionBombError as bomb:
        raise ValueError(f"{file} has more pixels than are read ({bomb}): save it smaller, or in several parts") from bomb
    except (OSError, SyntaxError) as broken:  # Pillow calls a broken PNG or EXIF a SyntaxError
        raise ValueError(f"{file} cannot be read whole ({broken}): copy it anew, or take its line out") from broken


def read_rgb(file: Path) -> NDArray[np.uint8]:
    """Return (height, width, 3) uint8 of a PNG, JPEG or DICOM file, upright.

    Raises ValueError naming a file that is none, not whole, or loses something in 8 bits of red, green and blue.
    """
    if is_dicom(file):
        return read_dicom_rgb(file)
    with opened(file) as picture:
        return np.asarray(upright_rgb(picture))


def is_grey(file: Path) -> bool:
    """Return whether a picture is grey: coded as such, or in colour with channels that are equal everywhere."""
    picture = read_rgb(file)
    return bool((picture == picture[..., :1]).all())


def picture_size(file: Path) -> tuple[int, int]:
    """Return width and height of the upright picture, from the file's header alone; raises ValueError as `read_rgb`."""
    if is_dicom(file):
        return dicom_size(file)
    with opened(file) as picture:
        turned = picture.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
        return (picture.height, picture.width) if turned else picture.size
