"""How the service stands, on the screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from derm_pacs.cli.print.terminal import print_json, stdout, table
from derm_pacs.cli.print.times import moment
from derm_pacs.domain.case import MEANING
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.ledger.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStanding:
    """What `derm-pacs status` tells."""

    running: bool
    """Whether a supervisor runs on this machine."""
    processes: Mapping[str, int]
    """Name of each process of the supervisor to its process id."""
    ledger: Standing
    unfiled_bytes: Mapping[str, int]
    """Bytes of each listener's spool that are not filed yet."""
    queue: Mapping[str, int]
    """Jobs by status."""
    confinement: Sequence[str]
    """What of the confinement of bundles this machine cannot give; empty where it gives everything."""


def print_standing(standing: ServiceStanding, zone: ZoneInfo, *, as_json: bool) -> None:
    """Print how the service stands."""
    if as_json:
        print_json(standing)
        return
    out = stdout()
    names = ", ".join(f"{name} {pid}" for name, pid in sorted(standing.processes.items()))
    out.print(f"Service: {'running on this machine: ' + names if standing.running else 'no supervisor runs on this machine'}")
    filing = table("Spool of", "filed up to", "not filed yet", "end last reached")
    for line in standing.ledger.filing:
        waiting = f"{standing.unfiled_bytes.get(line.listener, 0)} bytes"
        filing.add_row(line.listener, f"segment {line.segment}, byte {line.offset}", waiting, moment(line.drained_at, zone))
    out.print(filing if standing.ledger.filing else "Spool: nothing filed yet")
    cases = table("Cases", "", "")
    for state, count in standing.ledger.cases.items():
        cases.add_row(state, str(count), MEANING[state][0])
    out.print(cases if standing.ledger.cases else "Cases: none")
    out.print(f"Queue: {_counts(standing.queue)}")
    out.print(f"Deliveries on their way: {_counts(standing.ledger.deliveries)}")
    for note in standing.confinement:
        out.print(f"Confinement: {note}")
    for fault in standing.ledger.faults:
        out.print(f"Fault since {moment(fault.opened_at, zone)}: {fault.key}: {fault.reason.sentence} ({fault.detail})")
        out.print(f"  Remedy ({fault.reason.who}): {fault.reason.remedy}")
    if not standing.ledger.faults:
        out.print("Faults: none")


def _counts(counts: Mapping[str, int] | Mapping[DeliveryState, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
