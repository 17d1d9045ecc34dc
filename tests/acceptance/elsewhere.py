"""Composes a revision in a process and on a day of its own, and prints what came out.

Called with the ledger's URL, the settings as JSON, the revision's id and a number of days to add to the clock.
"""

import datetime as dt
import json
import sys
import time


def set_clock(days: float) -> None:
    """Let this process believe that it is another day."""
    real_now, real_time = dt.datetime.now, time.time
    shift = dt.timedelta(days=days)

    class Kind(type(dt.datetime)):  # type: ignore[misc]
        def __instancecheck__(cls, one: object) -> bool:
            return isinstance(one, real)

    real = dt.datetime

    class Later(dt.datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return real_now(tz) + shift

        @classmethod
        def today(cls) -> dt.datetime:  # type: ignore[override]
            return real_now() + shift

    dt.datetime = Later  # type: ignore[misc]
    time.time = lambda: real_time() + shift.total_seconds()


def main(url: str, settings: str, revision_id: int) -> None:
    from pathlib import Path  # noqa: PLC0415 - everything is imported on the other day

    from derm_pacs.domain.edition import Edition  # noqa: PLC0415
    from derm_pacs.ledger import results  # noqa: PLC0415
    from derm_pacs.ledger.database import Database  # noqa: PLC0415
    from derm_pacs.ledger.tables import Revision  # noqa: PLC0415
    from derm_pacs.pipeline import editions  # noqa: PLC0415
    from derm_pacs.pipeline.site import Site  # noqa: PLC0415
    from derm_pacs.settings.model import Settings  # noqa: PLC0415
    from tests.acceptance.way import Answers, said_of  # noqa: PLC0415

    made = Settings.model_validate({**json.loads(settings), "data_dir": Path(json.loads(settings)["data_dir"])})
    database = Database(url)
    site = Site(
        settings=made, database=database, installation_uid="2.25.77",
        runners=Answers(made, lambda image: said_of(image.Rows, image.Columns)),
    )
    given = database.transaction(lambda tx: editions.material(tx, tx.get_one(Revision, revision_id), site))
    keys = database.transaction(lambda tx: [one.key for one in results.editions(tx, revision_id)])
    sources = editions.sources(given, site)
    found: dict[str, str] = {}
    for key in keys:
        edition = Edition.parse(key)
        shown = editions.previews(given, sources, [edition], site)
        found |= {one.sop_instance_uid: one.sha256 for one in editions.make(given, edition, sources, shown, site)}
    database.close()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    set_clock(float(sys.argv[4]))
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
