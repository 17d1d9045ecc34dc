"""All pairs of what a source and an answer may be, before every validator: confocal images and multi-frame captures."""

import pytest

from tests.results.product.axes import SINGLE_FRAME, Combination, all_pairs
from tests.results.product.judgement import faults
from tests.results.product.judges import Tools
from tests.results.product.told import case

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]
HERE = [one for one in all_pairs() if one.sop_class not in SINGLE_FRAME]


@pytest.mark.parametrize("combination", HERE, ids=str)
def test_every_object_passes_every_validator(combination: Combination, tools: Tools) -> None:
    assert faults(case(combination), tools) == []
