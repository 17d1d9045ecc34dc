"""What was found out about a peer, on the screen."""

from rich.console import Console

from derm_pacs.cli.peers import Gets, Probed, Taken
from derm_pacs.cli.print.checks import print_checks
from derm_pacs.cli.print.terminal import stdout, table


def print_probed(probed: Probed) -> None:
    """Print what the peer answered, what it takes, and what each destination on it would get."""
    out = stdout()
    print_checks(probed.asked, as_json=False)
    if probed.takes:
        _print_takes(out, probed)
    for one in probed.destinations:
        _print_gets(out, one)
    if not probed.destinations and all(one.ok for one in probed.asked):
        out.print(f"\nNo destination of the settings names {probed.peer}.")


def _print_takes(out: Console, probed: Probed) -> None:
    rows = table("it takes", "SOP class", "in")
    for one in probed.takes:
        rows.add_row(one.name, one.sop_class_uid, _syntaxes(one))
    out.print()
    out.print(rows)
    out.print()
    out.print(f"Storage commitment: {_offered(probed.offers_commitment)}")
    out.print(f"Query (C-FIND): {_offered(probed.offers_query)}")


def _syntaxes(one: Taken) -> str:
    return ", ".join(one.transfer_syntaxes) or "not taken"


def _offered(offered: bool | None) -> str:
    return "offered" if offered else "not offered"


def _print_gets(out: Console, one: Gets) -> None:
    out.print(f"\nDestination {one.destination}", style="bold")
    out.print(f"  wants     {', '.join(one.wants)}")
    out.print(f"  gets      {', '.join(one.gets) or 'nothing'}", style=None if one.gets else "bold red")
    for each in one.left_out:
        out.print(f"  left out  {each.form}: {each.why}")
    for note in one.notes:
        out.print(f"  note      {note}")
    out.print(f"  proof     {one.proof}")
