"""What the DICOM libraries quote of a patient is heard by nobody, however many threads compose at once."""

import logging
import threading
import warnings

import pytest

from derm_pacs.results.unheard import unheard

VALUE = "Muster^Erika"


def test_nothing_is_heard_while_another_thread_still_composes(caplog: pytest.LogCaptureFixture) -> None:
    """A worker composes in several threads: who is done first must not let the other's libraries speak."""
    inside, over = threading.Event(), threading.Event()

    def first() -> None:
        with unheard():
            inside.set()
            assert over.wait(10)

    thread = threading.Thread(target=first)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        thread.start()
        assert inside.wait(10)
        with unheard():
            over.set()
            thread.join(10)
            warnings.warn(VALUE, stacklevel=1)
            logging.getLogger("pydicom").error(VALUE)
    assert not heard
    assert VALUE not in caplog.text


def test_the_libraries_are_heard_again_when_all_threads_are_done(caplog: pytest.LogCaptureFixture) -> None:
    begun, over = threading.Event(), threading.Event()

    def second() -> None:
        with unheard():
            begun.set()
            assert over.wait(10)

    thread = threading.Thread(target=second)
    before = logging.getLogger("pydicom").level
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with unheard():
            thread.start()
            assert begun.wait(10)
        over.set()
        thread.join(10)
        warnings.warn("the way is free", stacklevel=1)
        logging.getLogger("pydicom").error("the way is free")
    assert [str(one.message) for one in heard] == ["the way is free"]
    assert "the way is free" in caplog.text
    assert logging.getLogger("pydicom").level == before
