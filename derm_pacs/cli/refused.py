"""What training and measuring refuse ends a command: what is wrong, what to do about it, and an exit status."""

from collections.abc import Iterator
from contextlib import contextmanager

from derm_pacs.cli.exit_codes import CommandError, ExitCode


@contextmanager
def refused(*errors: type[Exception], remedy: str, code: ExitCode = ExitCode.FAILED) -> Iterator[None]:
    """Turn `errors` into a CommandError; raises it with the remedy that follows the message's first semicolon, otherwise `remedy`."""
    try:
        yield
    except errors as error:
        wrong, _, told = str(error).partition("; ")
        raise CommandError(code, wrong, told or remedy) from error
