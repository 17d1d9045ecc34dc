"""Findings on the total pixel matrix of a tiled confocal image become tiles that read back as the same masks."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import SegGeometry, SegKind
from derm_pacs.inference.pixels import Frame, frames
from derm_pacs.results import readback
from derm_pacs.results.source import read
from tests.results.seg_cases import TiledSource, label_of, seg_edition, segs_of, skin_and_lesion, usual_case
from tests.results.test_seg import UNKNOWN_CLASS
from tests.samples.tiled import ORIENTATION, ORIGIN, SPACING


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("kind", list(SegKind))
def test_masks_on_the_matrix_come_back_from_the_tiles(kit: Any, kind: SegKind, full: bool) -> None:
    source = TiledSource(full=full)
    edition = seg_edition(kind, rle=True)
    objects = kit.composed(usual_case(source), source, edition=edition)
    kit.checked(objects, usual_case(source), source, edition=edition)
    segs = segs_of(objects)
    assert len(segs) == (2 if kind is SegKind.LABELMAP else 1)
    for seg in segs:
        assert (seg.DimensionOrganizationType, seg.Rows, seg.Columns) == ("TILED_SPARSE", 32, 24)
        assert (seg.TotalPixelMatrixRows, seg.TotalPixelMatrixColumns) == (70, 90)
    lesion = next(seg for seg in segs if label_of(seg) == "Lesion 1" or kind is not SegKind.LABELMAP)
    assert np.array_equal(matrix_of(lesion, 1), source.mask)
    skin = segs[-1]
    assert matrix_of(skin, 1 if kind is SegKind.LABELMAP else 2).all()


def matrix_of(seg: Any, segment: int) -> Any:
    with io.BytesIO() as buffer:
        seg.save_as(buffer, enforce_file_format=True)
        buffer.seek(0)
        read_back = highdicom.seg.segread(buffer)
    matrix = read_back.get_total_pixel_matrix(segment_numbers=[segment], rescale_fractional=False)
    return matrix[..., 0] > 0


def test_empty_tiles_are_left_out_and_each_other_names_the_tile_of_the_image_that_it_covers(kit: Any) -> None:
    source = TiledSource()
    corner = np.zeros_like(source.mask)
    corner[40:, 30:60] = True
    (seg,) = segs_of(kit.composed(skin_and_lesion(source, [(corner & False, corner)]), source))
    named = [
        int(one.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber)
        for one in seg.PerFrameFunctionalGroupsSequence
    ]
    assert named == [6, 7, 10, 11]  # rows of four tiles


def test_tiles_of_a_sparse_image_are_named_by_where_they_lie(kit: Any) -> None:
    source = TiledSource(full=False, missing=[5])
    corner = np.zeros_like(source.mask)
    corner[34:36, 25:55] = True  # over the tiles 5, which is missing, and 6
    (seg,) = segs_of(kit.composed(skin_and_lesion(source, [(corner & False, corner)]), source))
    missing, other = (one.DerivationImageSequence[0].SourceImageSequence for one in seg.PerFrameFunctionalGroupsSequence)
    assert "ReferencedFrameNumber" not in missing[0]
    assert [int(one.ReferencedFrameNumber) for one in other] == [6]  # tiles are stored last first: 11 10 9 8 7 6


@pytest.mark.parametrize("geometry", list(SegGeometry))
def test_the_geometry_is_that_of_the_slide(kit: Any, geometry: SegGeometry) -> None:
    source = TiledSource()
    (seg,) = segs_of(kit.composed(usual_case(source), source, edition=seg_edition(SegKind.BINARY, geometry)))
    assert tuple(seg.ImageOrientationSlide) == ORIENTATION
    origin = seg.TotalPixelMatrixOriginSequence[0]
    assert (origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem) == ORIGIN
    assert seg.FrameOfReferenceUID == source.dataset().FrameOfReferenceUID
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert tuple(shared.PixelMeasuresSequence[0].PixelSpacing) == SPACING
    assert ("PlaneOrientationSequence" in shared) == (geometry is SegGeometry.PLACEHOLDER)  # of the patient nothing is known
    for one in seg.PerFrameFunctionalGroupsSequence:
        place = one.PlanePositionSlideSequence[0]
        down, across = place.RowPositionInTotalImagePixelMatrix - 1, place.ColumnPositionInTotalImagePixelMatrix - 1
        assert float(place.XOffsetInSlideCoordinateSystem) == pytest.approx(ORIGIN[0] - down * SPACING[0])
        assert float(place.YOffsetInSlideCoordinateSystem) == pytest.approx(ORIGIN[1] - across * SPACING[1])


def test_a_careless_image_without_origin_gets_positions_counted_from_zero(kit: Any) -> None:
    gone: dict[str, Any] = dict.fromkeys(("TotalPixelMatrixOriginSequence", "ImageOrientationSlide", "FrameOfReferenceUID"))
    source = TiledSource(attributes=gone)
    objects = kit.composed(usual_case(source), source)
    kit.checked(objects, usual_case(source), source)
    (seg,) = segs_of(objects)
    assert "FrameOfReferenceUID" not in seg
    first = seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSlideSequence[0]
    assert (first.XOffsetInSlideCoordinateSystem, first.YOffsetInSlideCoordinateSystem) == (0, 0)


def test_the_report_measures_the_matrix_and_names_the_segment(kit: Any) -> None:
    source = TiledSource()
    objects = kit.composed(usual_case(source), source)
    report = next(one for one in objects if one.form is Form.REPORT_SR)
    groups = [one for one in readback.groups(report.data) if one.seg]
    assert [one.seg[1] for one in groups if one.seg] == [1, 2]
    area = groups[0].number("area")
    assert area is not None
    assert area.unit == "mm2"
    assert area.value == pytest.approx(np.count_nonzero(source.mask) * SPACING[0] * SPACING[1], rel=1e-5)


def test_what_results_call_the_image_is_what_the_runner_analyses(kit: Any) -> None:
    for source in (TiledSource(), TiledSource(full=False, missing=[3]), kit.Source(frames=2), kit.Source(grey=True)):
        decoded = [one for one in frames(source.part10, max_pixels=100_000, max_frames=4) if isinstance(one, Frame)]
        image = read(source.part10)
        assert image.frames == len(decoded)
        assert {one.pixels.shape[:2] for one in decoded} == {(image.rows, image.columns)}


@settings(max_examples=25)
@given(
    size=st.tuples(st.integers(2, 40), st.integers(2, 40)), tile=st.tuples(st.integers(2, 20), st.integers(2, 20)),
    kind=st.sampled_from(SegKind), full=st.booleans(), seed=st.integers(0, 1000), rle=st.booleans(),
)  # fmt: skip
def test_any_mask_on_any_tiling_comes_back(
    kit: Any, size: tuple[int, int], tile: tuple[int, int], kind: SegKind, full: bool, seed: int, rle: bool
) -> None:
    source = TiledSource(rows=size[0], columns=size[1], tile=tile, full=full)
    mask = np.random.default_rng(seed).random(size) < 0.3
    mask[-1, -1] = True
    case = skin_and_lesion(source, [(mask & False, mask)])
    edition = seg_edition(kind, rle=rle)
    objects = kit.composed(case, source, edition=edition)
    kit.checked(objects, case, source, edition=edition)
    (seg,) = segs_of(objects)
    assert np.array_equal(matrix_of(seg, 1), mask)


UNKNOWN_SOURCE = {
    # Debian's dciodvfy of 2022 does not know 77.1.9 as a class of multi-frame images
    "Shall not be present for Referenced SOP Class that is not multi-frame",
}


@pytest.mark.parametrize("kind", list(SegKind))
def test_dciodvfy_finds_nothing_but_what_it_does_not_know(kit: Any, tmp_path: Path, kind: SegKind) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    known = UNKNOWN_SOURCE | (UNKNOWN_CLASS if kind is SegKind.LABELMAP else set())
    source = TiledSource(full=False)
    for one in kit.composed(usual_case(source), source, edition=seg_edition(kind, rle=True)):
        if one.form is not Form.SEG:
            continue
        (tmp_path / "seg.dcm").write_bytes(one.data)
        said = subprocess.run([program, "-new", tmp_path / "seg.dcm"], capture_output=True, text=True, check=False)
        told = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith(("Error", "Warning"))]
        assert [line for line in told if not any(false in line for false in known)] == []
