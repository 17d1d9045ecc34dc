"""A CSV of a reader study, cell by cell: every complaint names file, column, row and remedy."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path


class UnusableTable(ValueError):
    """A table that cannot be used: what is wrong where, and what to do about it."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(f"{wrong}; {remedy}")
        self.wrong = wrong
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The rows of a CSV with the names of its columns; row numbers in messages are lines of a spreadsheet, header 1."""

    file: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def require(self, *names: str) -> None:
        """Raise UnusableTable where a column is missing."""
        if missing := [name for name in names if name not in self.columns]:
            raise UnusableTable(
                f"{self.file} has no column {', '.join(map(repr, missing))}", f"its columns are {', '.join(self.columns)}"
            )

    def wrong(self, row: int, column: str, what: str, remedy: str) -> UnusableTable:
        """Return the error that names file, column, row (0-based here, as in a spreadsheet in the text) and remedy."""
        return UnusableTable(f"{self.file}, column {column!r}, row {row + 2}: {what}", remedy)

    def cell(self, row: int, column: str) -> str:
        """Return the text of a cell without blanks around it; a row that is too short has empty cells."""
        return (self.rows[row].get(column) or "").strip()

    def number(self, row: int, column: str) -> float:
        """Return the finite number of a cell."""
        text = self.cell(row, column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(row, column, f"{text!r} is no number", "write a number, or leave the row out")
        return value

    def truth(self, row: int, column: str, positive: str | None) -> int:
        """Return 1 for a positive label; 0 and 1 are labels by themselves, names need the name of the positive one."""
        text = self.cell(row, column)
        if positive is not None:
            if not text:
                raise self.wrong(row, column, "the label is empty", "write the label, or leave the row out")
            return int(same_word(text, positive))
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if value not in {0.0, 1.0}:
            raise self.wrong(row, column, f"the label {text!r} is not 0 or 1", "write 0 or 1, or say by --positive which label counts as 1")
        return int(value)


def same_word(text: str, word: str) -> bool:
    """Return whether two words differ by capitals at most, as the labels of a training's table may."""
    return text.casefold() == word.casefold()


def read_sheet(file: Path) -> Sheet:
    """Read a CSV (UTF-8, with or without byte order mark); raises UnusableTable for what is no table."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = tuple(reader.fieldnames or ())
            rows = tuple(reader)
    except OSError as error:
        raise UnusableTable(f"{file} cannot be read ({error.strerror})", "name a CSV file that exists") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnusableTable(f"{file} is no CSV in UTF-8 ({error})", "save the table as CSV, UTF-8, with commas") from error
    if not rows:
        raise UnusableTable(f"{file} has no rows", "the first line names the columns, each further line is one row")
    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        raise UnusableTable(f"{file} has the column {', '.join(map(repr, repeated))} more than once", "give each column its own name")
    return Sheet(file=file, columns=columns, rows=rows)
