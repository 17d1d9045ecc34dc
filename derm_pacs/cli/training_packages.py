"""What commands of training and measuring need beside the service: a missing package ends them with the way to get it."""

from collections.abc import Iterator
from contextlib import contextmanager

from derm_pacs.cli.exit_codes import CommandError, ExitCode


@contextmanager
def training_packages() -> Iterator[None]:
    """Wrap the imports of derm_training; raises CommandError naming the package that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        wrong = f"the Python package {error.name} is not installed"
        raise CommandError(ExitCode.FAILED, wrong, 'install what training and measuring need: in the folder of derm-pacs, pip install -e ".[train]"') from error
