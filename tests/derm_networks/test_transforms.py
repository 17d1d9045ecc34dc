"""The resize that training, MONAI's configurations and the service share."""

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from PIL import Image

from derm_networks.transforms import ResizeAntialiased, ResizeAntialiasedd, ResizeLiked, SaveMaskd

sides = st.integers(min_value=4, max_value=60)


@settings(max_examples=40, deadline=None)
@given(rows=sides, columns=sides, height=sides, width=sides, value=st.floats(0, 1, width=32))
def test_a_flat_picture_stays_flat(rows: int, columns: int, height: int, width: int, value: float) -> None:
    resized = ResizeAntialiased(height, width)(np.full((3, rows, columns), value, dtype=np.float32))
    assert resized.shape == (3, height, width)
    torch.testing.assert_close(resized, torch.full((3, height, width), value), atol=1e-5, rtol=0)


def test_shrinking_averages_over_all_pixels() -> None:
    stripes = np.zeros((1, 64, 64), dtype=np.float32)
    stripes[:, :, ::2] = 1
    shrunk = ResizeAntialiased(8, 8)(stripes)
    assert float((shrunk - 0.5).abs().max()) < 0.05
    sampled = ResizeAntialiased(8, 8, antialias=False)(stripes)
    assert torch.allclose(sampled, torch.full_like(sampled, 0.5))  # bilinear sampling sees two neighbours only


def test_the_dictionary_form_gives_the_same_numbers() -> None:
    picture = np.random.default_rng(0).random((3, 30, 50), dtype=np.float32)
    changed = ResizeAntialiasedd(["image"], 16, 24)({"image": picture, "other": 1})
    assert changed["other"] == 1
    torch.testing.assert_close(changed["image"], ResizeAntialiased(16, 24)(picture))


def test_logits_are_brought_to_the_rows_and_columns_of_the_picture() -> None:
    changed = ResizeLiked("pred", like="image")({"pred": torch.zeros(1, 8, 8), "image": torch.zeros(3, 20, 30)})
    assert changed["pred"].shape == (1, 20, 30)


def test_a_saved_mask_keeps_its_rows_and_columns(tmp_path: Any) -> None:
    mask = torch.zeros(1, 4, 6)
    mask[0, 1, 5] = 1
    source = MetaTensor(torch.zeros(3, 4, 6), meta={"filename_or_obj": "/somewhere/a.jpg"})
    SaveMaskd("pred", source="original", output_dir=str(tmp_path))({"pred": mask, "original": source})
    read = np.asarray(Image.open(tmp_path / "a_pred.png"))
    assert read.shape == (4, 6)
    assert np.argwhere(read == 255).tolist() == [[1, 5]]
