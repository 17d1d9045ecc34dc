"""The generator: it makes what it says, the product decodes what it drew, and the pairs are all pairs."""

from itertools import combinations, product

import numpy as np
import pytest

from derm_pacs.inference.pixels import Frame, frames
from tests.results.product import pixels, sources
from tests.results.product.axes import (
    CONFOCAL,
    GO_ROUND,
    PRODUCT,
    Answer,
    Colour,
    Combination,
    Compression,
    Frames,
    Name,
    Site,
    SopClass,
    Spacing,
    Told,
    Type2,
    all_pairs,
    forbidden_by_iod,
    uncodable,
    whole_product,
)
from tests.results.product.judges import Tools

CODINGS = [one for one in product(Colour, Compression) if uncodable(*one) is None]


def combination(sop_class: SopClass, colour: Colour, compression: Compression, several: Frames) -> Combination:
    return Combination(
        sop_class=sop_class, colour=colour, compression=compression, spacing=Spacing.ABSENT, frames=several,
        name=Name.PLAIN, type2=Type2.FILLED, site=Site.NONE, told=Told.EVERYTHING, answer=Answer.USUAL,
    )  # fmt: skip


@pytest.mark.parametrize("sop_class", [SopClass.DERMOSCOPIC, SopClass.TILED], ids=lambda one: one.name)
@pytest.mark.parametrize(("colour", "compression"), CODINGS)
def test_every_coding_decodes_to_the_picture_that_was_drawn(
    sop_class: SopClass, colour: Colour, compression: Compression
) -> None:
    of = combination(sop_class, colour, compression, Frames.SEVERAL)
    decoded = list(frames(sources.part10(of), max_pixels=10**6, max_frames=10))
    assert len(decoded) == sources.frame_count(of)
    for frame in decoded:
        assert isinstance(frame, Frame), frame
        drawn = pixels.picture(sources.ROWS, sources.COLUMNS, frame.number).astype(float)
        if colour.is_grey:
            drawn = drawn @ (0.299, 0.587, 0.114)
        # a palette has fewer colours than the picture, lossy coding and halved chrominance blur it
        blurred = compression is Compression.JPEG or colour in (Colour.YBR_FULL_422, Colour.PALETTE)
        assert np.abs(frame.pixels - drawn).mean() < (10 if blurred else 1)


def test_what_cannot_be_coded_is_left_out_with_a_reason() -> None:
    left_out = [one for one in product(Colour, Compression) if uncodable(*one) is not None]
    assert len(left_out) == 9
    assert all(len(uncodable(*one) or "") > 20 for one in left_out)


def test_what_the_standard_forbids_is_made_all_the_same_and_named() -> None:
    pairs = all_pairs()
    forbidden = [one for one in pairs if forbidden_by_iod(one)]
    assert 0 < len(forbidden) < len(list(whole_product()))
    legal = {one.sop_class for one in whole_product() if not forbidden_by_iod(one)}
    assert legal == set(SopClass)


FALSE_OF_SOURCES = (
    # the IOD of 2022 had the module, the present one has not (PS3.3 A.32.11)
    "</FrameOfReferenceUID(0020,0052)> - Missing attribute for Type 1 Required - Module=<FrameOfReference>",
    "</PositionReferenceIndicator(0020,1040)> - Missing attribute for Type 2 Required - Module=<FrameOfReference>",
    # required of paired parts of the body only, and these sources name no part (PS3.3 C.7.3.1)
    "</Laterality(0020,0060)> - Missing attribute for Type 2C Conditional - Module=<GeneralSeries>",
    # the tool knows halved chrominance without compression of ultrasound alone
    "PixelData has incorrect value length",
    "Unrecognized enumerated value = <YBR_FULL_422>",
)


@pytest.mark.server
def test_dciodvfy_calls_a_source_wrong_where_we_do_and_nowhere_else(tools: Tools) -> None:
    for one in (each for each in all_pairs() if each.sop_class not in CONFOCAL):  # which the tool of 2022 does not know
        path = tools.folder / "source.dcm"
        path.write_bytes(sources.part10(one))
        said = [line for line in tools.told_by("dciodvfy", "-new", path).splitlines() if line.startswith("Error")]
        errors = [line for line in said if not any(false in line for false in FALSE_OF_SOURCES)]
        assert bool(errors) == bool(forbidden_by_iod(one)), (str(one), forbidden_by_iod(one), errors)


def test_every_pair_of_values_that_can_be_coded_is_among_the_pairs() -> None:
    rows, axes = all_pairs(), PRODUCT | GO_ROUND
    for first, second in combinations(axes, 2):
        there = {(getattr(one, first), getattr(one, second)) for one in rows}
        wanted = set(product(axes[first], axes[second]))
        if {first, second} == {"colour", "compression"}:
            wanted = set(CODINGS)
        assert there == wanted, (first, second)


def test_the_whole_product_holds_each_combination_once() -> None:
    everything = [tuple(getattr(one, name) for name in PRODUCT) for one in whole_product()]
    assert len(everything) == len(set(everything)) == len(CODINGS) * 8 * 4 * 2 * 12


def test_the_same_combination_gives_the_same_bytes() -> None:
    for one in all_pairs()[:5]:
        assert sources.part10(one) == sources.part10(one)
