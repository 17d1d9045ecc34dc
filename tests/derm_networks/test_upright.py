"""A picture as every viewer shows it, for MONAI's own reader too."""

from pathlib import Path

import numpy as np
import pytest
from monai.transforms.io.dictionary import LoadImaged
from PIL import Image

from derm_networks.upright import upright_rgb


def test_monais_reader_gives_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    drawn = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(drawn).save(tmp_path / "a.png", exif=exif)
    load = LoadImaged(keys="image", reader="PILReader", reverse_indexing=False, converter=upright_rgb)
    assert np.array_equal(load({"image": str(tmp_path / "a.png")})["image"], np.rot90(drawn, -1))


def test_a_picture_that_is_no_file_is_refused_without_a_name() -> None:
    with pytest.raises(ValueError, match="the picture has pixels of the mode F"):
        upright_rgb(Image.new("F", (2, 2)))
