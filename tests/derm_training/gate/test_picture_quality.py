"""The quality figures measured for the limits are those that the service measures."""

import numpy as np
import pytest

from derm_pacs.inference import quality
from derm_training.gate import picture_quality


@pytest.mark.parametrize("shape", [(90, 120), (300, 400), (777, 513)])
def test_the_figures_are_the_services(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    ours, service = picture_quality.measure(picture), quality.measure(picture)
    for name, value in ours.items():
        assert value == pytest.approx(getattr(service, name), rel=1e-6), name
