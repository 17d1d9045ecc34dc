"""CSV files read line by line, with the number of each line for messages."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The columns as named, and each record with its line number; a missing value is an empty string."""

    columns: tuple[str, ...]
    records: tuple[tuple[int, dict[str, str]], ...]


def read_lines(file: Path, needed: Iterable[str] = ()) -> Lines:
    """Read a CSV with a header line.

    Raises ValueError naming the file and what is wrong: columns of `needed` that are missing, a line with more values than
    columns, bytes that are no UTF-8.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            columns = tuple(name.strip() for name in reader.fieldnames or ())
            reader.fieldnames = columns
            if missing := sorted(set(needed) - set(columns)):
                raise ValueError(f"{file} lacks the columns {', '.join(missing)}; it has {', '.join(columns) or 'none'}")
            records = []
            for record in reader:
                if None in record:
                    raise ValueError(f"{file} line {reader.line_num}: more values than columns; put quotes around values with commas")
                records.append((reader.line_num, {name: value.strip() for name, value in record.items()}))
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{file} is no UTF-8 text; save it as CSV in UTF-8") from wrong
    return Lines(columns=columns, records=tuple(records))
