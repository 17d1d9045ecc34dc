"""What the client believes of an answer: all that is true, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Classification, ClassProbability, Outcome, Saliency, Segmentation
from derm_pacs.inference.answers import (
    Expected,
    ExpectedPreviews,
    Unbelievable,
    accept,
    accept_previews,
    arrays,
    encode,
)
from derm_pacs.inference.messages import ANSWER, MAX_GRID, ImageAnswer, PreviewAnswer
from derm_pacs.inference.outcomes import FrameOutcome

Bundle = tuple[Path, ServingDescription]


@pytest.fixture(scope="module")
def description(telling_bundle: Bundle, tiny_bundle: Bundle) -> ServingDescription:
    """A classification that is explained, and two masks."""
    fields: dict[str, Any] = telling_bundle[1].model_dump(by_alias=True)
    mask = tiny_bundle[1].outputs[0].model_dump()
    fields["outputs"] = [mask, *fields["outputs"], mask | {"id": "skin"}]
    return ServingDescription.model_validate(fields)


def grids(seed: int) -> Saliency | None:
    random = np.random.default_rng(seed)
    rows, columns = random.integers(1, MAX_GRID + 1, 2)
    grid = random.integers(0, 255, (rows, columns), dtype=np.uint8)
    grid[0, 0] = 255
    return None if grid.min() == 255 else Saliency(method="grad_cam", class_id="melanoma", grid=grid)


def outcomes(description: ServingDescription, seed: int, size: tuple[int, int]) -> tuple[Outcome, ...]:
    random = np.random.default_rng(seed)
    share = float(random.random())
    told = Classification(
        output="diagnosis",
        probabilities=(
            ClassProbability(class_id="nevus", concept="melanocytic_nevus", probability=1 - share),
            ClassProbability(class_id="melanoma", concept="melanoma", probability=share),
        ),
        saliency=grids(seed) if seed % 3 else None,
    )
    masks = [
        Segmentation(output=name, concept="lesion", threshold=0.5, mask=random.random(size) < 0.5) for name in ("lesion", "skin")
    ]
    return masks[0], told, masks[1]


def kept(found: tuple[FrameOutcome, ...], description: ServingDescription, memory: int) -> bytes:
    room = bytearray(memory)
    for place, content in arrays(found, description):
        assert room[place : place + len(content)] == bytes(len(content)), "no two arrays share a place"
        room[place : place + len(content)] = content
    assert len(room) == memory
    return bytes(room)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=4), st.integers(1, 30), st.integers(1, 30))
def test_what_the_runner_found_arrives_as_it_was(
    description: ServingDescription, seeds: list[int], rows: int, columns: int
) -> None:
    found = tuple(
        FrameOutcome(frame=number, outcomes=outcomes(description, seed, (rows, columns)))
        for number, seed in enumerate(seeds, start=1)
    )
    expected = Expected(description, (len(found), rows, columns))
    said = ANSWER.validate_json(encode(found, 7).model_dump_json())
    assert isinstance(said, ImageAnswer)
    for before, after in zip(found, accept(said, expected, kept(found, description, expected.memory)), strict=True):
        assert before.frame == after.frame
        for one, other in zip(before.outcomes, after.outcomes, strict=True):
            if isinstance(one, Segmentation):
                assert isinstance(other, Segmentation)
                assert np.array_equal(one.mask, other.mask)
            else:
                assert isinstance(one, Classification)
                assert isinstance(other, Classification)
                assert replace(one, saliency=None) == replace(other, saliency=None)
                assert (one.saliency is None) == (other.saliency is None)
                if one.saliency is not None and other.saliency is not None:
                    assert (one.saliency.method, one.saliency.class_id) == (other.saliency.method, other.saliency.class_id)
                    assert np.array_equal(one.saliency.grid, other.saliency.grid)


NAMES = st.sampled_from(["melanoma", "nevus", "", "psoriasis", "\x1b[2J"])
NUMBERS = st.integers(-1, 70)
SALIENCY = st.fixed_dictionaries({"class_id": NAMES, "rows": NUMBERS, "columns": NUMBERS}) | st.none()
TOLD = st.fixed_dictionaries(
    {
        "kind": st.just("classification"),
        "probabilities": st.sampled_from([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0], [0.5], [0.5, 0.6], [float("nan"), 1.0]]),
        "saliency": SALIENCY,
    }
)


@given(told=TOLD, memory=st.binary(min_size=0, max_size=64), frame=st.integers(0, 2))
def test_any_other_answer_is_refused_or_fits(
    telling_bundle: Bundle, told: dict[str, Any], memory: bytes, frame: int
) -> None:
    expected = Expected(telling_bundle[1], (1, 60, 80))
    room = memory + bytes(expected.memory - len(memory))
    try:
        answer = ImageAnswer.model_validate({"id": 1, "frames": [{"frame": frame, "outcomes": [told]}]})
        ((found,),) = (one.outcomes for one in accept(answer, expected, room))
    except ValueError:  # of pydantic, or Unbelievable
        return
    assert isinstance(found, Classification)
    assert abs(sum(one.probability for one in found.probabilities) - 1) < 1e-6
    if found.saliency is not None:
        assert (found.saliency.method, found.saliency.class_id) == ("grad_cam", "melanoma")
        assert max(found.saliency.grid.shape) <= MAX_GRID
        assert int(found.saliency.grid.min()) < int(found.saliency.grid.max()) == 255


@pytest.mark.parametrize(
    ("saliency", "explained", "said"),
    [
        ({"class_id": "nevus", "rows": 2, "columns": 2}, True, "about another class"),
        ({"class_id": "melanoma", "rows": 2, "columns": 2}, False, "does not name"),
        ({"class_id": "melanoma", "rows": 2, "columns": 3}, True, "no strongest place"),
        ({"class_id": "melanoma", "rows": 1, "columns": 1}, True, "no strongest place"),
    ],
)
def test_a_saliency_map_that_cannot_be_is_named(
    telling_bundle: Bundle, saliency: dict[str, Any], explained: bool, said: str
) -> None:
    fields = telling_bundle[1].model_dump(by_alias=True)
    description = ServingDescription.model_validate(fields if explained else fields | {"explanation": None})
    expected = Expected(description, (1, 60, 80))
    told = {"kind": "classification", "probabilities": [0.5, 0.5], "saliency": saliency}
    answer = ImageAnswer.model_validate({"id": 1, "frames": [{"frame": 1, "outcomes": [told]}]})
    memory = b"\xff" + bytes(4095) if saliency["rows"] == saliency["columns"] else bytes(4096)
    with pytest.raises(Unbelievable, match=said):
        accept(answer, expected, memory)


@given(st.lists(st.integers(-1, 6), max_size=6), st.integers(-1, 4), st.integers(-1, 4))
def test_previews_are_refused_or_fit(frames: list[int], rows: int, columns: int) -> None:
    expected = ExpectedPreviews((4, 3, 2))
    memory = bytes(range(expected.memory))
    try:
        answer = PreviewAnswer.model_validate({"id": 1, "frames": frames, "rows": rows, "columns": columns})
        found = accept_previews(answer, expected, memory)
    except ValueError:
        assert frames != sorted(set(frames)) or not set(frames) <= {1, 2, 3, 4} or (rows, columns) != (3, 2)
        return
    assert list(found) == frames
    for frame, preview in found.items():
        assert preview.shape == (3, 2, 3)
        assert preview.tobytes() == memory[(frame - 1) * 18 : frame * 18]
