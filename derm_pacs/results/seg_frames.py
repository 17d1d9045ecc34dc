"""The frames of a SEG: which part of which source frame each covers, and its functional groups (PS3.3 A.51.5)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.tag import BaseTag, Tag

from derm_pacs.domain.edition import SegGeometry, SegKind
from derm_pacs.domain.tiling import Tiling
from derm_pacs.results.coded import concept
from derm_pacs.results.seg_geometry import Geometry, plane_geometry, slide_geometry
from derm_pacs.results.seg_pixels import Tile
from derm_pacs.results.seg_segments import Found, Segment
from derm_pacs.results.source import SourceImage

_SEGMENT = ("ReferencedSegmentNumber", "SegmentIdentificationSequence")
_STACK = (("InStackPositionNumber", "FrameContentSequence"),)
_MATRIX = (
    ("RowPositionInTotalImagePixelMatrix", "PlanePositionSlideSequence"),
    ("ColumnPositionInTotalImagePixelMatrix", "PlanePositionSlideSequence"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredFrame:
    """One frame of a SEG."""

    segment: int
    """Number of its segment."""
    found: Found
    tile: Tile


def stored_frames(segments: Sequence[Segment], tiling: Tiling | None) -> tuple[StoredFrame, ...]:
    """Return the frames, segment by segment; of a tiled image those tiles in which something was found."""
    return tuple(
        StoredFrame(segment=number, found=found, tile=tile)
        for number, segment in enumerate(segments, 1)
        for found in segment.found
        for tile in _tiles(found, tiling)
    )


def put_frames(  # noqa: PLR0917
    document: Dataset, image: SourceImage, stored: Sequence[StoredFrame], kind: SegKind, wanted: SegGeometry, uid: str
) -> None:
    """Write the multi-frame functional groups and dimension modules, and the geometry that goes beside them.

    `uid` is the Dimension Organization UID.
    """
    geometry = _geometry(image, stored, wanted)
    document.update(geometry.top)
    document.SharedFunctionalGroupsSequence = [geometry.shared]
    if image.tiling:
        document.DimensionOrganizationType = "TILED_SPARSE"
    places = _MATRIX if image.tiling else _STACK
    _put_dimensions(document, places if kind is SegKind.LABELMAP else (_SEGMENT, *places), uid)
    for one, groups, rank, sources in zip(stored, geometry.frames, _ranks(stored), _sources(image, stored), strict=True):
        _put_content(groups, one, rank, kind)
        _put_derivation(groups, image, sources)
    document.PerFrameFunctionalGroupsSequence = list(geometry.frames)


def _tiles(found: Found, tiling: Tiling | None) -> Iterator[Tile]:
    mask = found.region.segmentation.mask
    if tiling is None:
        yield Tile(mask=mask, row=0, column=0, rows=mask.shape[0], columns=mask.shape[1])
        return
    for index in range(tiling.count):
        row, column = tiling.corner(index)
        tile = Tile(mask=mask, row=row, column=column, rows=tiling.tile_rows, columns=tiling.tile_columns)
        if tile.window.any():
            yield tile


def _geometry(image: SourceImage, stored: Sequence[StoredFrame], wanted: SegGeometry) -> Geometry:
    if image.tiling:
        return slide_geometry(image, image.tiling, [(one.tile.row, one.tile.column) for one in stored], wanted)
    return plane_geometry(image, [one.found.frame.number for one in stored], wanted)


def _put_dimensions(document: Dataset, dimensions: Sequence[tuple[str, str]], uid: str) -> None:
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    document.DimensionOrganizationSequence = [organization]
    items = []
    for pointer, group in dimensions:
        item = Dataset()
        item.DimensionOrganizationUID = uid
        item.DimensionIndexPointer, item.FunctionalGroupPointer = _tag(pointer), _tag(group)
        item.DimensionDescriptionLabel = pointer
        items.append(item)
    document.DimensionIndexSequence = items


def _ranks(stored: Sequence[StoredFrame]) -> list[list[int]]:
    """Return the places of the frames in the order of each dimension but the segments', from 1."""
    places = [_place(one) for one in stored]
    ranks = [{value: rank for rank, value in enumerate(sorted(set(one)), 1)} for one in zip(*places, strict=True)]
    return [[ranked[value] for ranked, value in zip(ranks, place, strict=True)] for place in places]


def _place(one: StoredFrame) -> tuple[int, ...]:
    image = one.found.frame.image
    return (one.tile.row, one.tile.column) if image.tiling else (one.found.frame.number,)


def _put_content(groups: Dataset, one: StoredFrame, rank: list[int], kind: SegKind) -> None:
    content = Dataset()
    content.DimensionIndexValues = rank if kind is SegKind.LABELMAP else [one.segment, *rank]
    if one.found.frame.image.tiling is None:
        content.StackID = "1"
        content.InStackPositionNumber = one.found.frame.number
    groups.FrameContentSequence = [content]
    if kind is not SegKind.LABELMAP:
        segment = Dataset()
        segment.ReferencedSegmentNumber = one.segment
        groups.SegmentIdentificationSequence = [segment]


def _put_derivation(groups: Dataset, image: SourceImage, sources: Sequence[int | None]) -> None:
    derivation = Dataset()
    derivation.DerivationCodeSequence = [concept("segmentation")]
    derivation.SourceImageSequence = [_source(image, number) for number in sources]
    groups.DerivationImageSequence = [derivation]


def _sources(image: SourceImage, stored: Sequence[StoredFrame]) -> list[Sequence[int | None]]:
    """Return for each frame the stored frames of the image that it covers; none is named of an image of one frame."""
    if image.tiling is None:
        return [(one.found.frame.number if image.frames > 1 else None,) for one in stored]
    if image.stored_frames == 1:
        return [(None,) for _ in stored]
    rows, columns = image.tiling.tile_rows, image.tiling.tile_columns
    covered: dict[tuple[int, int], list[int | None]] = {}
    for number, (row, column) in enumerate(image.corners, 1):
        for down in {row // rows, (row + rows - 1) // rows}:
            for across in {column // columns, (column + columns - 1) // columns}:
                covered.setdefault((down * rows, across * columns), []).append(number)
    return [covered.get((one.tile.row, one.tile.column), [None]) for one in stored]


def _source(image: SourceImage, number: int | None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.sop_class_uid
    item.ReferencedSOPInstanceUID = image.uid
    if number is not None:
        item.ReferencedFrameNumber = number
    item.SpatialLocationsPreserved = "YES"
    item.PurposeOfReferenceCodeSequence = [concept("source_for_processing")]
    return item


def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)
