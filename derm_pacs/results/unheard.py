"""The DICOM libraries warn of odd values by quoting them, and values may be a patient's name: they are not to be heard."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_LIBRARIES = ("pydicom", "highdicom")


class _Silence:
    """Held by any number of threads; loggers and warning filters are the process's, so the last one out restores them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._restoring = ExitStack()

    def begin(self) -> None:
        with self._lock:
            self._holders += 1
            if self._holders > 1:
                return
            self._restoring.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            for name in _LIBRARIES:
                logger = logging.getLogger(name)
                self._restoring.callback(logger.setLevel, logger.level)
                logger.setLevel(logging.CRITICAL + 1)

    def end(self) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._restoring.close()


_SILENCE = _Silence()


@contextmanager
def unheard() -> Iterator[None]:
    """Keep warnings and log records of pydicom and highdicom from going anywhere, whatever other threads do."""
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()
