"""What tests of segmentation objects share: cases with masks, tiled sources, objects read from their bytes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import Edition, SegGeometry, SegKind
from derm_pacs.domain.findings import CaseFindings, Mask
from derm_pacs.domain.tiling import CONFOCAL_TILED
from tests.results.conftest import BASIC, CONFOCAL, MODALITIES, SEGMENTER, Source, edition, outlined, picture
from tests.samples.tiled import tiled

MODALITIES[CONFOCAL_TILED] = "CFM"


@dataclass
class TiledSource(Source):
    """A tiled confocal image."""

    sop_class: str = CONFOCAL_TILED
    rows: int = 70
    columns: int = 90
    grey: bool = True
    tile: tuple[int, int] = (32, 24)
    full: bool = True
    missing: Sequence[int] = ()

    def dataset(self) -> Dataset:
        pixels = picture(self.mask, grey=True)
        own = {key: value for key, value in self.attributes.items() if key not in BASIC}
        return tiled(pixels, self.tile, full=self.full, missing=self.missing, SOPInstanceUID=self.uid, **own)


@dataclass
class PlacedSource(Source):
    """A confocal stack with the whole geometry: spacing, orientation and a position for each frame."""

    sop_class: str = CONFOCAL
    frames: int = 3
    grey: bool = True

    def dataset(self) -> Dataset:
        image = super().dataset()
        image.PerFrameFunctionalGroupsSequence = []
        for number in range(self.frames):
            groups, position = Dataset(), Dataset()
            position.ImagePositionPatient = [5, 6, 0.1 * number]
            groups.PlanePositionSequence = [position]
            image.PerFrameFunctionalGroupsSequence.append(groups)
        return image


def skin_and_lesion(source: Source, masks: Sequence[tuple[Mask, Mask]]) -> CaseFindings:
    """A case of one image; the (skin, lesion) masks are those of its frames."""
    return CaseFindings(
        runs=(SEGMENTER,),
        findings=tuple(
            source.finding(
                SEGMENTER.bundle.content_hash,
                [replace(outlined(skin), output="skin", concept="skin"), outlined(lesion)], frame,
            )
            for frame, (skin, lesion) in enumerate(masks, 1)
        ),
    )  # fmt: skip


def usual_case(source: Source) -> CaseFindings:
    """Skin everywhere and the drawn lesion, moved from frame to frame."""
    everywhere = np.ones((source.rows, source.columns), dtype=np.bool_)
    return skin_and_lesion(source, [(everywhere, np.roll(source.mask, 3 * n, axis=1)) for n in range(source.frames)])


def seg_edition(kind: SegKind, geometry: SegGeometry = SegGeometry.PLACEHOLDER, *, rle: bool = False) -> Edition:
    """An edition with SEG, overlay and report."""
    return edition(seg=kind, seg_geometry=geometry, rle=frozenset({Form.SEG} if rle else ()))


def segs_of(objects: Sequence[Composed]) -> list[Dataset]:
    """The SEGs read from their bytes."""
    return [pydicom.dcmread(io.BytesIO(one.data)) for one in objects if one.form is Form.SEG]


def label_of(seg: Dataset) -> str:
    """The label of the SEG's last segment, which for a label map is its only one."""
    label: Any = seg.SegmentSequence[-1].SegmentLabel
    return str(label)
