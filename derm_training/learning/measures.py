"""Figures of the validation during training, as metrics of MONAI's evaluator; a card's figures come from evaluation instead."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from torch import Tensor

from derm_training.measuring.statistics import area_under_curve
from derm_training.tables.selection import SYNTHETIC


class AreaUnderCurve(Metric):
    """Area under the ROC curve of the first `classes` logits; for more than two classes the mean of one against the rest.

    Of photographs alone where there are any: that a drawn picture is told from a photograph is no diagnosis. With `by_dataset` a
    mapping of the area of each dataset instead.
    """

    def __init__(self, classes: int, *, by_dataset: bool = False) -> None:
        self.classes = classes
        self.by_dataset = by_dataset
        super().__init__(output_transform=_prediction_and_targets)

    def reset(self) -> None:
        """Forget all images."""
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._datasets: list[str] = []

    def update(self, output: tuple[Tensor, Mapping[str, Any]]) -> None:
        """Take in a batch: logits (N, at least classes), and the targets."""
        logits, targets = output
        self._logits.append(logits.detach().float().cpu()[:, : self.classes])
        self._labels.append(targets["label"].cpu())
        self._datasets += targets["dataset"]

    def compute(self) -> float | dict[str, float]:
        """Return the area, NaN where it is not defined."""
        logits, labels = torch.cat(self._logits), torch.cat(self._labels)
        datasets = np.array(self._datasets)
        if not self.by_dataset:
            photographs = torch.tensor([not _drawn(name) for name in self._datasets])
            return self._area(logits[photographs], labels[photographs]) if photographs.any() else self._area(logits, labels)
        return {
            f"auc {name}": self._area(logits[torch.from_numpy(datasets == name)], labels[torch.from_numpy(datasets == name)])
            for name in sorted(set(self._datasets))
        }

    def _area(self, logits: Tensor, labels: Tensor) -> float:
        if self.classes == 2:
            return area_under_curve(labels.numpy(), (logits[:, 1] - logits[:, 0]).numpy())
        shares = logits.softmax(dim=1).numpy()
        areas = [area_under_curve((labels == one).numpy(), shares[:, one]) for one in range(self.classes)]
        defined = [area for area in areas if not np.isnan(area)]
        return float(np.mean(defined)) if defined else float("nan")


class MeanJaccard(Metric):
    """Mean Jaccard index of the map `channel` over the pictures where its truth is known; of each dataset on request.

    Of photographs alone where there are any: on composed pictures the cut of the lesion is easy.
    """

    def __init__(self, channel: int = 0, *, by_dataset: bool = False) -> None:
        self.channel = channel
        self.by_dataset = by_dataset
        super().__init__(output_transform=_prediction_and_targets)

    def reset(self) -> None:
        """Forget all pictures."""
        self._found: list[tuple[str, float]] = []

    def update(self, output: tuple[Tensor, Mapping[str, Any]]) -> None:
        """Take in a batch: logits (N, M, H, W), and the targets, of which `mask` is of the same size."""
        logits, targets = output
        drawn = logits[:, self.channel] > 0
        truth = targets["mask"][:, self.channel] > 0.5
        either = (drawn | truth).sum(dim=(1, 2))
        both = (drawn & truth).sum(dim=(1, 2))
        values = torch.where(either > 0, both / either.clamp(min=1), 1.0).tolist()
        known = targets["known"][:, self.channel].tolist()
        named = zip(targets["dataset"], values, known, strict=True)
        self._found += [(dataset, value) for dataset, value, one in named if one]

    def compute(self) -> float | dict[str, float]:
        """Return the mean, NaN where no truth is known."""
        if not self.by_dataset:
            photographs = [value for dataset, value in self._found if not _drawn(dataset)]
            return _mean(photographs or [value for _, value in self._found])
        names = sorted({dataset for dataset, _ in self._found})
        return {f"jaccard {name}": _mean([value for dataset, value in self._found if dataset == name]) for name in names}


def _prediction_and_targets(output: Mapping[str, Any]) -> tuple[Tensor, Mapping[str, Any]]:
    return output["pred"], output["label"]


def _drawn(dataset: str) -> bool:
    return dataset.lower().startswith(SYNTHETIC)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
