"""The DICOM libraries warn of odd values by quoting them, and values may be a patient's name: they are not to be heard."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("pydicom", "highdicom")


@contextmanager
def unheard() -> Iterator[None]:
    """Keep warnings and log records of pydicom and highdicom from going anywhere."""
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
