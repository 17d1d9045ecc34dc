"""The commands that the pages on measuring and on readers show, for the tests that run each of them."""

import shlex

from tests.conftest import REPOSITORY


def documented(command: str, page: str = "readers") -> list[list[str]]:
    """The lines of the page that run `derm-pacs bundles COMMAND`, as words without the program's name."""
    text = (REPOSITORY / f"docs/lead/{page}.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith(f"$ derm-pacs bundles {command} ")]
    assert lines
    return [shlex.split(line)[1:] for line in lines]
