"""`derm-pacs bundles quality` says what its figures are for, and writes them into report and card together, or nowhere."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_training.gate import quality_measured
from derm_training.gate.quality_measured import Gate, GateMeasured, Passed
from derm_training.measuring.statement import RESEARCH_USE
from derm_training.reporting.gate_words import gate_block
from derm_training.tables.rows import Table
from tests.conftest import REPOSITORY


def passed(kind: str, passed: int) -> tuple[Passed, ...]:
    return (Passed(kind=kind, n=20, passed=passed, low=0.0, high=1.0, reasons={"poor_quality_blur": 20 - passed}),)


MEASURED = GateMeasured(
    good=passed("validation pictures", 19), not_skin=passed("without skin", 3), degraded=passed("damaged", 7),
    table="t.csv", synthetic=False, count=20, seed=0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Table]:
    """The tables that were measured so far; each gives the same, drawn where its file is called so."""
    tables: list[Table] = []

    def measure_gate(_: Gate, table: Table, **__: object) -> GateMeasured:
        tables.append(table)
        return replace(MEASURED, synthetic=table.path.name == "drawn.csv")

    monkeypatch.setattr(quality_measured, "measure_gate", measure_gate)
    return tables


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of a shipped bundle, to be written into."""
    return Path(shutil.copytree(REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet", tmp_path / "bundle"))


def quality(bundle: Path, *more: str, table: str = "t.csv") -> ExitCode | int:
    file = bundle.parent / table
    file.write_text("path,label\nx.png,nevus\n", encoding="utf-8")
    return run(["bundles", "quality", str(bundle), "--data", str(file), *more])


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_table_ends_in_what_it_is_for(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality(bundle) == ExitCode.OK
    assert capsys.readouterr().out.rstrip().endswith(RESEARCH_USE)


def test_what_is_counted_of_drawn_pictures_is_called_so(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality(bundle) == ExitCode.OK
    assert "SYNTHETIC" not in capsys.readouterr().out
    assert quality(bundle, table="drawn.csv") == ExitCode.OK
    said = capsys.readouterr().out
    assert "SYNTHETIC validation pictures" in said
    assert "SYNTHETIC damaged" in said
    assert "SYNTHETIC without" not in said


def test_without_write_the_bundle_stays_as_it_was(bundle: Path) -> None:
    before = content(bundle)
    assert quality(bundle) == ExitCode.OK
    assert content(bundle) == before


def test_the_counts_are_written_into_report_and_card_and_nothing_else_changes(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(bundle)
    assert quality(bundle, "--write", "--json") == ExitCode.OK
    after = content(bundle)
    values = json.loads(after["docs/report/gate.json"])
    serving = json.loads(after["configs/serving.json"])
    assert values == json.loads(capsys.readouterr().out)
    assert (values["bundle"], values["version"], values["weights_sha256"]) == (serving["name"], serving["version"], serving["weights"]["sha256"])
    assert f"<!-- gate -->\n{gate_block(values)}\n<!-- /gate -->\n" in after["docs/README.md"].decode()
    assert {name for name in after if after[name] != before.get(name)} == {"docs/report/gate.json", "docs/README.md"}


def test_a_card_without_a_place_for_the_counts_is_told_before_anything_is_measured(
    bundle: Path, asked: list[Table], capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "docs" / "README.md").write_text("no block", encoding="utf-8")
    before = content(bundle)
    assert quality(bundle, "--write") == ExitCode.FAILED
    assert "write a line <!-- gate --> and below it a line <!-- /gate --> into the card" in capsys.readouterr().err
    assert not asked
    assert content(bundle) == before
