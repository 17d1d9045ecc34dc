"""Random views change picture and mask alike, and by the seed alone."""

from dataclasses import replace

import torch

from derm_training.learning.augmentation import ViewSettings, random_views


def uncoloured(settings: ViewSettings) -> ViewSettings:
    return replace(settings, brightness=0, contrast=0, saturation=0, white_balance=0, blur_share=0)


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    masks = torch.zeros(6, 1, 48, 64)
    masks[:, :, 14:30, 20:44] = 1
    return masks.repeat(1, 3, 1, 1), masks


def test_the_mask_moves_with_the_picture() -> None:
    images, masks = pictures()
    settings = uncoloured(ViewSettings(height=48, width=64))
    views, moved = random_views(images, masks, settings, torch.Generator().manual_seed(3))
    assert moved is not None
    torch.testing.assert_close(views[:, :1], moved)
    assert not torch.allclose(moved[0], moved[1])


def test_the_seed_decides_the_views() -> None:
    images, _ = pictures()
    settings = ViewSettings(height=40, width=40)
    one, two, other = (
        random_views(images.clone(), None, settings, torch.Generator().manual_seed(seed))[0] for seed in (5, 5, 6)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.shape == (6, 3, 40, 40)
    assert float(one.min()) >= 0
    assert float(one.max()) <= 1


def test_bounds_of_nothing_leave_the_picture_as_it_is() -> None:
    images = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    settings = uncoloured(ViewSettings(height=48, width=64, zoom=(1, 1), squash=1, shift=0, rotation_degrees=0))
    for seed in range(4):
        view, _ = random_views(images, None, settings, torch.Generator().manual_seed(seed))
        assert torch.allclose(view, images, atol=1e-5) or torch.allclose(view, images.flip(3), atol=1e-5)
