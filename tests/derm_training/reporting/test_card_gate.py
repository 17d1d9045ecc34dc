"""What is written of a bundle's quality gate: docs/report/gate.json and the card's block, from the counted values alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from derm_training.reporting.card import GATE_NOT_MEASURED, forget_gate, write_gate
from derm_training.reporting.gate_words import gate_block, gate_table
from derm_training.reporting.report import remove_report


def counted(kind: str, n: int, let_through: int, **reasons: int) -> dict[str, Any]:
    return {"kind": kind, "n": n, "let_through": let_through, "share": let_through / n, "low": 0.1, "high": 0.9, "refused_because": reasons}


def values(**other: object) -> dict[str, Any]:
    return {
        "schema": 1, "bundle": "spots", "version": "1.2.0", "weights_sha256": "ab", "colour": "RGB", "table": "MANIFEST.csv", "synthetic": False,
        "count": 500, "seed": 0,
        "good": [counted("validation pictures", 610, 599, out_of_distribution=11), counted("HAM10000-200", 300, 298, out_of_distribution=2)],
        "not_skin": [counted("without skin", 500, 107, no_skin=300, out_of_distribution=93), counted("screen", 75, 0, no_skin=75)],
        "degraded": [counted("damaged", 500, 1, poor_quality_blur=499), counted("cut off", 83, 1, poor_quality_dark=82)],
    } | other  # fmt: skip


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose card has a place for the counts."""
    folder = tmp_path / "spots"
    for name in ("configs", "docs"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "serving.json").write_text("{}", encoding="utf-8")
    (folder / "docs" / "README.md").write_text("before\n<!-- gate -->\nold\n<!-- /gate -->\nafter\n", encoding="utf-8")
    return folder


def card(bundle: Path) -> str:
    return (bundle / "docs" / "README.md").read_text(encoding="utf-8")


def test_the_block_says_each_group_in_a_sentence_and_each_kind_of_picture_in_a_table() -> None:
    said = gate_block(values())
    assert said.startswith(
        "The whole gate lets 599 of 610 validation pictures of `MANIFEST.csv` through, 107 of 500 pictures without skin, and 1 of 500 damaged validation pictures "
    )
    assert "| **validation pictures** | 610 | 599 (98.2 %) | 10.0 % to 90.0 % | out_of_distribution 11 |\n| HAM10000-200 | 300 | 298 " in said
    assert "| **without skin** | 500 | 107 (21.4 %) | 10.0 % to 90.0 % | no_skin 300, out_of_distribution 93 |\n| screen | 75 | 0 (0.0 %) " in said
    assert "| **damaged** | 500 | 1 (0.2 %) | 10.0 % to 90.0 % | poor_quality_blur 499 |\n| cut off | 83 | 1 " in said
    assert "SYNTHETIC" not in said


def test_drawn_pictures_are_called_so_wherever_they_are_counted() -> None:
    said = gate_block(values(synthetic=True, colour="GREY"))
    assert "599 of 610 SYNTHETIC validation pictures of `MANIFEST.csv` through, 107 of 500 pictures without skin (read as grey), and 1 of 500 damaged SYNTHETIC " in said
    assert "a program drew the validation pictures" in said
    assert "says nothing about patients" in said
    for group in ("SYNTHETIC validation pictures", "without skin", "SYNTHETIC damaged"):
        assert f"| **{group}** |" in said


def test_counts_go_into_the_report_and_between_the_markers_and_nothing_else_changes(bundle: Path) -> None:
    write_gate(bundle, values())
    assert json.loads((bundle / "docs" / "report" / "gate.json").read_text(encoding="utf-8")) == values()
    assert card(bundle) == f"before\n<!-- gate -->\n{gate_block(values())}\n<!-- /gate -->\nafter\n"


def test_where_a_card_has_no_place_for_the_counts_none_are_written(bundle: Path) -> None:
    (bundle / "docs" / "README.md").write_text("no block", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the markers of the block 'gate'; write a line <!-- gate -->"):
        write_gate(bundle, values())
    assert not (bundle / "docs" / "report").exists()
    assert not forget_gate(bundle)


def test_a_gate_whose_counts_are_forgotten_is_not_measured(bundle: Path) -> None:
    write_gate(bundle, values())
    assert forget_gate(bundle)
    assert not (bundle / "docs" / "report" / "gate.json").exists()
    assert card(bundle) == f"before\n<!-- gate -->\n{GATE_NOT_MEASURED}\n<!-- /gate -->\nafter\n"
    assert not forget_gate(bundle), "none are left to be forgotten"


def test_counts_go_from_the_report_though_the_card_has_no_place_for_them(bundle: Path) -> None:
    write_gate(bundle, values())
    (bundle / "docs" / "README.md").unlink()
    assert forget_gate(bundle)
    assert not (bundle / "docs" / "report" / "gate.json").exists()


def test_a_new_report_of_figures_leaves_the_counts(bundle: Path) -> None:
    write_gate(bundle, values())
    report = bundle / "docs" / "report"
    for name in ("report.json", "report.html", "roc.png"):
        (report / name).write_bytes(b"")
    assert remove_report(report)
    assert [file.name for file in report.iterdir()] == ["gate.json"]


def test_the_table_of_all_bundles_has_their_counts_and_names_those_without(bundle: Path) -> None:
    assert gate_table(bundle.parent).splitlines()[2:] == ["| `spots` | not measured yet | not measured yet | not measured yet |"]
    write_gate(bundle, values())
    assert gate_table(bundle.parent).splitlines()[2:] == ["| `spots` | 599 of 610 | 107 of 500 | 1 of 500 |"]
    write_gate(bundle, values(synthetic=True))
    assert gate_table(bundle.parent).splitlines()[2:] == ["| `spots` | SYNTHETIC 599 of 610 | 107 of 500 | SYNTHETIC 1 of 500 |"]
