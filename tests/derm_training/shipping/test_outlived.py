"""What goes with former weights goes from the configurations of stock MONAI too."""

from pathlib import Path

import pytest

from derm_training.shipping.outlived import Outlived, take_out

SAID = '{\n  "temperature": %s,\n  "inferer": {"temperature": %s, "share": [\n    0.5\n  ]},\n  "func": "$lambda logits: logits / @temperature"\n}\n'


@pytest.mark.parametrize("fitted", [1.16, 1.0])
def test_stock_monai_gets_the_temperature_of_the_service(fitted: float, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for name in ("evaluate.json", "inference.json"):
        (tmp_path / "configs" / name).write_text(SAID % (1.16, "9.1e-1"), encoding="utf-8")
    description = {"quality": {}, "outputs": [{"kind": "classification", "temperature": fitted}]}
    assert take_out(tmp_path, description) == Outlived(temperatures=() if fitted == 1.0 else (1.16,))
    for name in ("evaluate.json", "inference.json"):
        assert (tmp_path / "configs" / name).read_text(encoding="utf-8") == SAID % (1.0, 1.0)
