"""What the demonstration prints."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from derm_pacs.demonstration.account import CaseAccount, ImageAccount
from derm_pacs.demonstration.orthanc import Orthanc
from derm_pacs.demonstration.picture import NOTICE


def pacs_runs(console: Console, pacs: Orthanc) -> None:
    """Say where the PACS runs, and on which addresses."""
    where = f"a real PACS (Orthanc {pacs.rest('/system')['Version']}) runs as {pacs.ae_title} on 127.0.0.1:{pacs.dicom_port}"
    if pacs.isolated:
        console.print(f"{where}, in a network namespace of its own, reached over the loopback interface only")
    else:
        console.print(
            f"{where}. [bold]Attention:[/bold] no network namespace can be made here, so its ports {pacs.dicom_port} and"
            f" {pacs.http_port} are open on every address of this machine until the demonstration ends"
        )


def what_came_back(console: Console, accounts: Sequence[CaseAccount]) -> None:
    """Print a table of the cases, then the objects that came back, then what is not as it must be."""
    table = Table(title="What came back", show_lines=True, expand=False)
    for heading in ("study", "image", "call, probability against threshold", "lesion area", "case"):
        table.add_column(heading, overflow="fold")
    for number, case in enumerate(accounts, start=1):
        for index, image in enumerate(case.images):
            state = f"{case.state}, {'committed' if case.committed else 'not committed'}" if index == 0 else ""
            title = f"{number}: {case.study.title}" if index == 0 else ""
            table.add_row(escape(title), image.kind, escape(_calls(image, case)), escape(_areas(image)), state)
    console.print(table)
    for number, case in enumerate(accounts, start=1):
        for result in case.results:
            fetched = "fetched back" if result.file is not None else "[bold]NOT in the PACS[/bold]"
            console.print(f"study {number}: {result.form:<10} {result.sop_instance_uid} {fetched}", soft_wrap=True)
        if not case.results:
            console.print(f"study {number}: no result object; {escape(case.reason)}", soft_wrap=True)
        for one in case.shortcomings():
            console.print(f"[bold red]study {number}: {escape(one)}[/bold red]", soft_wrap=True)


def _calls(image: ImageAccount, case: CaseAccount) -> str:
    said = [
        f"{one.called}: {one.positive} {one.probability:.3f} {'>=' if one.is_positive else '<'} {one.threshold:.2f}"
        for one in image.calls
    ]
    said += [f"not analysed, because {one}" for one in image.refusals]
    if not said and not image.areas:
        said = [f"not analysed: {case.reason or 'no route takes this kind of image'}"]
    return "\n".join(said)


def _areas(image: ImageAccount) -> str:
    return "\n".join(f"{one.pixels} pixels\n({100 * one.share:.1f} % of the image)" for one in image.areas)


def how_to_go_on(console: Console, out: Path, config: Path, pictures: Sequence[Path]) -> None:
    """Say where everything lies and how to run the service for good."""
    console.print(f"\n[bold]{NOTICE}[/bold]")
    lines = [
        f"Look at it:   {out / 'demo' / 'pictures'} ({len(pictures)} pictures with outline and call), {out / 'demo.json'},",
        f"              {out / 'demo' / 'dicom'} (images, SR and SEG as the PACS gave them back, for any DICOM viewer)",
        f"Go on:        derm-pacs serve --config {config}   runs this service again, on its ledger and bundles, for good;",
        "              your PACS is named in that file under [[peers]]; all settings: deploy/derm-pacs.example.toml",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
