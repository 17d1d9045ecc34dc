"""Deletion of segments whose cases have passed their retention."""

import os
from pathlib import Path

from derm_pacs.spool.segment import file_name, numbers


def delete_segment(directory: Path, segment: int) -> None:
    """Delete a segment; one that is not there is no error.

    Raises `ValueError` for the newest: it is being written to, and its number must never be used a second time.
    """
    segments = numbers(directory)
    if segments and segment == segments[-1]:
        raise ValueError(f"segment {file_name(segment)} of {directory.name} is the newest and stays")
    (directory / file_name(segment)).unlink(missing_ok=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
