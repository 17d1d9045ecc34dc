"""`derm-pacs bundles quality` says what its figures are for."""

from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_training.gate import quality_measured
from derm_training.gate.quality_measured import GateMeasured
from derm_training.measuring.statement import RESEARCH_USE


def test_the_table_ends_in_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    measured = GateMeasured(seed=0, good=(), not_skin=(), degraded=())
    monkeypatch.setattr(quality_measured, "measure_gate", lambda *_, **__: measured)
    (tmp_path / "t.csv").write_text("path,label\nx.png,nevus\n", encoding="utf-8")
    assert run(["bundles", "quality", "melanoma_nevus_alexnet", "--data", str(tmp_path / "t.csv")]) == ExitCode.OK
    assert capsys.readouterr().out.rstrip().endswith(RESEARCH_USE)
