"""What the demonstration prints."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from derm_pacs.demonstration.account import Call, CaseAccount, ImageAccount
from derm_pacs.demonstration.compare import shortcomings
from derm_pacs.demonstration.files import Written
from derm_pacs.demonstration.notice import NOTICE
from derm_pacs.demonstration.orthanc import Orthanc
from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import Proof
from derm_pacs.domain.findings import Grade
from derm_pacs.results.wording import on_the_crop

_FORMS = {
    Form.SEG: "SEG", Form.OVERLAY_SR: "overlay SR", Form.REPORT_SR: "report SR", Form.PICTURE: "picture",
    Form.PRESENTATION: "presentation state", Form.PDF: "PDF",
}  # fmt: skip
_PROOFS = {Proof.COMMITMENT: "committed by the PACS", Proof.QUERY: "listed by the PACS when it was asked"}


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


def not_shown(console: Console, why: Mapping[str, str]) -> None:
    """Say which bundles of the repository take no part, and why."""
    for name, because in why.items():
        console.print(f"not shown: {name}, {because}", markup=False)


def what_came_back(console: Console, accounts: Sequence[CaseAccount]) -> None:
    """Print each case: what was said of its images, and the objects that came back; then what the PACS holds."""
    console.rule("What came back")
    for number, case in enumerate(accounts, start=1):
        for line in case_lines(number, case):
            console.print(line, soft_wrap=True, highlight=False)
    console.print()
    console.print(holdings(accounts))


def case_lines(number: int, case: CaseAccount) -> list[str]:
    """Return the lines about one case, with Rich's markup."""
    proof = ", ".join(_PROOFS.get(one, one) for one in case.proof)
    proof = proof or ("nothing to commit" if not case.results else "not proven")
    lines = [f"\n[bold]{number}  {escape(case.study.title)}[/bold]", f"   case {case.case_id}: [bold]{case.state}[/bold], {proof}"]
    if case.reason:
        lines.append(f"   reason: {escape(case.reason)}")
    for image in case.images:
        lines.append(f"   {image.kind}")
        lines += [f"      {escape(line)}" for line in _said(image)]
    lines += [f"   {'' if line.startswith('Since') else '   '}{escape(line)}" for line in case.since]
    for result in case.results:
        fetched = "fetched back from the PACS" if result.file is not None else "[bold red]NOT in the PACS[/bold red]"
        lines.append(f"   {_FORMS.get(result.form, result.form):<18} {result.sop_instance_uid}  {fetched}")
    lines += [f"   left out: {escape(one)}" for one in case.left_out]
    wrong = shortcomings(case)
    if case.results and not wrong:
        lines.append(f"   all {len(case.results)} came back, and SR, SEG and picture say what the ledger says")
    return lines + [f"   [bold red]{escape(one)}[/bold red]" for one in wrong]


def holdings(accounts: Sequence[CaseAccount]) -> Table:
    """Return what the PACS holds of all studies, and how much of it came from us."""
    all_of_it: Counter[str] = Counter()
    for case in accounts:
        all_of_it.update(case.holds)
    rows = Table("The PACS holds now", "objects", "studies", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, count in sorted(all_of_it.items()):
        rows.add_row(name, str(count), str(sum(name in case.holds for case in accounts)))
    ours = sum(one.file is not None for case in accounts for one in case.results)
    rows.add_row("of these from derm-pacs", str(ours), str(sum(bool(case.results) for case in accounts)))
    return rows


def _said(image: ImageAccount) -> list[str]:
    said = [_call(one) for one in image.calls]
    said += [f"{one.output} area {one.pixels} pixels, {100 * one.share:.1f} % of the image" for one in image.areas]
    said += [f"not analysed, because {one}" for one in image.refusals]
    return said or ["not analysed: no route takes this kind of image"]


def _call(one: Call) -> str:
    said = (
        f"{one.called}: probability of {one.positive} {one.probability:.3f}"
        f" {'>=' if one.is_positive else '<'} threshold {one.threshold:.2f} (set by {one.threshold_set_by}), by {one.bundle}"
    )
    if one.crop is not None:
        said += f", read {on_the_crop(one.crop)}"
    return f"{said}; demonstration grade: says nothing of a patient" if one.grade is Grade.DEMONSTRATION else said


def how_to_go_on(console: Console, out: Path, config: Path, written: Written, printed: Path | None) -> None:
    """Say what each reader opens first, and how to run the service for good."""
    demo = out / "demo"
    console.print(f"\n[bold]{NOTICE}[/bold]")
    lines = []
    if written.latest is not None:
        lines += [
            f"Clinician:    {written.latest}   what every viewer shows of a lesion",
            f"              {demo / 'pictures'}   all pictures ({len(written.pictures)}); in a viewer: series \"AI picture\"",
        ]
    if printed is not None:
        lines.append(f"              {printed}   the same study as a report to print (derm-pacs cases pdf)")
    lines += [
        f"PACS admin:   {demo / 'probe.txt'}   what the PACS takes and would get (derm-pacs pacs probe pacs)",
        f"              {demo / 'dicom'}   images and results as the PACS gave them back, for any DICOM viewer",
        f"IT lead:      {out / 'demo.json'}   all of the above, for programs; log: {demo / 'service.log'}",
        f"Go on:        derm-pacs serve --config {config}   runs this service again, on its ledger and bundles, for good;",
        "              your PACS is named in that file under [[peers]]; all settings: deploy/derm-pacs.example.toml",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
