"""When a pixel size is believed."""

from typing import Any

import pytest
from pydicom import Dataset

from derm_pacs.results.spacing import true_spacing

DERMOSCOPIC, CONFOCAL = "1.2.840.10008.5.1.4.1.1.77.1.7", "1.2.840.10008.5.1.4.1.1.77.1.8"


def image(sop_class: str, **attributes: Any) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def groups(*spacing: float) -> list[Dataset]:
    measures, item = Dataset(), Dataset()
    measures.PixelSpacing = list(spacing)
    item.PixelMeasuresSequence = [measures]
    return [item]


@pytest.mark.parametrize("kind", ["FIDUCIAL", "GEOMETRY"])
def test_a_calibrated_pixel_spacing_is_believed(kind: str) -> None:
    spacing = true_spacing(image(DERMOSCOPIC, PixelSpacing=[0.1, 0.2], PixelSpacingCalibrationType=kind), 1)
    assert spacing is not None
    assert (spacing.row, spacing.column) == (0.1, 0.2)
    assert kind in spacing.origin


def test_a_confocal_image_is_believed_its_pixel_measures_the_frames_own_first() -> None:
    shared = image(CONFOCAL, SharedFunctionalGroupsSequence=groups(0.002, 0.002))
    own = image(CONFOCAL, SharedFunctionalGroupsSequence=groups(0.002, 0.002), PerFrameFunctionalGroupsSequence=groups(0.5, 0.5) + groups(0.7, 0.7))
    assert [one.row for one in (true_spacing(shared, 1), true_spacing(own, 2)) if one] == [0.002, 0.7]


@pytest.mark.parametrize(
    "attributes",
    [
        {"PixelSpacing": [0.1, 0.1]},
        {"ImagerPixelSpacing": [0.1, 0.1]},
        {"NominalScannedPixelSpacing": [0.1, 0.1]},
        {"OpticalMagnificationFactor": 10.0},
        {"PixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": ""},
        {"PixelSpacingCalibrationType": "FIDUCIAL"},
        {"PixelSpacing": [0.0, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"},
        {"PixelSpacing": [-0.1, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"},
        {"PixelSpacing": [0.1], "PixelSpacingCalibrationType": "FIDUCIAL"},
        {"SharedFunctionalGroupsSequence": groups(0.1, 0.1)},
    ],
    ids=str,
)
def test_anything_else_gives_no_millimetres(attributes: dict[str, Any]) -> None:
    assert true_spacing(image(DERMOSCOPIC, **attributes), 1) is None
