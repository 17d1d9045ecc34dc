"""The two streams of a command: stdout has the result, stderr the talk."""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH_OF_FILES = 200
"""Columns of text that goes into a file or a pipe: wide enough that no UID (64 characters) is cut."""


def stdout() -> Console:
    """Return the console of the result; values are printed as they are, nothing in them is markup."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    return Console(width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def say(sentence: str) -> None:
    """Tell a person on stderr how the command goes on."""
    print(sentence, file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_as_json))


def plain(value: object) -> Any:
    """Return a value of the domain as JSON has it; times in UTC (ISO 8601)."""
    return json.loads(json.dumps(value, default=_as_json))


def _as_json(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return sorted(value)
        case Path():
            return str(value)
        case _ if is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in fields(value)}
        case _:
            raise TypeError(f"no JSON for {type(value).__name__}")


def table(*columns: str) -> Table:
    """Return a table without lines whose headers are `columns`."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
