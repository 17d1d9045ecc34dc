"""A file or folder that a command line names: looked for before the work, so that a mistyped one ends a command at once."""

from pathlib import Path

from derm_pacs.cli.exit_codes import CommandError, ExitCode

WEIGHTS = "name the best.pt of a training or a .safetensors file"
TABLE = "name a CSV with the columns path and label, or a folder in ISIC's or HAM10000's own layout, or of DICOM with a labels.csv"


def named_path(path: Path, named: str, remedy: str = TABLE) -> Path:
    """Return `path`; raises CommandError naming the option or argument `named` and the path where nothing is there."""
    if not path.exists():
        raise CommandError(ExitCode.NOT_FOUND, f"{named}: {path} does not exist", remedy)
    return path
