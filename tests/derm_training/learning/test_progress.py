"""What a training says of the time left where no terminal shows a bar."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from derm_training.learning.progress import TrainingProgress


def _trainer(advance: Callable[[], None]) -> Engine:
    """Return an engine each of whose steps does `advance` and has the loss 1."""

    def step(_engine: Engine, _batch: int) -> dict[str, torch.Tensor]:
        advance()
        return {"loss": torch.tensor(1.0)}

    return Engine(step)


@pytest.fixture
def seconds_per_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Callable[[], None]]:
    """A clock that goes on by so many seconds with each step, and by nothing else."""
    now = [0.0]
    monkeypatch.setattr("derm_training.learning.progress.time.monotonic", lambda: now[0])

    def of(seconds: float) -> Callable[[], None]:
        def advance() -> None:
            now[0] += seconds

        return advance

    return of


def test_a_long_first_epoch_says_once_within_half_a_minute_how_long_all_will_take(
    seconds_per_step: Callable[[float], Callable[[], None]], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = _trainer(seconds_per_step(12))
    TrainingProgress().attach(trainer)
    trainer.run(range(50), max_epochs=4)
    early, *epochs = capsys.readouterr().err.splitlines()
    assert early == "epoch 1 of 4, step 3 of 50; about 39 min left"
    assert [line[:12] for line in epochs] == [f"epoch {n} of 4" for n in (1, 2, 3, 4)]


def test_a_short_first_epoch_speaks_at_its_end_alone(
    seconds_per_step: Callable[[float], Callable[[], None]], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = _trainer(seconds_per_step(1))
    TrainingProgress().attach(trainer)
    trainer.run(range(20), max_epochs=3)
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [f"epoch {n} of 3" for n in (1, 2, 3)]


def test_a_resumed_training_counts_only_the_steps_it_has_done(
    seconds_per_step: Callable[[float], Callable[[], None]], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = _trainer(seconds_per_step(12))

    def resume(engine: Engine) -> None:
        engine.state.epoch, engine.state.iteration = 2, 100

    trainer.add_event_handler(Events.STARTED, resume)
    TrainingProgress().attach(trainer)
    trainer.run(range(50), max_epochs=4)
    assert "epoch 3 of 4, step 3 of 50; about 19 min left" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("datasets", "said"),
    [
        (["synthetic mosaics", "Synthetic RCM"], "loss 1.0000, SYNTHETIC auc 0.9000, auc HAM 0.8000"),
        (["synthetic mosaics", "HAM"], "loss 1.0000, auc 0.9000, auc HAM 0.8000"),
    ],
)
def test_the_figures_of_drawn_pictures_alone_are_called_so(datasets: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    validator: Any = Engine(lambda _engine, _batch: None)
    validator.state.metrics = {"auc": 0.9, "auc HAM": 0.8, "by set": {}}
    validator.data_loader = SimpleNamespace(dataset=SimpleNamespace(datasets=datasets))
    trainer = _trainer(lambda: None)
    TrainingProgress(validator).attach(trainer)
    trainer.run(range(2), max_epochs=1)
    assert said in capsys.readouterr().err
