"""How far a measuring is, on a terminal alone."""

import io
import sys

import pytest
from ignite.engine import Engine

from derm_training.measuring.progress import shown


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that moves its cursor and has no colours, whatever the tests run in."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")


def measured(images: int, *, batch: int = 4) -> None:
    """Run an evaluator that does nothing over so many images, its bar shown."""
    done: list[bool] = []
    evaluator = Engine(lambda _engine, size: done.extend([True] * size))
    with shown(evaluator, "measuring [t].csv", done, images):
        evaluator.run([batch] * (images // batch))
        sys.stdout.write("a handler speaks\n")


def test_a_terminal_gets_a_bar_with_the_images_done_and_the_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stderr", said := Terminal())
    measured(12)
    assert "measuring [t].csv" in said.getvalue()
    assert "12/12 left 0:00:00" in said.getvalue()
    assert capsys.readouterr().out == "a handler speaks\n", "what is printed goes where it would go without a bar"


def test_elsewhere_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    measured(12)
    assert capsys.readouterr().err == ""


def test_the_bar_ends_with_the_evaluators_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", said := Terminal())
    evaluator = Engine(lambda _engine, _batch: 1 / 0)
    with pytest.raises(ZeroDivisionError), shown(evaluator, "measuring t.csv", [], 4):
        evaluator.run([1])
    assert said.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"
