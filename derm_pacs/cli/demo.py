"""`derm-pacs demo`: the whole way of a study, shown with a real PACS."""

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated, Never

import typer
from rich.console import Console

import derm_pacs
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.demonstration.compare import shortcomings
from derm_pacs.demonstration.failure import DemonstrationError
from derm_pacs.demonstration.run import Wanted, demonstrate
from derm_pacs.samples.wrap import Kind

_REPOSITORY = Path(derm_pacs.__file__).resolve().parents[1]

Images = Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Your own JPEG, PNG or DICOM files; without it, drawn sample studies.")]
PictureKind = Annotated[Kind, typer.Option("--kind", help="What your own pictures show.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where demo.json and the folder demo are written; an earlier demo there is removed.")]
Bundles = Annotated[Path, typer.Option("--bundles", metavar="DIR", show_default="monai_bundles of the repository", help="Folder of the bundles' folders.")]


def _end(number: int, _frame: FrameType | None) -> Never:
    raise SystemExit(128 + number)


def demo(
    images: Images = None,
    kind: PictureKind = Kind.DERMOSCOPIC,
    out: Out = Path("build"),
    bundles: Bundles = _REPOSITORY / "monai_bundles",
) -> None:
    """Show the whole way on synthetic studies or on images of your own.

    Starts a private Orthanc and the service, sends the studies, waits, prints what came back, stops both. Nothing
    leaves this machine. For research use; not for primary diagnosis.

    Examples:

        derm-pacs demo
        derm-pacs demo --images ~/pictures --kind clinical
    """
    signal.signal(signal.SIGTERM, _end)  # so that what was started is stopped then too
    console = Console(soft_wrap=True, highlight=False)
    try:
        accounts = demonstrate(Wanted(out=out.absolute(), bundles=bundles, images=images, kind=kind), console)
    except DemonstrationError as error:
        raise CommandError(ExitCode.FAILED, f"the demonstration did not come to its end: {error}", "mend that and run it again") from error
    if any(shortcomings(case) for case in accounts):
        raise CommandError(ExitCode.FAILED, "not everything came back as it must", f"see above, and the logs in {out / 'demo'}")
