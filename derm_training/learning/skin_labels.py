"""Pictures with a known skin mask, made from pictures of which only the lesion is drawn: no real skin masks are public.

Two sources of truth, both made, neither drawn by a person. `skin_around` marks in a picture what has the colour of the skin
beside the lesion. `composed` cuts a shape out of a picture's skin and lays it over a procedural background that is no skin, so
that there the mask is known to the pixel. What a network learns from these is to be called so wherever it is reported.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

_CHROMA_ROOM = 12.0
"""Distance in the Cb-Cr plane (0..255) that skin of one picture may lie apart beyond three deviations."""

_SHADE = 0.3
"""Skin in shade keeps at least this share of the skin's brightness beside the lesion; the tube's black corners do not."""

_SIDES = (0.45, 1.0)
"""Extent of a cut shape in shares of the picture."""


def skin_around(image: Tensor, lesion: Tensor) -> Tensor:
    """Return (1, H, W) in {0, 1}: the lesion, and what has the colour of the skin in a ring around it.

    `image` is (3, H, W) RGB, `lesion` (1, H, W), both in 0..1. Colours are compared in Y'CbCr (ITU-R BT.601): chroma with the
    ring's median, within three robust deviations and `_CHROMA_ROOM`; brightness from below alone. Single pixels are outvoted
    by their surroundings, so hair and bubbles on skin are skin.
    """
    bright, blue, red = _ycbcr(image)
    inside = lesion[0] >= 0.5
    width = max(3, round(0.08 * min(image.shape[1:])))
    ring = (_widened(lesion[None].round(), width)[0, 0] >= 0.5) & ~inside & (bright > 25)
    if int(ring.sum()) < 50:
        ring = ~inside & (bright > 25)
    if int(ring.sum()) < 50:
        return torch.ones_like(lesion)
    away = torch.stack([channel - channel[ring].median() for channel in (blue, red)])
    spread = 1.4826 * away[:, ring].abs().median(dim=1).values
    limit = _CHROMA_ROOM + 3 * spread.square().sum().sqrt()
    alike = (away.square().sum(dim=0).sqrt() < limit) & (bright > _SHADE * bright[ring].median())
    size = 2 * (width // 3) + 1
    voted = functional.avg_pool2d(alike.float()[None, None], size, 1, size // 2, count_include_pad=False)[0, 0] > 0.5
    return (voted | inside).float()[None]


def _widened(mask: Tensor, by: int) -> Tensor:
    # rows, then columns: the largest of a square is the largest of its rows' largest, in a small part of the time
    rows = functional.max_pool2d(mask, (1, 2 * by + 1), 1, (0, by))
    return functional.max_pool2d(rows, (2 * by + 1, 1), 1, (by, 0))


def composed(image: Tensor, lesion_mask: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return (image, lesion mask, skin mask): a random shape of the picture's skin on a random background that is no skin.

    Shapes as in `skin_around`, masks in {0, 1}; the result is of the same size. The picture is shrunk and moved, as in a
    photograph taken from afar; a shape holds the whole lesion or cuts it. `generator` is one of the CPU.
    """
    return _pasted(image, torch.cat([(lesion_mask >= 0.5).float(), skin_around(image, lesion_mask)]), generator)


