"""The ticks of the clock on the screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from derm_pacs.cli.print.terminal import plain, print_json, stdout, table
from derm_pacs.cli.print.times import moment, span


@dataclass(frozen=True, slots=True, kw_only=True)
class TickShown:
    """A tick of the clock with its last and its next run."""

    name: str
    meaning: str
    every: timedelta
    last_at: datetime | None
    note: str
    """What the last run did."""
    next_at: datetime
    """When it is due next, if a clock process runs."""


def print_ticks(ticks: Sequence[TickShown], zone: ZoneInfo, *, as_json: bool) -> None:
    """Print the ticks."""
    if as_json:
        print_json([
            {
                "name": one.name, "meaning": one.meaning, "every_seconds": one.every.total_seconds(),
                "last_at": plain(one.last_at), "note": one.note, "next_at": plain(one.next_at),
            }
            for one in ticks
        ])
        return
    rows = table("tick", "every", "last run", "did", "next run", "what for")
    for one in ticks:
        rows.add_row(one.name, span(one.every), moment(one.last_at, zone), one.note, moment(one.next_at, zone), one.meaning)
    stdout().print(rows)
