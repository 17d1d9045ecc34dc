"""Made skin labels: what is pasted is known, what is background is no skin, and a seed means the same pictures."""

import pytest
import torch

from derm_training.learning.skin_labels import background, composed, composed_batch, skin_around


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def skin_picture(height: int = 96, width: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    """Even skin with a brown disc in the middle, and the disc."""
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    lesion = ((down - height / 2) ** 2 + (across - width / 2) ** 2 < 20**2).float()[None]
    skin = torch.tensor([0.85, 0.65, 0.55])[:, None, None]
    brown = torch.tensor([0.35, 0.2, 0.12])[:, None, None]
    return skin + (brown - skin) * lesion, lesion


def test_even_skin_with_its_lesion_is_skin_everywhere() -> None:
    image, lesion = skin_picture()
    assert skin_around(image, lesion).mean() == 1


def test_black_corners_and_a_blue_cloth_are_no_skin() -> None:
    image, lesion = skin_picture()
    image[:, :12, :12] = 0.02
    image[:, :, 110:] = torch.tensor([0.2, 0.3, 0.8])[:, None, None]
    skin = skin_around(image, lesion)
    assert skin[0, :8, :8].sum() == 0
    assert skin[0, :, 114:].sum() == 0
    assert skin[0, 20:70, 20:100].all()


def test_a_lesion_counts_as_skin_whatever_its_colour() -> None:
    image, lesion = skin_picture()
    image = torch.where(lesion > 0, torch.tensor([0.1, 0.2, 0.9])[:, None, None], image)
    assert bool((skin_around(image, lesion) >= lesion).all())


def test_where_the_lesion_fills_the_picture_all_is_skin() -> None:
    image, lesion = skin_picture()
    assert skin_around(image, torch.ones_like(lesion)).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_composed_picture_has_background_that_is_no_skin_and_the_lesion_lies_on_skin(seed: int) -> None:
    image, lesion = skin_picture()
    picture, found, skin = composed(image, lesion, generator(seed))
    assert picture.shape == image.shape and found.shape == skin.shape == lesion.shape
    assert picture.min() >= 0 and picture.max() <= 1
    assert 0.05 < skin.mean() < 0.98
    assert bool((found <= skin).all())
    well_inside = -torch.nn.functional.max_pool2d(-skin[None], 5, 1, 2)[0, 0] > 0
    skin_or_lesion = ((picture[0] > picture[1]) & (picture[1] > picture[2]))[well_inside]
    assert skin_or_lesion.all()


def test_one_seed_makes_one_picture() -> None:
    image, lesion = skin_picture()
    first, second = composed(image, lesion, generator(3)), composed(image, lesion, generator(3))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert not torch.equal(first[0], composed(image, lesion, generator(4))[0])


def test_a_batch_keeps_its_pictures_or_composes_them_by_the_share() -> None:
    image, lesion = skin_picture()
    images, lesions = image.expand(6, -1, -1, -1), lesion.expand(6, -1, -1, -1)
    kept, masks = composed_batch(images, lesions, generator(), share=0.0)
    assert torch.equal(kept, images) and torch.equal(masks[:, :1], lesions)
    made, masks = composed_batch(images, lesions, generator(), share=1.0)
    assert made.shape == images.shape and masks.shape == (6, 2, 96, 128)
    assert not any(torch.equal(one, image) for one in made)
    assert bool(((masks == 0) | (masks == 1)).all())


def test_a_bare_background_has_neither_skin_nor_lesion() -> None:
    image, lesion = skin_picture()
    made, masks = composed_batch(image[None], lesion[None], generator(), share=1.0, bare=1.0)
    assert masks.sum() == 0
    assert made.shape == (1, 3, 96, 128)


@pytest.mark.parametrize("seed", range(10))
def test_every_background_has_the_size_asked_for_and_values_of_a_picture(seed: int) -> None:
    made = background(40, 60, generator(seed))
    assert made.shape == (3, 40, 60)
    assert made.min() >= 0 and made.max() <= 1
