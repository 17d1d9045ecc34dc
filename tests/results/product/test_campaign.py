"""Every combination of the product before every validator: `make campaign-results`, hours on two cores.

`SHARE=10` runs a tenth of each group, drawn by `SEED`.
"""

import os
from collections.abc import Callable
from itertools import groupby
from random import Random

import pytest

from tests.results.product.axes import Colour, Combination, Compression, SopClass, forbidden_by_iod, whole_product
from tests.results.product.conftest import COMBINATIONS, FORBIDDEN, OBJECTS
from tests.results.product.judgement import faults
from tests.results.product.judges import Tools
from tests.results.product.told import case

Group = tuple[SopClass, Colour, Compression]
GROUPS: dict[Group, list[Combination]] = {
    key: list(of) for key, of in groupby(whole_product(), key=lambda one: (one.sop_class, one.colour, one.compression))
}


def drawn(group: Group) -> list[Combination]:
    """Return the share of a group that this run takes, the same in every process."""
    of, share = GROUPS[group], float(os.environ.get("SHARE") or 100)
    number = max(1, round(len(of) * share / 100))
    seed = f"{os.environ.get('SEED') or 1} {group}"
    return Random(seed).sample(of, number) if number < len(of) else of  # noqa: S311 - no secret


@pytest.mark.campaign
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("group", list(GROUPS), ids=lambda group: ", ".join((group[0].name, group[1], group[2])))
def test_every_object_of_every_combination_passes_every_validator(
    group: Group, tools: Tools, record_property: Callable[[str, object], None]
) -> None:
    found: list[str] = []
    combinations, objects = drawn(group), 0
    for combination in combinations:
        made = case(combination)
        objects += len(made.composed)
        found += [f"{combination}: {fault}" for fault in faults(made, tools)]
        for file in tools.folder.iterdir():
            file.unlink()
    record_property(COMBINATIONS, len(combinations))
    record_property(FORBIDDEN, sum(bool(forbidden_by_iod(one)) for one in combinations))
    record_property(OBJECTS, objects)
    assert found == []
