"""What a training leaves in its folder, so that it can be stopped at any time, taken up again, and judged."""

import copy
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from derm_networks.efficientnet_auxiliary import without_auxiliary
from derm_training.learning.batch_norm import fold
from derm_training.learning.beginning import beginning
from derm_training.learning.progress import tell
from derm_training.learning.schedule import step_loss

_Record = dict[str, float | int]


class Checkpoints:
    """Handler of a trainer, after the one that validates.

    In `folder`: `last.pt`, from which a training goes on after its last whole epoch, with what it began with (`beginning`);
    `best.pt`, the bare state dict of the averaged weights (batch normalisation of training folded in) of the epoch with the best `metric` (of the last epoch where
    `validator` or the metric is missing, or `keep_best` is false); `log.jsonl`, a line for each epoch. `patience` ends the
    training after so many epochs without a better figure. `main_classes` keeps only so many first rows of the last linear
    layer, `head`.
    """

    def __init__(
        self,
        *,
        folder: str | Path,
        network: nn.Module,
        averaged: AveragedModel,
        optimizer: torch.optim.Optimizer,
        validator: Engine | None,
        metric: str,
        patience: int | None = None,
        keep_best: bool = True,
        main_classes: int | None = None,
        head: str = "classifier",
    ) -> None:
        self.folder = Path(folder)
        self.network = network
        self.averaged = averaged
        self.optimizer = optimizer
        self.validator = validator
        self.metric = metric
        self.patience = patience
        self.keep_best = keep_best
        self.main_classes = main_classes
        self.head = head
        self.records: list[_Record] = []
        self._loss = 0.0
        self._began = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._resume)
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _resume(self, engine: Engine) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        last = self.folder / "last.pt"
        if not last.exists():
            return
        state = torch.load(last, weights_only=True, map_location="cpu")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.records = state["records"]
        done = len(self.records)
        engine.state.epoch = done
        engine.state.iteration = done * (engine.state.epoch_length or 0)
        tell(f"going on after epoch {done}, from {last}")
        if self._exhausted():
            engine.terminate()

    def _begin(self) -> None:
        self._loss = 0.0
        self._began = time.monotonic()

    def _count(self, engine: Engine) -> None:
        self._loss += step_loss(engine)

    def _save(self, engine: Engine) -> None:
        record: _Record = {
            "epoch": engine.state.epoch,
            "loss": self._loss / (engine.state.epoch_length or 1),
            "seconds": round(time.monotonic() - self._began, 1),
        }
        metrics = self.validator.state.metrics if self.validator is not None else {}
        record |= {name: value for name, value in metrics.items() if isinstance(value, float) and math.isfinite(value)}
        self.records.append(record)
        if best_epoch(self.records, self.metric if self.keep_best else "") == len(self.records):
            _replace(self.folder / "best.pt", self._shipped())
        lines = "".join(json.dumps(one) + "\n" for one in self.records)
        (self.folder / "log.jsonl").write_text(lines, encoding="utf-8")
        began = beginning(self.folder)
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "records": self.records,
            "images": began.images,
            "settings": began.settings,
        }
        _replace(self.folder / "last.pt", state)
        if self._exhausted():
            tell(f"{self.patience} epochs without a better {self.metric}: the training ends here")
            engine.terminate()

    def _exhausted(self) -> bool:
        return self.patience is not None and len(self.records) - best_epoch(self.records, self.metric) >= self.patience

    def _shipped(self) -> dict[str, Tensor]:
        network = fold(copy.deepcopy(self.averaged.module))
        state = without_auxiliary({name: value.detach().cpu() for name, value in network.state_dict().items()})
        if self.main_classes is not None:
            for name in (f"{self.head}.weight", f"{self.head}.bias"):
                state[name] = state[name][: self.main_classes].clone()
        return state


def best_epoch(records: Sequence[dict[str, Any]], metric: str) -> int:
    """Return the first epoch (counted from 1) with the largest `metric`; the last one where no epoch has a number for it."""
    valued = [(float(one[metric]), -number) for number, one in enumerate(records, 1) if metric in one]
    return -max(valued)[1] if valued else len(records)


def _replace(file: Path, content: dict[str, Any]) -> None:
    """Write under another name first: a training killed at any moment leaves the old file or the new one."""
    growing = file.with_suffix(".part")
    with growing.open("wb") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    growing.replace(file)
