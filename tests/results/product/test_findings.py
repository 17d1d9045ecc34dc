"""Whatever bundles say, at the limits of what they may say, is written legally and read back equal."""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from derm_pacs.domain.findings import Mask, Outcome
from tests.results.product.axes import (
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
)
from tests.results.product.judgement import faults
from tests.results.product.judges import Tools
from tests.results.product.readers import CODES
from tests.results.product.sources import COLUMNS, ROWS
from tests.results.product.told import CLASSIFIER, SEGMENTER, Said, case, probabilities, region

pytestmark = pytest.mark.server
PHOTOGRAPH = Combination(
    sop_class=SopClass.DERMOSCOPIC, colour=Colour.RGB, compression=Compression.NONE, spacing=Spacing.CALIBRATED,
    frames=Frames.ONE, name=Name.PLAIN, type2=Type2.FILLED, site=Site.NAMED, told=Told.EVERYTHING, answer=Answer.USUAL,
)  # fmt: skip
DIAGNOSES = tuple(name for name in CODES if name not in ("skin_lesion", "skin"))
LIMITS = (0.0, 1e-7, 4.999999e-7, 1.0)


@st.composite
def shares(draw: st.DrawFn) -> tuple[float, ...]:
    """Two to fourteen probabilities that sum to 1, often at the limits."""
    weights = draw(st.lists(st.one_of(st.sampled_from(LIMITS), st.floats(0, 1)), min_size=2, max_size=len(DIAGNOSES)))
    total = sum(weights)
    return tuple(one / total for one in weights) if total > 1e-3 else (1.0, *(0.0 for _ in weights[1:]))


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Empty, full, one pixel, one line, or a few rectangles that may touch the borders and one another."""
    mask = np.zeros((ROWS, COLUMNS), bool)
    kind = draw(st.sampled_from(("empty", "full", "pixel", "corner", "line", "rectangles", "rectangles", "grains")))
    match kind:
        case "full":
            mask[:] = True
        case "pixel":
            mask[draw(st.integers(0, ROWS - 1)), draw(st.integers(0, COLUMNS - 1))] = True
        case "corner":
            mask[draw(st.sampled_from((0, -1))), draw(st.sampled_from((0, -1)))] = True
        case "line":
            mask[draw(st.integers(0, ROWS - 1))] = True
        case "rectangles":
            for _ in range(draw(st.integers(1, 4))):
                top, left = draw(st.integers(0, ROWS - 1)), draw(st.integers(0, COLUMNS - 1))
                mask[top : top + draw(st.integers(1, ROWS)), left : left + draw(st.integers(1, COLUMNS))] = True
        case "grains":
            mask[:] = np.random.default_rng(draw(st.integers(0, 99))).random(mask.shape) < 0.1
    return mask


def _say(classes: tuple[float, ...], lesion: Mask, skin: Mask | None, _: Mask) -> Said:
    regions: tuple[Outcome, ...] = (region("skin_lesion", lesion),)
    if skin is not None:
        regions = (*regions, region("skin", skin))
    return [(SEGMENTER, regions), (CLASSIFIER, (probabilities(classes, DIAGNOSES[: len(classes)]),))]


@settings(
    max_examples=20, suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes a second, and making it smaller hundreds
)
@given(classes=shares(), lesion=masks(), skin=st.none() | masks(), answer=st.sampled_from(Answer), spacing=st.sampled_from(Spacing))
def test_every_finding_is_written_legally_and_read_back_equal(
    classes: tuple[float, ...], lesion: Mask, skin: Mask | None, answer: Answer, spacing: Spacing
) -> None:
    combination = replace(PHOTOGRAPH, answer=answer, spacing=spacing)
    with tempfile.TemporaryDirectory() as folder:
        assert faults(case(combination, partial(_say, classes, lesion, skin)), Tools(Path(folder))) == []
