"""Smooth random fields: the stuff that the synthetic pictures are drawn with."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
"""(rows, columns)."""
Shape = tuple[int, int]
"""Rows, columns."""


def value_noise(generator: np.random.Generator, shape: Shape, cell: float) -> Field:
    """Return a smooth field of mean about 0 and values within about -1..1; features are `cell` pixels wide."""
    rows, columns = (int(np.ceil(side / cell)) + 3 for side in shape)
    coarse = generator.uniform(-1.0, 1.0, (rows, columns)).astype(np.float32)
    size = (round(columns * cell), round(rows * cell))
    smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    margin = round(cell)
    return smooth[margin : margin + shape[0], margin : margin + shape[1]]


def fractal_noise(
    generator: np.random.Generator, shape: Shape, cell: float, octaves: int, persistence: float = 0.5
) -> Field:
    """Return a sum of value noises, each twice as fine and `persistence` times as strong as the one before."""
    total = np.zeros(shape, np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for octave in range(octaves):
        total += weight * value_noise(generator, shape, max(cell / 2**octave, 1.0))
        sum_of_weights += weight
        weight *= persistence
    return total / np.float32(sum_of_weights)


def cell_borders(
    generator: np.random.Generator, shape: Shape, cell: float, warp: float = 0.35, jitter: float = 0.85
) -> tuple[Field, Field]:
    """Return (distance to the nearest cell's border, random value 0..1 of the cell) of a net of irregular cells.

    Distances are in units of the cell's width; the net is bent by noise of `warp` widths so that no row is straight
    (Worley's cellular texture, second nearest minus nearest point).
    """
    rows, columns = (int(np.ceil(side / cell)) + 4 for side in shape)
    points = generator.uniform(0.5 - jitter / 2, 0.5 + jitter / 2, (2, rows, columns)).astype(np.float32)
    values = generator.uniform(0.0, 1.0, (rows, columns)).astype(np.float32)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / np.float32(cell) + 2
    y += warp * value_noise(generator, shape, 3 * cell)
    x += warp * value_noise(generator, shape, 3 * cell)
    base_y, base_x = np.floor(y).astype(np.int32), np.floor(x).astype(np.int32)
    nearest = np.full(shape, np.inf, np.float32)
    second = np.full(shape, np.inf, np.float32)
    value = np.zeros(shape, np.float32)
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            row = np.clip(base_y + step_y, 0, rows - 1)
            column = np.clip(base_x + step_x, 0, columns - 1)
            distance = np.hypot(row + points[0, row, column] - y, column + points[1, row, column] - x)
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            value = np.where(closer, values[row, column], value)
            nearest = np.where(closer, distance, nearest)
    return second - nearest, value


def blur(field: Field, radius: float) -> Field:
    """Return the field smoothed by three box means, which is close to a Gaussian of about `radius` pixels."""
    half = max(1, round(radius))
    smoothed = field.astype(np.float64)
    for _ in range(3):
        for axis in (0, 1):
            padding = [(half + 1, half) if one == axis else (0, 0) for one in (0, 1)]
            sums = np.cumsum(np.pad(smoothed, padding, mode="edge"), axis=axis)
            ahead = np.take(sums, range(2 * half + 1, sums.shape[axis]), axis=axis)
            behind = np.take(sums, range(sums.shape[axis] - 2 * half - 1), axis=axis)
            smoothed = (ahead - behind) / (2 * half + 1)
    return smoothed.astype(np.float32)


def smoothstep(field: Field, low: float, high: float) -> Field:
    """Return 0 below `low`, 1 above `high` and a soft passage between; `low` may be the greater one."""
    t = np.clip((field - low) / np.float32(high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
