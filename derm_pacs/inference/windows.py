"""A large image read window by window: one call for the whole of it, and where each window's probability lies.

Windows are cut and prepared a batch at a time: beside the 8-bit image, memory holds one batch as floating point.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from derm_networks.windows import Window, combined, empty_share, filled_windows, windows
from derm_pacs.domain.bundle import ClassificationOutput, ServingDescription, Windows, explained_class
from derm_pacs.domain.findings import Classification, Heat, Refusal, Saliency
from derm_pacs.domain.reasons import POOR_QUALITY_DARK
from derm_pacs.inference.logits import classification, forward, probabilities
from derm_pacs.inference.messages import MAX_GRID
from derm_pacs.inference.novelty import Novelty
from derm_pacs.inference.outcomes import refusal
from derm_pacs.inference.pixels import Pixels
from derm_pacs.inference.preprocessing import prepare


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Read:
    """What the network gave of all windows."""

    places: tuple[Window, ...]
    logits: tuple[Tensor, ...]
    """(n, classes) of each output."""
    rows: int
    columns: int
    """Size of the image."""


def analyse_windows(
    description: ServingDescription, given: Windows, network: nn.Module, novelty: Novelty | None, pixels: Pixels
) -> tuple[Classification | Refusal, ...]:
    """Read (rows, columns[, 3]) pixels window by window: one classification an output, or one refusal."""
    places = filled_windows(pixels, side=given.side, overlap=given.overlap, max_empty=given.max_empty)
    if not places:
        return (_empty(pixels, given),)
    logits: list[tuple[Tensor, ...]] = []
    figures: list[NDArray[np.float64]] = []
    for batch in _batches(places, given.batch):
        prepared = torch.cat([prepare(place.of(pixels), description.preprocessing) for place in batch])
        with torch.inference_mode():
            logits.append(forward(network, prepared, description.outputs))
        if novelty is not None:
            figures.append(novelty.figures(prepared, logits[-1]))
    refused = novelty.judge(np.concatenate(figures)) if novelty is not None else None
    if refused is not None:
        return (refused,)
    all_logits = tuple(torch.cat(parts) for parts in zip(*logits, strict=True))
    read = _Read(places=places, logits=all_logits, rows=pixels.shape[0], columns=pixels.shape[1])
    return tuple(
        _outcome(description, given, read, index)
        for index, output in enumerate(description.outputs)
        if isinstance(output, ClassificationOutput)
    )


def window_grid(
    places: Sequence[Window], values: NDArray[np.float64], *, rows: int, columns: int, step: int
) -> Heat | None:
    """Lay each window's value (n,) where the window lies in an image of this size, and scale so that the highest is 255.

    Cells are half a step long, at most 64 in each direction. A cell is the mean of the values of the windows in it, weighted
    by the area that they share with it, and 0 where there is none. None where all cells are equal: that says no place.
    """
    shape = tuple(min(MAX_GRID, -(-2 * length // step)) for length in (rows, columns))
    sums, weights = np.zeros(shape), np.zeros(shape)
    for place, value in zip(places, values, strict=True):
        area = np.outer(
            _shared(place.top, place.side, rows, shape[0]), _shared(place.left, place.side, columns, shape[1])
        )
        sums += value * area
        weights += area
    heat = np.divide(sums, weights, out=np.zeros(shape), where=weights > 0)
    if heat.max() <= 0:
        return None
    grid = np.rint(heat / heat.max() * 255).astype(np.uint8)
    return None if grid.min() == grid.max() else grid


def _outcome(description: ServingDescription, given: Windows, read: _Read, index: int) -> Classification:
    output = cast(ClassificationOutput, description.outputs[index])
    shares = probabilities(read.logits[index], output)
    found = classification(combined(shares, given.share), output)
    explanation = description.explanation
    if explanation is None or explanation.output != output.id:
        return found
    watched = explained_class(description, found)
    column = [one.id for one in output.classes].index(watched)
    step = max(1, round(read.places[0].side * (1 - given.overlap)))
    grid = window_grid(read.places, shares[:, column], rows=read.rows, columns=read.columns, step=step)
    if grid is None:
        return found
    return replace(found, saliency=Saliency(method=explanation.method, class_id=watched, grid=grid))


def _empty(pixels: Pixels, given: Windows) -> Refusal:
    places = windows(*pixels.shape[:2], side=given.side, overlap=given.overlap)
    least = min(empty_share(place.of(pixels)) for place in places)
    return refusal(POOR_QUALITY_DARK, f"every window is empty to a share of {least:.3f} or more, at most {given.max_empty:g}")


def _batches(places: tuple[Window, ...], size: int) -> Iterator[tuple[Window, ...]]:
    for first in range(0, len(places), size):
        yield places[first : first + size]


def _shared(start: int, length: int, whole: int, cells: int) -> NDArray[np.float64]:
    """Return how much of each cell of an axis lies within [start, start + length), in pixels."""
    edges = np.arange(cells + 1) * (whole / cells)
    shared: NDArray[np.float64] = np.minimum(edges[1:], start + length) - np.maximum(edges[:-1], start)
    return shared.clip(min=0.0)
