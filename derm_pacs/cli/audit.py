"""`derm-pacs audit verify`: the chain of the audit trail."""

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.opening import opened
from derm_pacs.cli.options import DEFAULT_CONFIG, Config, Json
from derm_pacs.cli.print.terminal import print_json
from derm_pacs.ledger import audit
from derm_pacs.ledger.audit import Broken


def verify(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Verify that no row of the audit trail was changed or taken out.

    That its newest rows were not cut off shows when number and last hash are compared with those noted elsewhere.

    Examples:
        derm-pacs audit verify
        derm-pacs audit verify --json
    """
    with opened(config) as here:
        found = here.database.transaction(audit.verify)
    if as_json:
        print_json({"whole": not isinstance(found, Broken), "found": found})
    if isinstance(found, Broken):
        remedy = "restore the database from a backup and compare the rows from there on"
        raise CommandError(ExitCode.FAILED, f"the audit trail is broken: row {found.row} {found.what}", remedy)
    if not as_json:
        print(f"the audit trail is whole: {found.rows} rows, last hash {found.last_hash}")
