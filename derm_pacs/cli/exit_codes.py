"""The exit statuses of all commands, and the error that ends a command with one of them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status says; 2 is given by the reading of the command line itself."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SETTINGS = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    REFUSED = 6

    @property
    def sentence(self) -> str:
        """The status in words, for help and reference."""
        return _SENTENCES[self]


_SENTENCES = {
    ExitCode.OK: "Everything that was asked for was done, or is in order.",
    ExitCode.FAILED: "Something was tried and failed, or is not in order; what and the remedy stand on stderr or in the result.",
    ExitCode.USAGE: "The command line is wrong.",
    ExitCode.SETTINGS: "The settings cannot be used.",
    ExitCode.NOT_FOUND: "What the command line names does not exist.",
    ExitCode.UNAVAILABLE: "The database or a peer does not answer; the same command may work later.",
    ExitCode.REFUSED: "What was asked for is not allowed as things stand; nothing was changed.",
}


class CommandError(Exception):
    """Ends a command: what is wrong and what to do, for stderr, and the exit status."""

    def __init__(self, code: ExitCode, wrong: str, remedy: str) -> None:
        """`wrong` and `remedy` are sentences without a full stop at their ends."""
        super().__init__(f"{wrong}; {remedy}")
        self.code = code
        self.wrong = wrong
        self.remedy = remedy
