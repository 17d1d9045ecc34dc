"""What was tried and what came of it, on the screen."""

from collections.abc import Sequence
from dataclasses import dataclass

from derm_pacs.cli.print.terminal import print_json, stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One thing that was tried."""

    what: str
    ok: bool
    says: str
    """What was found, in a sentence."""
    warns: bool = False
    """Whether it is in order but not as it might be wished."""
    remedy: str = ""
    """What to do; empty where all is in order."""


_WORDS = {(True, False): "ok    ", (True, True): "note  ", (False, False): "FAILED", (False, True): "FAILED"}


def print_checks(checked: Sequence[Checked], *, as_json: bool) -> None:
    """Print what was tried, one line each, and the remedy below what failed."""
    if as_json:
        print_json(checked)
        return
    out = stdout()
    for one in checked:
        out.print(f"{_WORDS[one.ok, one.warns]} {one.what}: {one.says}", style=None if one.ok else "bold red")
        if one.remedy:
            out.print(f"       Remedy: {one.remedy}")
    if not checked:
        out.print("nothing to try")
