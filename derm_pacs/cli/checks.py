"""What `derm-pacs check` tries, one function each; a failure is a value with its remedy."""

import shutil
from collections.abc import Iterator

from derm_pacs.bundles.listing import ListedBundle, listed
from derm_pacs.bundles.routes import faults
from derm_pacs.cli.exit_codes import CommandError
from derm_pacs.cli.opening import require_answer, require_schema
from derm_pacs.cli.print.checks import Checked
from derm_pacs.domain.reasons import NO_ACTIVE_BUNDLE
from derm_pacs.ledger.database import Database
from derm_pacs.operations.postgres import EmbeddedPostgres, ledger_url
from derm_pacs.settings.model import Settings
from derm_pacs.settings.secrets import masked_url

_OLDEST_SERVER = 140000


def ledger_is_there(settings: Settings) -> bool:
    """Whether a database is named by URL, or the embedded one has been made."""
    return settings.database.url is not None or EmbeddedPostgres(settings.postgres_dir).cluster.exists()


def database(settings: Settings) -> Checked:
    """Say whether the database answers, is new enough and has the schema of this program."""
    url = ledger_url(settings)
    what = f"database ({masked_url(url) if settings.database.url else 'embedded'})"
    if not ledger_is_there(settings):
        return Checked(what=what, ok=True, says=f"not there yet; derm-pacs serve makes it in {settings.postgres_dir}")
    try:
        version = require_answer(url, settings)
        require_schema(url)
    except CommandError as error:
        return Checked(what=what, ok=False, says=error.wrong, remedy=error.remedy)
    if version < _OLDEST_SERVER:
        return Checked(what=what, ok=False, says=f"PostgreSQL {version // 10000} is too old", remedy="use version 14 or later")
    return Checked(what=what, ok=True, says=f"PostgreSQL {version // 10000} answers, its schema is that of this program")


def disk(settings: Settings) -> Checked:
    """Say whether more than the spool's reserve is free where the data lies or will lie."""
    place = next(one for one in (settings.data_dir, *settings.data_dir.parents) if one.exists())
    free = shutil.disk_usage(place).free // 1_000_000
    reserve = settings.spool.disk_reserve_megabytes
    what = f"disk of {settings.data_dir}"
    says = f"{free} MB free, the reserve is {reserve} MB (spool.disk_reserve_megabytes)"
    if free > reserve:
        return Checked(what=what, ok=True, says=says)
    return Checked(what=what, ok=False, says=says, remedy="free disk space or enlarge the volume; nothing is received below the reserve")


def bundles(settings: Settings) -> Iterator[Checked]:
    """Say of every bundle that is installed or named by a route whether it can be used."""
    ledger = Database(ledger_url(settings), patience_seconds=0)
    try:
        found = listed(ledger)
    finally:
        ledger.close()
    active = {one.bundle.identity.name: one for one in found if one.bundle.active}
    usable = {name: (one.bundle.identity, one.bundle.folder) for name, one in active.items() if not one.unusable}
    yield from (_bundle(one) for one in found)
    for route in settings.routes:
        for name in route.bundles:
            if name not in active:
                what = f"bundle {name} of route {route.name}"
                yield Checked(what=what, ok=False, says="no version of it is in force", remedy=NO_ACTIVE_BUNDLE.remedy)
        for reason, names in faults(route.route(), usable):
            yield Checked(what=names, ok=False, says=reason.sentence, remedy=reason.remedy)


def _bundle(one: ListedBundle) -> Checked:
    identity = one.bundle.identity
    what = f"bundle {identity.name} {identity.version} ({'in force' if one.bundle.active else 'not in force'})"
    if one.unusable:
        return Checked(what=what, ok=False, says=one.unusable, remedy="install it again from its source: derm-pacs bundles install")
    return Checked(what=what, ok=True, says=f"usable; grade {identity.grade}; licence: {one.bundle.licence}")

