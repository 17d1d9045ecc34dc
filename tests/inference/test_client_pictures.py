"""Saliency maps and previews as the client of a confined runner sees them: the same each time, and believed only if they can be."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import Classification, Refusal, Saliency
from derm_pacs.domain.golden import GoldenResult
from derm_pacs.inference import client
from derm_pacs.inference.client import Runner
from derm_pacs.inference.landlock import abi
from derm_pacs.inference.pixels import Pixels
from derm_pacs.inference.previews import preview
from tests.inference.standing_in import answer, standing_in
from tests.samples import tiled

pytestmark = pytest.mark.server

Part10 = Callable[..., bytes]
Bundle = tuple[Path, ServingDescription]


def runner_for(bundle: Bundle, *, max_pixels: int = 20_000_000) -> Runner:
    return Runner(*bundle, timeout_seconds=60, max_pixels=max_pixels, max_frames=4, threads=1)


@pytest.fixture(scope="module")
def runner(telling_bundle: Bundle) -> Iterator[Runner]:
    with runner_for(telling_bundle) as one:
        yield one


def saliency(runner: Runner, part10: bytes, frame: int = 1) -> Saliency:
    found = runner.analyse(part10)[frame - 1].outcomes[0]
    assert isinstance(found, Classification)
    assert found.saliency is not None
    return found.saliency


def test_a_confined_runner_explains_and_stays_confined(runner: Runner, make_part10: Part10, drawn: Pixels) -> None:
    found = saliency(runner, make_part10(drawn))
    assert (found.method, found.class_id, found.grid.shape) == ("grad_cam", "melanoma", (4, 6))
    assert int(found.grid.max()) == 255
    assert runner.confinement is not None
    assert runner.confinement.complete == (abi() > 0)


def test_two_processes_explain_alike_byte_for_byte(
    runner: Runner, telling_bundle: Bundle, make_part10: Part10, drawn: Pixels
) -> None:
    part10 = make_part10(drawn)
    saliency(runner, make_part10(drawn[::-1].copy()))  # what was asked before leaves no trace
    with runner_for(telling_bundle) as other:
        assert saliency(other, part10).grid.tobytes() == saliency(runner, part10).grid.tobytes()
        assert saliency(runner, part10).grid.tobytes() == saliency(runner, part10).grid.tobytes()


def test_maps_of_several_frames_do_not_get_mixed(runner: Runner, make_part10: Part10, drawn: Pixels) -> None:
    turned = drawn[::-1, ::-1].copy()
    stack = make_part10(np.stack([drawn, drawn // 20, turned]))
    assert isinstance(runner.analyse(stack)[1].outcomes[0], Refusal)
    alone = [saliency(runner, make_part10(picture)).grid for picture in (drawn, turned)]
    assert not np.array_equal(alone[0], alone[1])
    assert np.array_equal(saliency(runner, stack, 1).grid, alone[0])
    assert np.array_equal(saliency(runner, stack, 3).grid, alone[1])


def test_golden_figures_are_measured_of_a_bundle_that_explains(runner: Runner) -> None:
    (result,) = runner.golden()
    assert isinstance(result, GoldenResult)
    assert result.name == "melanoma"
    assert result.measured is not None


def test_a_layer_that_the_network_lacks_is_named_before_any_image_is_read(telling_bundle: Bundle) -> None:
    folder, description = telling_bundle
    fields = description.model_dump(by_alias=True)
    fields["explanation"]["layer"] = "features.9"
    with (
        runner_for((folder, ServingDescription.model_validate(fields))) as wrong,
        pytest.raises(Defect, match=r"explanation\.layer: the network densenet has no layer 'features\.9'"),
    ):
        wrong.start()


def test_previews_are_those_of_the_frames_by_their_numbers(runner: Runner, make_part10: Part10) -> None:
    random = np.random.default_rng(2)
    stack: NDArray[np.uint8] = random.integers(0, 256, (3, 1500, 70, 3), dtype=np.uint8)
    found = runner.previews(make_part10(stack))
    assert list(found) == [1, 2, 3]
    for number, one in found.items():
        assert np.array_equal(one, preview(stack[number - 1]))
        assert one.shape == (1024, 48, 3)


def test_a_tiled_image_is_one_frame_with_one_preview_and_one_map(runner: Runner, drawn: Pixels, make_part10: Part10) -> None:
    tiles = tiled.part10(tiled.tiled(drawn, (16, 16)))
    found = runner.previews(tiles)
    assert list(found) == [1]
    assert np.array_equal(found[1], drawn)
    assert np.array_equal(saliency(runner, tiles).grid, saliency(runner, make_part10(drawn)).grid)


def test_a_frame_that_is_refused_for_its_quality_has_a_preview_all_the_same(
    runner: Runner, make_part10: Part10, drawn: Pixels
) -> None:
    dark = drawn // 20
    assert isinstance(runner.analyse(make_part10(dark))[0].outcomes[0], Refusal)
    assert np.array_equal(runner.previews(make_part10(dark))[1], dark)


def test_what_cannot_be_decoded_has_no_previews(runner: Runner, make_part10: Part10, drawn: Pixels) -> None:
    for part10 in (
        b"no dicom",
        make_part10(drawn, Rows=65535, Columns=65535),
        make_part10(np.stack([drawn] * 5)),
        make_part10(drawn, BurnedInAnnotation="YES"),
        make_part10(drawn, PixelData=b"\0\0"),
    ):
        assert runner.previews(part10) == {}


def test_a_mosaic_of_8000_by_8000_pixels_has_a_preview(telling_bundle: Bundle, make_part10: Part10) -> None:
    across = np.linspace(0, 255, 8000).astype(np.uint8)
    with runner_for(telling_bundle, max_pixels=64_000_000) as one:
        (found,) = one.previews(make_part10(np.broadcast_to(across, (8000, 8000)))).values()
    assert found.shape == (1024, 1024, 3)
    assert np.array_equal(found[0], found[1023])
    assert (found[0, 0, 0], found[0, 1023, 0]) == (0, 254), "255 is the last pixel's alone"


def told(**changes: object) -> dict[str, object]:
    return {"kind": "preview", "id": 1, "frames": [1], "rows": 60, "columns": 80} | changes


LIES: dict[str, object] = {
    "another size": told(rows=61),
    "a huge size": told(rows=10**9, columns=10**9),
    "frame 2 of 1": told(frames=[2]),
    "frame 0": told(frames=[0]),
    "a frame twice": told(frames=[1, 1]),
    "frames without end": told(frames=list(range(1, 10_100))),
    "another question's answer": told(id=2),
    "an analysis instead": answer({"kind": "refusal", "reason": "burned_in", "detail": ""}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_runner_that_lies_about_previews_is_not_believed(
    telling_bundle: Bundle, make_part10: Part10, drawn: Pixels, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    monkeypatch.setattr(client, "PROGRAM", standing_in(LIES[lie]))
    with runner_for(telling_bundle) as lying, pytest.raises(Defect) as failure:
        lying.previews(make_part10(drawn))
    assert failure.value.reason.code == "runner_failed"


def test_a_stand_in_that_tells_the_truth_about_previews_is_believed(
    telling_bundle: Bundle, make_part10: Part10, drawn: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the lies above fail for what they say; it wrote nothing, so the picture is black."""
    monkeypatch.setattr(client, "PROGRAM", standing_in(told()))
    with runner_for(telling_bundle) as honest:
        assert not honest.previews(make_part10(drawn))[1].any()


@pytest.mark.parametrize(
    ("map_", "said"),
    [
        ({"class_id": "melanoma", "rows": 65, "columns": 4}, r"less_than_equal at .*saliency\.rows"),
        ({"class_id": "melanoma", "rows": 4, "columns": 10**9}, r"less_than_equal at .*saliency\.columns"),
        ({"class_id": "nevus", "rows": 4, "columns": 4}, "about another class"),
        ({"class_id": "psoriasis", "rows": 4, "columns": 4}, "about another class"),
        ({"class_id": "melanoma", "rows": 4, "columns": 4}, "no strongest place"),
    ],
)
def test_a_runner_that_lies_about_saliency_is_not_believed(
    telling_bundle: Bundle, make_part10: Part10, drawn: Pixels, monkeypatch: pytest.MonkeyPatch,
    map_: dict[str, object], said: str,
) -> None:  # fmt: skip
    outcome = {"kind": "classification", "probabilities": [0.5, 0.5], "saliency": map_}
    monkeypatch.setattr(client, "PROGRAM", standing_in(answer(outcome)))
    with runner_for(telling_bundle) as lying, pytest.raises(Defect, match=said):
        lying.analyse(make_part10(drawn))
