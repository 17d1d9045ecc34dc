"""How far a measuring is: a bar with the time left, on stderr where that is a terminal."""

from collections.abc import Iterator, Sized
from contextlib import contextmanager

from ignite.engine import Engine, Events
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def shown(evaluator: Engine, what: str, done: Sized, images: int) -> Iterator[None]:
    """Show a bar named `what` while `evaluator` runs within; `done` holds as many things as images are done, of `images`."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    # handlers that print must not reach the terminal by the bar, nor the loader's processes wait for its lock
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(what, total=images)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda: bar.update(task, completed=len(done)))
        yield