def composed_batch(
    images: Tensor, masks: Tensor, generator: torch.Generator, *, share: float = 0.5, bare: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Return `images` (N, 3, H, W) and masks (N, 2, H, W), lesion and skin, of which about `share` are composed.

    `masks` (N, 1, H, W) are the lesions. Of the composed, the share `bare` shows the background alone, without skin; a third of
    the rest shows a second picture of the batch beside the first. The others keep their pixels and have the skin of
    `skin_around`.
    """
    made: list[tuple[Tensor, Tensor]] = []
    for number, (image, lesion) in enumerate(zip(images, masks, strict=True)):
        drawn = torch.rand(3, generator=generator)
        if drawn[0] >= share:
            made.append((image, torch.cat([(lesion >= 0.5).float(), skin_around(image, lesion)])))
        elif drawn[1] < bare:
            made.append(
                (background(image.shape[1], image.shape[2], generator).to(image), image.new_zeros(2, *image.shape[1:]))
            )
        else:
            picture, *found = composed(image, lesion, generator)
            both = torch.cat(found)
            if drawn[2] < 1 / 3 and len(images) > 1:
                other = (number + 1) % len(images)
                picture, both = _beside(picture, both, images[other], masks[other], generator)
            made.append((picture, both))
    return torch.stack([picture for picture, _ in made]), torch.stack([both for _, both in made])


def background(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return (3, height, width) in 0..1 that is no skin: cloth, tiles, paper, wood or plain walls of any colour."""
    down, across = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    first, second = _colour(generator), _colour(generator)
    angle, waves, kind = (float(x) for x in torch.rand(3, generator=generator))
    along = down * math.sin(math.pi * angle) + across * math.cos(math.pi * angle)
    aside = across * math.sin(math.pi * angle) - down * math.cos(math.pi * angle)
    frequency = 2 * math.pi * (3 + 40 * waves)
    if kind < 0.2:  # a plain wall in uneven light
        mixed = along - along.min()
    elif kind < 0.4:  # stripes
        mixed = 0.5 + 0.5 * torch.sign(torch.sin(frequency * along))
    elif kind < 0.6:  # woven cloth
        mixed = 0.5 + 0.25 * torch.sin(frequency * along) + 0.25 * torch.sin(frequency * aside)
    elif kind < 0.8:  # wood: stretched noise bends the lines
        mixed = 0.5 + 0.5 * torch.sin(frequency * along + 8 * _noise(height, width, (3, 3), generator))
    else:  # tiles, each of its own brightness
        mixed = _noise(height, width, (6, 8), generator, mode="nearest")
    texture = 0.15 * (_noise(height, width, (height // 3, width // 3), generator) - 0.5)
    light = 0.8 + 0.4 * _noise(height, width, (2, 2), generator)
    colour = first[:, None, None] + (second - first)[:, None, None] * mixed.clamp(0, 1)[None]
    return ((colour + texture) * light).clamp(0, 1)


def _ycbcr(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    red, green, blue = 255 * image
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    return bright, 128 + 0.564 * (blue - bright), 128 + 0.713 * (red - bright)


def _colour(generator: torch.Generator) -> Tensor:
    """Draw a colour that is not skin's: outside of the box that Chai and Ngan (IEEE TCSVT 1999;9(4)) give in the Cb-Cr plane.

    Most are pale or grey, as rooms and clothes are.
    """
    while True:
        colour = torch.rand(3, generator=generator)
        vivid = torch.rand(1, generator=generator).square()
        colour = colour.mean() + vivid * (colour - colour.mean())
        _, blue, red = (float(x) for x in _ycbcr(colour))
        if not (77 <= blue <= 127 and 133 <= red <= 173):
            return colour


def _noise(
    height: int, width: int, cells: tuple[int, int], generator: torch.Generator, mode: str = "bicubic"
) -> Tensor:
    """Return (height, width) about 0..1, smooth over cells."""
    coarse = torch.rand(1, 1, max(1, cells[0]), max(1, cells[1]), generator=generator)
    corners = None if mode == "nearest" else False
    return functional.interpolate(coarse, size=(height, width), mode=mode, align_corners=corners)[0, 0]


def _shape(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return (height, width) in 0..1 with a soft edge: a blob, or a limb that runs from border to border."""
    down, across = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    angle, extent, kind, phase = (float(x) for x in torch.rand(4, generator=generator))
    low, high = _SIDES
    reach = low + (high - low) * extent
    around = torch.atan2(down, across)
    if kind < 0.5:
        wobble = sum(0.12 / n * torch.sin(n * around + 7 * n * phase) for n in range(2, 5))
        inside = reach * (1 + wobble) - (down.square() + across.square()).sqrt()
    else:
        turn = math.pi * angle
        aside = across * math.sin(turn) - down * math.cos(turn)
        along = down * math.sin(turn) + across * math.cos(turn)
        inside = reach * (0.8 + 0.15 * torch.sin(3 * along + 6 * phase)) - aside.abs()
    return (0.5 + inside * 0.25 * min(height, width)).clamp(0, 1)


def _pasted(
    image: Tensor, masks: Tensor, generator: torch.Generator, under: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Lay a shrunken, moved shape of the picture over `under`, a background of its own where there is none."""
    height, width = image.shape[1:]
    size, right, below, flip = (float(x) for x in torch.rand(4, generator=generator))
    size = 0.5 + 0.7 * size
    room = abs(1 - size)
    theta = torch.tensor(
        [[1 / size, 0.0, room * (2 * right - 1) / size], [0.0, 1 / size, room * (2 * below - 1) / size]]
    )
    if flip < 0.5:
        theta[0, 0] = -theta[0, 0]
    grid = functional.affine_grid(theta[None], [1, 3, height, width], align_corners=False).to(image.device)
    shape = _shape(height, width, generator).to(image)
    layers = torch.cat([image, masks, shape[None], torch.ones_like(shape)[None]])[None]
    moved = functional.grid_sample(layers, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    cover = moved[5] * moved[6] * (moved[4] >= 0.5)
    ground = background(height, width, generator).to(image) if under is None else under
    picture = moved[:3] * cover + ground * (1 - cover)
    seen = (cover >= 0.5).float()[None]
    return picture.clamp(0, 1), (moved[3:4] >= 0.5) * seen, (moved[4:5] >= 0.5) * seen


def _beside(
    picture: Tensor, both: Tensor, image: Tensor, lesion: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lay a second picture over a composed one; what it covers of the first is gone."""
    masks = torch.cat([(lesion >= 0.5).float(), skin_around(image, lesion)])
    laid, second_lesion, second_skin = _pasted(image, masks, generator, under=picture)
    rest = both * (1 - second_skin)
    return laid, torch.cat([(rest[:1] + second_lesion).clamp(0, 1), (rest[1:] + second_skin).clamp(0, 1)])
