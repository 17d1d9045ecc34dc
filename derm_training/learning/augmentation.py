"""Random views of a batch of skin pictures: geometry, aspect, colour, blur.

Done on whole batches, on the device where they lie; the random numbers are drawn on the CPU, so that a seed means the same
views on every machine.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSettings:
    """Bounds of the random changes; each value is drawn for each picture of a batch.

    `zoom` below 1 shows more than the picture (its border mirrored), above 1 a part of it. `squash` is the largest factor
    by which the two axes differ. `shift` is in half picture sizes.
    """

    height: int
    width: int
    zoom: tuple[float, float] = (0.8, 1.6)
    squash: float = 1.3
    shift: float = 0.2
    rotation_degrees: float = 180.0
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.3
    white_balance: float = 0.12
    blur_share: float = 0.15


def random_views(
    images: Tensor, masks: Tensor | None, settings: ViewSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Return changed copies of `images` (N, 3, H, W) and of `masks` (N, M, H, W), all in 0..1, of the settings' size.

    `generator` is one of the CPU. Beyond its border a picture is continued by its mirror image.
    """
    geometry = _geometry(images, settings, generator).to(images.device)
    grid = functional.affine_grid(geometry, [len(images), 3, settings.height, settings.width], align_corners=False)
    views = functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    views = _colours(_blur(views, settings, generator), settings, generator)
    if masks is None:
        return views, None
    return views, functional.grid_sample(
        masks, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _geometry(images: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """(N, 2, 3): where each output pixel looks, in the -1..1 coordinates of the input."""
    count, _, height, width = images.shape
    low, high = settings.zoom
    extent = torch.exp(-_uniform(count, math.log(low), math.log(high), generator))
    stretch = torch.exp(_uniform(count, -0.5, 0.5, generator) * math.log(settings.squash))
    angle = _uniform(count, -1, 1, generator) * math.radians(settings.rotation_degrees)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift_x, shift_y = (_uniform(count, -settings.shift, settings.shift, generator) for _ in range(2))
    # rotation happens among square pixels: half sizes of the input scale the axes before and after it
    half_x, half_y = width / 2, height / 2
    cosine, sine = torch.cos(angle), torch.sin(angle)
    right, down = extent * stretch * mirror, extent / stretch
    return torch.stack(
        [
            torch.stack([cosine * right, -sine * down * half_y / half_x, shift_x], dim=1),
            torch.stack([sine * right * half_x / half_y, cosine * down, shift_y], dim=1),
        ],
        dim=1,
    )


def _blur(images: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    chosen = (torch.rand(len(images), generator=generator) < settings.blur_share).to(images.device)
    if not bool(chosen.any()):
        return images
    small = functional.avg_pool2d(images[chosen], 2)
    blurred = functional.interpolate(small, size=images.shape[2:], mode="bilinear", align_corners=False)
    images[chosen] = blurred
    return images


def _colours(images: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    count = len(images)

    def factor(spread: float, channels: int = 1) -> Tensor:
        return 1 + _uniform(count * channels, -spread, spread, generator).view(count, channels, 1, 1).to(images.device)

    images = images * factor(settings.brightness) * factor(settings.white_balance, 3)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * factor(settings.contrast) + mean
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * factor(settings.saturation) + grey
    return images.clamp(0, 1)
