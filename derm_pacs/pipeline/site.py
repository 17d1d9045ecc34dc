"""What every stage may use: settings, database, time, the warm runners. Put together once, by the worker's process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from derm_pacs.delivery.interface import Target
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.reasons import DESTINATION_GONE
from derm_pacs.ledger.database import Database
from derm_pacs.pipeline.runners import Runners
from derm_pacs.pipeline.target import target
from derm_pacs.settings.model import Settings


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """This installation, as the stages see it."""

    settings: Settings
    database: Database
    installation_uid: str
    runners: Runners
    now: Callable[[], datetime] = utc_now

    @property
    def deadline(self) -> timedelta:
        """How long a transient error is tried again."""
        return timedelta(minutes=self.settings.delivery.deadline_minutes)

    def target(self, name: str) -> Target:
        """Return the address of a destination of the settings; raises `Rejected` where it has gone from them."""
        if name not in {one.name for one in self.settings.destinations}:
            raise Rejected(DESTINATION_GONE, f"no destination of the settings is named {name}")
        return target(self.settings, name)
