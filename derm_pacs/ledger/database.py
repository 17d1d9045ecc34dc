"""The way to the database: transactions that survive a lost connection."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import psycopg
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from derm_pacs.domain.errors import Transient
from derm_pacs.domain.reasons import DATABASE_AWAY

T = TypeVar("T")

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Database:
    """A PostgreSQL database with the ledger's schema.

    The engine pools connections; it is made once in each process and may be used from several threads.
    """

    def __init__(self, url: str, *, patience_seconds: float = 10.0) -> None:
        """`url` begins with `postgresql://`; `patience_seconds` is how long a lost database is tried again."""
        self.patience_seconds = patience_seconds
        self.engine: Engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            hide_parameters=True,  # an error's text goes to the log; parameters may be a patient's name
            # Times come back as they are stored, whatever zone the server is set to.
            connect_args={"connect_timeout": 5, "options": "-c timezone=UTC", "application_name": "derm-pacs"},
        )

    def transaction(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction and return what it returns; an exception rolls everything back.

        A lost connection, a deadlock or a failed serialisation runs `work` again from its beginning in a new
        transaction, so `work` does nothing but read and write the ledger, and finds out itself what is left to do:
        a connection that is lost during the commit leaves open whether the commit took place.
        Raises `Transient(DATABASE_AWAY)` when the database stays away for `patience_seconds`.
        """
        end = time.monotonic() + self.patience_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                with Session(self.engine, expire_on_commit=False) as session, session.begin():
                    return work(session)
            except Exception as error:
                if not _says_try_again(error):
                    raise
                # Every connection of the pool went with the server that this one was lost to.
                self.engine.dispose()
                if time.monotonic() + pause > end:
                    raise Transient(DATABASE_AWAY, type(error).__name__) from error
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def close(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()


def _says_try_again(error: BaseException) -> bool:
    """Whether the database was away or asks for another try.

    Looks through the causes too: what works on the session's raw connection wraps the driver's error in its own.
    """
    return any(
        isinstance(one, OperationalError | InterfaceError | psycopg.OperationalError | psycopg.InterfaceError)
        or (isinstance(one, DBAPIError) and one.connection_invalidated)
        for one in _with_causes(error)
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__
