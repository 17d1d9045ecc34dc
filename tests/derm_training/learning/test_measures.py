"""Figures of the validation during training."""

import pytest
import torch

from derm_training.learning.measures import AreaUnderCurve, MeanJaccard


def found(datasets: list[str], *, by_dataset: bool = False) -> float | dict[str, float]:
    """Measure four images of which the first two are told apart rightly and the last two wrongly."""
    metric = AreaUnderCurve(2, by_dataset=by_dataset)
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0], [3.0, 0.0]])
    metric.update((logits, {"label": torch.tensor([0, 1, 0, 1]), "dataset": datasets}))
    return metric.compute()


def test_the_figure_that_chooses_the_epoch_is_of_photographs_where_there_are_any() -> None:
    assert found(["a", "a", "synthetic b", "Synthetic b"]) == 1
    assert found(["synthetic a", "synthetic a", "b", "b"]) == 0


def test_where_all_pictures_are_drawn_the_figure_is_of_them() -> None:
    assert found(["synthetic a"] * 4) == pytest.approx(0.25)


def test_each_data_set_has_its_own_figure() -> None:
    assert found(["a", "a", "synthetic b", "synthetic b"], by_dataset=True) == {"auc a": 1, "auc synthetic b": 0}


@pytest.mark.parametrize(("datasets", "mean"), [(["synthetic, composed from a", "b"], 0.0), (["synthetic a", "synthetic b"], 0.5)])
def test_so_is_that_of_masks(datasets: list[str], mean: float) -> None:
    metric = MeanJaccard()
    truth = torch.ones(2, 1, 4, 4)
    drawn = torch.stack([torch.ones(1, 4, 4), -torch.ones(1, 4, 4)])
    metric.update((drawn, {"mask": truth, "known": torch.ones(2, 1, dtype=torch.bool), "dataset": datasets}))
    assert metric.compute() == mean
