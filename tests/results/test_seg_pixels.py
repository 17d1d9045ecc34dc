"""Pixels of segmentation objects come back as they were through readers that others wrote, whatever mask, size and kind."""

import io
from dataclasses import replace
from typing import Any

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import SegGeometry, SegKind
from derm_pacs.domain.findings import Mask
from derm_pacs.results.seg_pixels import Tile, put_pixels
from tests.results.seg_cases import seg_edition, skin_and_lesion


def tiles(masks: Mask) -> list[Tile]:
    return [Tile(mask=one, row=0, column=0, rows=one.shape[0], columns=one.shape[1]) for one in masks]


def written(masks: Mask, kind: SegKind, *, rle: bool = False) -> Dataset:
    """The pixel module alone, written to a file and read back."""
    document = Dataset()
    document.SOPClassUID, document.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3"
    put_pixels(document, tiles(masks), kind, rle=rle)
    with io.BytesIO() as buffer:
        document.save_as(buffer, enforce_file_format=True)
        buffer.seek(0)
        return dcmread(buffer)


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 19), st.integers(1, 19)), seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]), kind=st.sampled_from(SegKind), rle=st.booleans(),
)  # fmt: skip
def test_frames_of_any_size_come_back(
    shape: tuple[int, int, int], seed: int, share: float, kind: SegKind, rle: bool
) -> None:
    masks = np.random.default_rng(seed).random(shape) < share
    read = written(masks, kind, rle=rle)
    assert np.array_equal(read.pixel_array.reshape(shape) > 0, masks)
    assert len(read.PixelData) % 2 == 0


def test_a_tile_over_the_edge_is_filled_up_with_nothing() -> None:
    tile = Tile(mask=np.ones((5, 7), dtype=np.bool_), row=4, column=5, rows=3, columns=4)
    assert tile.pixels.shape == (3, 4)
    assert tile.pixels.sum() == 2


def test_run_lengths_of_a_large_region_are_a_fraction_of_its_pixels() -> None:
    masks = np.zeros((1, 500, 500), dtype=np.bool_)
    masks[0, 100:400, 100:400] = True
    read = written(masks, SegKind.FRACTIONAL, rle=True)
    assert read.file_meta.TransferSyntaxUID == RLELossless
    assert len(read.PixelData) < 10_000


def test_bits_are_never_run_length_encoded() -> None:
    masks = np.zeros((1, 500, 500), dtype=np.bool_)
    assert written(masks, SegKind.BINARY, rle=True).file_meta.TransferSyntaxUID != RLELossless


@settings(max_examples=15)
@given(
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)), count=st.integers(1, 4), kind=st.sampled_from(SegKind),
    geometry=st.sampled_from(SegGeometry), rle=st.booleans(), seed=st.integers(0, 1000),
)  # fmt: skip
def test_any_findings_come_back_through_highdicom_and_pydicom(
    kit: Any, size: tuple[int, int], count: int, kind: SegKind, geometry: SegGeometry, rle: bool, seed: int
) -> None:
    sop_class = kit.MULTI_FRAME_CAPTURE if count > 1 else kit.DERMOSCOPIC
    source = kit.Source(sop_class=sop_class, rows=size[0], columns=size[1], frames=count)
    random = np.random.default_rng(seed)
    masks = [(random.random(size) < random.choice([0, 0.3, 1]), random.random(size) < 0.2) for _ in range(count)]
    case = skin_and_lesion(source, masks)
    edition = seg_edition(kind, geometry, rle=rle)
    objects = kit.composed(case, source, edition=edition)
    kit.checked(objects, case, source, edition=edition)
    wanted = {
        (concept, frame): mask
        for frame, pair in enumerate(masks, 1)
        for concept, mask in zip(("Skin", "Lesion 1"), pair, strict=True)
        if mask.any()
    }
    found: dict[tuple[str, int], Any] = {}
    for one in objects:
        if one.form is Form.SEG:
            found |= by_highdicom(one.data)
            assert np.array_equal(by_pydicom(one.data), as_stored(one.data))
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[key], mask) for key, mask in wanted.items())


def by_highdicom(data: bytes) -> dict[tuple[str, int], Any]:
    """Masks by segment label and source frame, as highdicom finds them by their source."""
    seg = highdicom.seg.segread(io.BytesIO(data))
    found: dict[tuple[str, int], Any] = {}
    for number in seg.segment_numbers:
        frames = sorted(source_frames(seg, number))
        uid = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        if frames == [0]:
            pixels = seg.get_pixels_by_source_instance([uid], segment_numbers=[number], rescale_fractional=False)
        else:
            pixels = seg.get_pixels_by_source_frame(uid, frames, segment_numbers=[number], rescale_fractional=False)
        label = str(seg.get_segment_description(number).segment_label)
        found |= {(label, frame or 1): one[..., 0] > 0 for frame, one in zip(frames, pixels, strict=True)}
    return found


def source_frames(seg: Dataset, segment: int) -> set[int]:
    """Source frames of a segment, 0 for an image of one frame; all frames of a label map are of its one segment."""
    found = set()
    for groups in seg.PerFrameFunctionalGroupsSequence:
        own = groups.get("SegmentIdentificationSequence")
        if own is None or own[0].ReferencedSegmentNumber == segment:
            source = groups.DerivationImageSequence[0].SourceImageSequence[0]
            found.add(int(source.get("ReferencedFrameNumber") or 0))
    return found


def by_pydicom(data: bytes) -> Any:
    return dcmread(io.BytesIO(data)).pixel_array.squeeze()


def as_stored(data: bytes) -> Any:
    return highdicom.seg.segread(io.BytesIO(data)).pixel_array.squeeze()


def test_a_mask_that_comes_back_changed_would_be_noticed(kit: Any) -> None:
    source = kit.Source()
    (seg, *_) = kit.composed(kit.whole_case([source]), source)
    spoilt = bytearray(seg.data)
    spoilt[-3] ^= 1
    assert not np.array_equal(by_pydicom(bytes(spoilt)), by_pydicom(seg.data))
    assert replace(seg, data=bytes(spoilt)) != seg


@pytest.mark.parametrize("kind", list(SegKind))
def test_a_mosaic_of_8000_by_8000_is_stored_in_at_most_a_bit_a_pixel(kind: SegKind) -> None:
    masks = np.zeros((1, 8000, 8000), dtype=np.bool_)
    masks[0, 2000:6000, 2000:6000] = True
    document = Dataset()
    put_pixels(document, tiles(masks), kind, rle=True)
    assert len(document.PixelData) <= 8_000_000
