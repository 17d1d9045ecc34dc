"""`derm-pacs status`: how the service stands."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from derm_pacs.cli.opening import opened
from derm_pacs.cli.options import DEFAULT_CONFIG, Config, Json
from derm_pacs.cli.print.standing import ServiceStanding, print_standing
from derm_pacs.inference.landlock import abi
from derm_pacs.ledger.standing import FilingLine, standing
from derm_pacs.pipeline import queue
from derm_pacs.settings.model import Settings
from derm_pacs.spool.read import listeners
from derm_pacs.spool.segment import PREAMBLE, file_name, numbers


def status(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show how the service stands: filing, cases, queue, deliveries, faults.

    Examples:
        derm-pacs status
        derm-pacs status --json
    """
    with opened(config) as here:
        ledger = here.database.transaction(standing)
        processes = running_processes(here.settings)
        shown = ServiceStanding(
            running="supervisor" in processes,
            processes=processes,
            ledger=ledger,
            unfiled_bytes=unfiled_bytes(here.settings.spool_dir, ledger.filing),
            queue=here.database.transaction(queue.lengths),
            confinement=confinement_notes(abi()),
        )
        print_standing(shown, here.settings.zone, as_json=as_json)


def running_processes(settings: Settings) -> Mapping[str, int]:
    """Return the living processes that the supervisor of this machine has noted, by name; empty where none runs."""
    try:
        noted: dict[str, int] = json.loads((settings.run_dir / "processes.json").read_text(encoding="ascii"))
    except FileNotFoundError:
        return {}
    return {name: pid for name, pid in noted.items() if Path(f"/proc/{pid}").exists()}


def unfiled_bytes(spool_dir: Path, filing: Iterable[FilingLine]) -> dict[str, int]:
    """Return for each listener how many bytes of its spool lie behind the position of filing."""
    filed = {line.listener: (line.segment, line.offset) for line in filing}
    waiting: dict[str, int] = {}
    for name in listeners(spool_dir):
        directory = spool_dir / name
        at, offset = filed.get(name, (0, 0))
        waiting[name] = sum(
            max(0, (directory / file_name(number)).stat().st_size - max(offset if number == at else 0, PREAMBLE.size))
            for number in numbers(directory)
            if number >= at
        )
    return waiting


def confinement_notes(landlock_abi: int) -> tuple[str, ...]:
    """Say what of the confinement of bundles this kernel cannot give (`inference/confine.py`)."""
    if landlock_abi > 0:
        return ()
    kept = "bundles are kept by seccomp and no_new_privs alone, so what they may read is bounded by file permissions only"
    return (f"this kernel has no Landlock; {kept}",)
