"""What the demonstration prints."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

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
    """Print each case: what was said of its images, and the objects that came back."""
    console.rule("What came back")
    for number, case in enumerate(accounts, start=1):
        for line in case_lines(number, case):
            console.print(line, soft_wrap=True, highlight=False)


def case_lines(number: int, case: CaseAccount) -> list[str]:
    """Return the lines about one case, with Rich's markup."""
    committed = "committed by the PACS" if case.committed else "nothing to commit" if not case.results else "not committed"
    lines = [f"\n[bold]{number}  {escape(case.study.title)}[/bold]", f"   case {case.case_id}: [bold]{case.state}[/bold], {committed}"]
    if case.reason:
        lines.append(f"   reason: {escape(case.reason)}")
    for image in case.images:
        lines.append(f"   {image.kind}")
        lines += [f"      {escape(line)}" for line in _said(image)]
    for result in case.results:
        fetched = "fetched back from the PACS" if result.file is not None else "[bold red]NOT in the PACS[/bold red]"
        lines.append(f"   {_FORMS.get(result.form, result.form):<10} {result.sop_instance_uid}  {fetched}")
    return lines + [f"   [bold red]{escape(one)}[/bold red]" for one in case.shortcomings()]


_FORMS = {"seg": "SEG", "overlay_sr": "overlay SR", "report_sr": "report SR"}


def _said(image: ImageAccount) -> list[str]:
    said = [
        f"{one.called}: probability of {one.positive} {one.probability:.3f}"
        f" {'>=' if one.is_positive else '<'} threshold {one.threshold:.2f} (set by {one.threshold_set_by})"
        for one in image.calls
    ]
    said += [f"lesion area {one.pixels} pixels, {100 * one.share:.1f} % of the image" for one in image.areas]
    said += [f"not analysed, because {one}" for one in image.refusals]
    return said or ["not analysed: no route takes this kind of image"]


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
