"""What a training says while it runs: a bar with the time left on a terminal; elsewhere a line for each epoch, and an early one."""

import math
import time

from ignite.engine import Engine, Events
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from derm_training.learning.schedule import step_loss
from derm_training.tables.selection import is_drawn

_CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)
_EARLY_SECONDS = 30.0  # until the first word on the time left, where an epoch may take many minutes and no bar is shown


def console() -> Console:
    """Return the console to which training talks."""
    return _CONSOLE


def tell(text: str) -> None:
    """Write a line to stderr, above a bar if one is shown."""
    _CONSOLE.print(text, markup=False)


def duration(seconds: float) -> str:
    """Return a time in words of the fitting size, such as `40 s`, `12 min`, `3 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class TrainingProgress:
    """Handler of a trainer: shows how far it is; `validator` is the evaluator whose metrics end each epoch's line."""

    def __init__(self, validator: Engine | None = None) -> None:
        self.validator = validator
        self._bar: Progress | None = None
        self._began = 0.0
        self._first = 0
        self._loss = 0.0
        self._told_early = False

    def attach(self, engine: Engine) -> None:
        """Register with a trainer; after the handlers that resume and validate."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._forget_loss)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)
        engine.add_event_handler(Events.COMPLETED, self._end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        self._began = time.monotonic()
        self._first = engine.state.epoch
        if not _CONSOLE.is_terminal:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=_CONSOLE)
        steps = (engine.state.max_epochs or 0) * (engine.state.epoch_length or 0)
        self._bar.add_task("training", total=steps, completed=engine.state.iteration)
        self._bar.start()

    def _forget_loss(self) -> None:
        self._loss = 0.0

    def _step(self, engine: Engine) -> None:
        self._loss += step_loss(engine)
        if self._bar is None:
            self._tell_early(engine)
            return
        done = (engine.state.iteration - 1) % (engine.state.epoch_length or 1) + 1
        told = f"epoch {engine.state.epoch} of {engine.state.max_epochs}, loss {self._loss / done:.3f}"
        self._bar.update(self._bar.task_ids[0], completed=engine.state.iteration, description=told)

    def _tell_early(self, engine: Engine) -> None:
        passed = time.monotonic() - self._began
        if self._told_early or passed < _EARLY_SECONDS or engine.state.epoch > self._first + 1:
            return
        self._told_early = True
        length, epochs = engine.state.epoch_length or 0, engine.state.max_epochs or 0
        before = self._first * length
        left = passed / (engine.state.iteration - before) * (epochs * length - engine.state.iteration)
        step = (engine.state.iteration - 1) % length + 1
        tell(f"epoch {engine.state.epoch} of {epochs}, step {step} of {length}; about {duration(left)} left")

    def _epoch(self, engine: Engine) -> None:
        epochs, last = engine.state.epoch, engine.state.max_epochs or 0
        loss = self._loss / (engine.state.epoch_length or 1)
        rest = (time.monotonic() - self._began) / (epochs - self._first) * (last - epochs)
        left = f"; about {duration(rest)} left" if rest and self._bar is None else ""
        tell(f"epoch {epochs} of {last}: loss {loss:.4f}{self._figures()}{left}")

    def _figures(self) -> str:
        if self.validator is None:
            return ""
        values = {name: value for name, value in self.validator.state.metrics.items() if isinstance(value, float) and math.isfinite(value)}
        figures = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        return f", {'SYNTHETIC ' if _drawn_alone(self.validator) else ''}{figures}" if figures else ""

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _fail(self, error: BaseException) -> None:
        self._end()
        raise error


def _drawn_alone(validator: Engine) -> bool:
    """Return whether all images that `validator` judges by were drawn by a program; its loader's data set names the set of each."""
    datasets = getattr(getattr(getattr(validator, "data_loader", None), "dataset", None), "datasets", [])
    return bool(datasets) and all(map(is_drawn, datasets))
