"""CSV files read line by line, with the number of each line for messages."""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The columns as named, and each record with its line number; a missing value is an empty string."""

    file: Path
    columns: tuple[str, ...]
    records: tuple[tuple[int, dict[str, str]], ...]

    def need(self, *columns: str) -> None:
        """Raise ValueError naming those of `columns` that the file lacks."""
        if missing := sorted(set(columns) - set(self.columns)):
            raise ValueError(f"{self.file} lacks the columns {', '.join(missing)}; it has {', '.join(self.columns) or 'none'}")


def read_lines(file: Path) -> Lines:
    """Read a CSV with a header line.

    Raises ValueError naming the file and what is wrong: a line with more values than columns, bytes that are no UTF-8.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            columns = tuple(name.strip() for name in reader.fieldnames or ())
            reader.fieldnames = columns
            records = []
            for record in reader:
                if None in record:
                    raise ValueError(f"{file} line {reader.line_num}: more values than columns; put quotes around values with commas")
                records.append((reader.line_num, {name: value.strip() for name, value in record.items()}))
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{file} is no UTF-8 text; save it as CSV in UTF-8") from wrong
    return Lines(file=file, columns=columns, records=tuple(records))


def read_columns(file: Path) -> frozenset[str]:
    """Return the names in the header line of a CSV, in small letters, and read no more of it: tables of pixels lie beside those of labels.

    Raises ValueError naming a file whose header is no UTF-8.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return frozenset(name.strip().lower() for name in next(csv.reader(stream), []))
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{file} is no UTF-8 text; save it as CSV in UTF-8") from wrong


def named_split(file: Path, line: int, name: str) -> str:
    """Return the split that a line names, in small letters, empty where it names none; raises ValueError for another word."""
    split = name.lower()
    if split not in {"", "train", "val", "test"}:
        raise ValueError(f"{file} line {line}: split is {name!r}; write train, val or test, or leave it empty")
    return split
