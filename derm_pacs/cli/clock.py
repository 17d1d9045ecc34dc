"""`derm-pacs clock`: what time brings."""

from datetime import UTC, datetime, timedelta

from derm_pacs.cli.opening import opened
from derm_pacs.cli.options import DEFAULT_CONFIG, Config, Json
from derm_pacs.cli.print.clock import TickShown, print_ticks
from derm_pacs.ledger import standing
from derm_pacs.operations.clock import TICKS


def clock(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show what the clock runs: the last and the next run of each tick.

    The next run is when the tick is due; a last run long ago says that no clock process runs.

    Examples:
        derm-pacs clock
        derm-pacs clock --json
    """
    now = datetime.now(UTC)
    with opened(config) as here:
        last = {one.name: one for one in here.database.transaction(standing.last_ticks)}
        shown = [
            TickShown(
                name=tick.name, meaning=tick.meaning, every=tick.every, next_at=next_run(tick.every, now),
                last_at=last[tick.name].ran_at if tick.name in last else None, note=last[tick.name].note if tick.name in last else "",
            )
            for tick in TICKS
        ]
        print_ticks(shown, here.settings.zone, as_json=as_json)


def next_run(every: timedelta, now: datetime) -> datetime:
    """Return the next whole multiple of `every` since 1970 (UTC), which is when the clock runs a tick."""
    seconds = every.total_seconds()
    return datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, UTC)
