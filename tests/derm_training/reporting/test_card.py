"""What the report writes into a bundle: the description's figures and the card's block, from the report's values alone."""

import json
from pathlib import Path

import pytest

from derm_pacs.domain.bundle import ValidationFigure
from derm_training.reporting.card import (
    NOT_MEASURED,
    figures_block,
    forget_figures,
    validation,
    write_block,
    write_figures,
)
from tests.derm_training.reporting.test_report import PAPER, classifier_task, mask_task


def report() -> dict[str, object]:
    real, _ = classifier_task(("nevus", "melanoma"))
    made, _ = classifier_task(("nevus", "melanoma"), synthetic=True)
    return {"paper": PAPER, "tasks": [real, made, mask_task()]}


def test_every_figure_of_the_description_is_valid_and_stands_in_the_card() -> None:
    values = report()
    block = figures_block(values)
    found = [ValidationFigure.model_validate(one) for one in validation(values)]
    assert {one.metric for one in found} >= {"auc", "sensitivity", "jaccard", "dice"}
    for one in found:
        assert f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f}" in block


def test_a_sensitivity_is_of_the_positives_alone_and_says_so_in_both() -> None:
    values = report()
    task = values["tasks"][0]  # type: ignore[index]
    assert (task["n"], task["counts"]["melanoma"]) == (60, 30)
    first = {one["metric"]: one["n"] for one in reversed(validation(values))} | {one["metric"]: one["n"] for one in validation(values)[:4]}
    assert (first["auc"], first["accuracy"], first["sensitivity"], first["specificity"]) == (60, 60, 30, 30)
    low, high = task["overall"]["sensitivity_ci"]
    assert f"({low:.3f} to {high:.3f}, n 30)" in figures_block(values)


def test_drawn_images_are_called_so_in_both() -> None:
    values = report()
    assert "**SYNTHETIC: t<a>ble.csv" in figures_block(values)
    assert any(one["dataset"].startswith("SYNTHETIC, ") for one in validation(values))
    assert all("SYNTHETIC" not in one["dataset"] for one in validation(values | {"tasks": [values["tasks"][0]]}))  # type: ignore[index]


def test_the_papers_figures_are_marked_as_its_own() -> None:
    assert "| figure | the paper's own, on its own data |" in figures_block(report())
    assert "the paper's own" not in figures_block(report() | {"paper": None})


def test_figures_go_between_the_markers_and_nothing_else_changes(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "configs" / "serving.json").write_text('{"name": "spots", "validation": [1]}', encoding="utf-8")
    card = tmp_path / "docs" / "README.md"
    card.write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n", encoding="utf-8")
    values = report()
    write_figures(tmp_path, values)
    assert card.read_text(encoding="utf-8") == f"before\n<!-- figures -->\n{figures_block(values)}\n<!-- /figures -->\nafter\n"
    assert json.loads((tmp_path / "configs" / "serving.json").read_text(encoding="utf-8")) == {"name": "spots", "validation": validation(values)}


def test_a_card_without_the_markers_is_refused(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("no block", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the markers of the block 'figures'"):
        write_block(card, "figures", "text")


@pytest.mark.parametrize("card", [None, "no block", "<!-- figures -->\nold, and no end"])
def test_where_a_card_has_no_place_for_figures_the_description_gets_none(card: str | None, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "serving.json").write_text('{"name": "spots"}', encoding="utf-8")
    if card is not None:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "README.md").write_text(card, encoding="utf-8")
    with pytest.raises(ValueError, match=r"README\.md .*; write a line <!-- figures --> and below it a line <!-- /figures --> into the card"):
        write_figures(tmp_path, report())
    assert (tmp_path / "configs" / "serving.json").read_text(encoding="utf-8") == '{"name": "spots"}'
    assert not forget_figures(tmp_path)


def test_a_card_whose_figures_are_forgotten_says_that_nothing_was_measured(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    card = tmp_path / "docs" / "README.md"
    card.write_text("before\n<!-- figures -->\nAUC 0.93\n<!-- /figures -->\nafter\n", encoding="utf-8")
    assert forget_figures(tmp_path)
    assert card.read_text(encoding="utf-8") == f"before\n<!-- figures -->\n{NOT_MEASURED}\n<!-- /figures -->\nafter\n"
    assert not forget_figures(tmp_path), "none are left to be forgotten"
