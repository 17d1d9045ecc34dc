"""Which images are tiles of one large matrix, and where the tiles of a complete matrix lie (PS3.3 C.7.6.17.3)."""

from dataclasses import dataclass

CONFOCAL_TILED = "1.2.840.10008.5.1.4.1.1.77.1.9"
"""Confocal Microscopy Tiled Pyramidal Image Storage."""

TILED_FULL = "TILED_FULL"
_TILED = (TILED_FULL, "TILED_SPARSE")


def is_tiled(sop_class_uid: str, organization: str, *, has_matrix: bool, frames: int) -> bool:
    """Say whether an image's frames are tiles of one matrix, which is then analysed as one frame.

    `organization` is Dimension Organization Type (0020,9311), empty where absent; `has_matrix` says whether Total Pixel
    Matrix Columns (0048,0006) is there. The tiled confocal class may leave the matrix out (its module is required for
    slides only); a single frame of that class is then the whole picture.
    """
    if sop_class_uid == CONFOCAL_TILED:
        return has_matrix or frames > 1
    return organization in _TILED or (not organization and has_matrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """A matrix and the size of its tiles, in pixels."""

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int

    @property
    def down(self) -> int:
        """Rows of tiles that cover the matrix."""
        return -(-self.rows // self.tile_rows)

    @property
    def across(self) -> int:
        """Tiles in each of these rows."""
        return -(-self.columns // self.tile_columns)

    @property
    def count(self) -> int:
        """Tiles that cover the matrix once."""
        return self.down * self.across

    def corner(self, index: int) -> tuple[int, int]:
        """Return row and column, from 0, of the first pixel of the tile that stands at `index` (from 0) in the order of TILED_FULL."""
        return index // self.across * self.tile_rows, index % self.across * self.tile_columns
