"""The tiles of a tiled image laid into its total pixel matrix (PS3.3 C.7.6.17.3, C.8.12.14).

One instance is one level of a pyramid, one focal plane and one optical path: two tiles at one place, or more tiles than
the matrix has places for, mean that there are several, and which one was meant is nowhere said.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from derm_pacs.domain.tiling import TILED_FULL
from derm_pacs.inference.header import ImageHeader, Tiles

Corner = tuple[int, int]
"""Row and column, from 0, of a tile's first pixel in the matrix."""


def corners(dataset: Dataset, header: ImageHeader) -> tuple[Corner, ...]:
    """Return the place of each stored tile, in the file's order.

    Raises `ValueError` where the tiles do not lie in the matrix one beside the other, or say no place.
    """
    tiles = _tiles(header)
    if tiles.organization == TILED_FULL:
        if tiles.stored != tiles.tiling.count:
            raise ValueError(
                f"{tiles.stored} tiles for a matrix of {tiles.tiling.count}; several focal planes, optical paths or "
                "samples of one place are not read"
            )
        return tuple(tiles.tiling.corner(index) for index in range(tiles.stored))
    places = tuple(_told(dataset, index) for index in range(tiles.stored))
    if len(set(places)) < len(places):
        raise ValueError("two tiles lie at one place; several focal planes or optical paths are not read")
    for row, column in places:
        if not (0 <= row < tiles.tiling.rows and 0 <= column < tiles.tiling.columns):
            raise ValueError(f"a tile begins at row {row + 1}, column {column + 1}, outside the total pixel matrix")
    return places


def assembled(
    tiles: Iterable[NDArray[np.uint8]], places: Sequence[Corner], header: ImageHeader
) -> NDArray[np.uint8]:
    """Return the (rows, columns) or (rows, columns, 3) matrix; where no tile lies it is black.

    Raises `ValueError` where there are more or fewer tiles than places.
    """
    matrix: NDArray[np.uint8] | None = None
    for tile, (row, column) in zip(tiles, places, strict=True):
        if matrix is None:
            matrix = np.zeros((header.rows, header.columns, *tile.shape[2:]), dtype=np.uint8)
        part = matrix[row : row + tile.shape[0], column : column + tile.shape[1]]
        part[:] = tile[: part.shape[0], : part.shape[1]]
    if matrix is None:
        raise ValueError("there are no tiles")
    return matrix


def _tiles(header: ImageHeader) -> Tiles:
    if header.tiles is None:
        raise ValueError("the image is not tiled")
    return header.tiles


def _told(dataset: Dataset, index: int) -> Corner:
    """Return the place that the functional groups of a frame (from 0) tell; raises `ValueError` where they do not."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in (*own[index : index + 1], *shared[:1]):
        for item in groups.get("PlanePositionSlideSequence") or []:
            row, column = (
                item.get(f"{axis}PositionInTotalImagePixelMatrix") for axis in ("Row", "Column")
            )
            if isinstance(row, int) and isinstance(column, int):
                return row - 1, column - 1
    raise ValueError(f"frame {index + 1} does not say where in the total pixel matrix it lies")
