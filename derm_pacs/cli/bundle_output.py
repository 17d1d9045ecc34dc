"""The folder that a command of training or measuring writes into: made and tried before the work, which can take hours."""

from pathlib import Path
from tempfile import TemporaryFile

from derm_pacs.cli.exit_codes import CommandError, ExitCode


def output_folder(folder: Path | None, option: str, *, mode: int = 0o777) -> None:
    """Make `folder` with those above it; raises CommandError naming `option` and the folder where it cannot be made, or takes no file.

    None is an option that was not given: nothing is to be written.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        wrong = f"{option}: {folder} cannot be written ({error.strerror})"
        raise CommandError(ExitCode.REFUSED, wrong, "name a folder that is yours to write, or one that can be made") from error
