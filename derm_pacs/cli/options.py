"""Options that several commands share."""

import os
import pwd
from pathlib import Path
from typing import Annotated

import typer

CONFIG_VARIABLE = "DERM_PACS_CONFIG"
DEFAULT_CONFIG = Path("/etc/derm-pacs/derm-pacs.toml")


def login_name() -> str:
    """Return the user who runs the command; behind sudo the one who called it."""
    name = pwd.getpwuid(os.getuid()).pw_name
    return os.environ.get("SUDO_USER") or name if os.getuid() == 0 else name


Config = Annotated[Path, typer.Option("--config", envvar=CONFIG_VARIABLE, help="The settings file.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, times in UTC.")]
def _not_blank(value: str) -> str:
    if not value.strip():
        raise typer.BadParameter("nothing is done by nobody or for nothing; write a name or a reason")
    return value


Reason = Annotated[str, typer.Option("--reason", callback=_not_blank, help="Why, for the audit trail.")]
Actor = Annotated[str, typer.Option("--actor", callback=_not_blank, default_factory=login_name, show_default="the login name", help="Who does it, for the audit trail.")]
CaseKey = Annotated[str, typer.Argument(metavar="CASE", help="Number of the case, or its Study Instance UID.")]
