"""Follows the studies through the service until every case has ended, with a progress display."""

import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from derm_pacs.demonstration.failure import DemonstrationError
from derm_pacs.demonstration.service import Service
from derm_pacs.domain.case import ENDS, State
from derm_pacs.ledger import reading
from derm_pacs.ledger.database import Database
from derm_pacs.samples.studies import Study

BASE_SECONDS = 300.0
SECONDS_A_STUDY = 120.0
_POLL_SECONDS = 0.3
_WAY = (State.RECEIVING, State.QUEUED, State.ANALYSING, State.COMPOSING, State.DELIVERING)


def follow(
    studies: Sequence[Study], database: Database, service: Service, console: Console, *, first_number: int = 1
) -> Mapping[str, reading.CaseLine]:
    """Wait until the case of every study has ended and return where each stands, by Study Instance UID.

    The studies are shown under numbers from `first_number` on.

    Raises `DemonstrationError` where the service ends or the time is over, naming what is not done.
    """
    limit = BASE_SECONDS + SECONDS_A_STUDY * len(studies)
    last = time.monotonic() + limit
    with Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[state]}"), TimeElapsedColumn(),
        console=console,
    ) as progress:  # fmt: skip
        shown = {
            one.study_uid: progress.add_task(f"study {number}", total=len(_WAY), state="sent")
            for number, one in enumerate(studies, start=first_number)
        }
        seen: dict[str, reading.CaseLine] = {}
        while time.monotonic() < last:
            service.check_running()
            for line in database.transaction(lambda tx: reading.cases(tx, limit=10 * len(studies))):
                if line.study_instance_uid in shown:
                    _show(progress, shown, seen.get(line.study_instance_uid), line)
                    seen[line.study_instance_uid] = line
            if len(seen) == len(shown) and all(line.state in ENDS for line in seen.values()):
                return seen
            time.sleep(_POLL_SECONDS)
    waiting = [f"study {number} {seen[one.study_uid].state if one.study_uid in seen else 'not filed'}" for number, one in enumerate(studies, start=first_number)]
    raise DemonstrationError(f"not all cases ended within {limit:.0f} s: {', '.join(waiting)}; the service's log is {service.log}")


def _show(progress: Progress, shown: Mapping[str, TaskID], before: reading.CaseLine | None, line: reading.CaseLine) -> None:
    if before is not None and before.state is line.state:
        return
    task = shown[line.study_instance_uid]
    done = _WAY.index(line.state) if line.state in _WAY else len(_WAY)
    progress.update(task, completed=done, state=line.state)
    if not progress.console.is_terminal:  # a log shows no bars: a line for each step instead
        progress.console.print(f"  {progress.tasks[task].description}: {line.state}")
