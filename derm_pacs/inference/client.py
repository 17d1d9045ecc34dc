"""The client of a runner: starts it, asks it, believes only what it has checked, and kills it when it is late.

The worker that uses a `Runner` loads no torch; what happens to the runner costs one `Defect`, and the next call starts
a fresh one.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from derm_pacs.domain.bundle import GoldenInput, ServingDescription
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import Preview, Rectangle
from derm_pacs.domain.golden import GoldenRefusal, GoldenResult, Proof
from derm_pacs.domain.reasons import RUNNER_FAILED
from derm_pacs.inference import wire
from derm_pacs.inference.answers import (
    Expected,
    ExpectedPreviews,
    Unbelievable,
    accept,
    accept_previews,
    message_of,
)
from derm_pacs.inference.header import measure, read
from derm_pacs.inference.memory import content, sealed, writable
from derm_pacs.inference.messages import (
    ANSWER,
    GREETING,
    Broken,
    Confinement,
    Failed,
    FrameCrops,
    GoldenAnswer,
    GoldenFigures,
    Hello,
    ImageAnswer,
    Order,
    PreviewAnswer,
    Question,
)
from derm_pacs.inference.outcomes import FrameOutcome
from derm_pacs.inference.pixels import size_limit

__all__ = ["Confinement", "FrameOutcome", "Runner", "self_test"]

PROGRAM = (sys.executable, "-I", "-m", "derm_pacs.inference.runner")
"""The runner; isolated, so that neither environment nor working directory can bring in modules."""

START_SECONDS = 180.0
"""Limit of a start: importing torch takes seconds, more on a busy machine."""

_HEADER_BYTES = 16 * 1024 * 1024
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    # No thread may run before the runner is confined; torch is given its threads afterwards.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""All that the runner sees of the environment: the service's own holds secrets."""


class Runner:
    """One bundle in a confined process of its own, started at the first question; for one thread at a time.

    `bundle_folder` is a verified bundle and `description` what its `serving.json` says. `before_start` is called before
    each start, to verify the folder anew; what it raises reaches the caller of the question.
    """

    def __init__(
        self,
        bundle_folder: Path,
        description: ServingDescription,
        *,
        timeout_seconds: float,
        max_pixels: int,
        max_frames: int,
        threads: int,
        before_start: Callable[[], None] | None = None,
    ) -> None:
        """`max_pixels` counts all frames of an image; `timeout_seconds` is the limit of one question."""
        self._folder = bundle_folder.resolve()
        self._description = description
        self._timeout = timeout_seconds
        self._max_pixels = max_pixels
        self._max_frames = max_frames
        self._threads = threads
        self._before_start = before_start
        self._running: _Process | None = None
        self._questions = 0
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def description(self) -> ServingDescription:
        """What the bundle says of itself."""
        return self._description

    @property
    def pid(self) -> int | None:
        """Process id of the runner, None while none runs."""
        return self._running.child.pid if self._running is not None else None

    @property
    def confinement(self) -> Confinement | None:
        """What confines the running process, None while none runs."""
        return self._running.confinement if self._running is not None else None

    def start(self) -> Confinement:
        """Start the process if none runs, and return what confines it; raises `Defect` (runner_failed)."""
        with self._one_at_a_time:
            return self._live().confinement

    def analyse(
        self, part10: bytes, crops: Mapping[int, Sequence[Rectangle]] | None = None
    ) -> tuple[FrameOutcome, ...]:
        """Return what the bundle says of each frame of a Part 10 file, in order.

        With `crops`, by frame (1-based), it says it of each crop in their place, and of nothing else; a bundle that draws masks
        reads no crops. An image that is not analysed gives refusals. Raises `Defect` (runner_failed) when the process died,
        hung, met an error of its own, or said what cannot be; `ValueError` for crops where none can be read.
        """
        expected = Expected(self._description, self._size(part10), crops)
        if crops is not None and (not expected.parts or expected.masks_a_frame):
            raise ValueError(f"bundle {self._description.name} is asked for crops and can read none")
        with self._one_at_a_time, sealed(part10) as image, writable(expected.memory) as arrays:
            answer = self._ask("image", image, arrays, crops=crops)
            if not isinstance(answer, ImageAnswer):
                raise self._failed("it answered another question")
            try:
                return accept(answer, expected, content(arrays, expected.memory))
            except Unbelievable as error:
                raise self._failed(f"it said what cannot be: {error}") from error

    def previews(self, part10: bytes) -> Mapping[int, Preview]:
        """Return a preview of every frame of a Part 10 file that can be decoded, by its number (1-based).

        Empty where nothing can be decoded or the image is beyond the limits. Raises as `analyse`.
        """
        size = self._size(part10)
        if size is None:
            return {}
        expected = ExpectedPreviews(size)
        with self._one_at_a_time, sealed(part10) as image, writable(expected.memory) as pictures:
            answer = self._ask("preview", image, pictures)
            if not isinstance(answer, PreviewAnswer):
                raise self._failed("it answered another question")
            try:
                return accept_previews(answer, expected, content(pictures, expected.memory))
            except Unbelievable as error:
                raise self._failed(f"it said what cannot be: {error}") from error

    def golden(self) -> tuple[Proof, ...]:
        """Return every promise of the bundle's golden inputs beside what was measured; raises as `analyse`."""
        with self._one_at_a_time:
            answer = self._ask("golden")
            files = [one.file for one in self._description.golden]
            if not isinstance(answer, GoldenAnswer) or [one.file for one in answer.inputs] != files:
                raise self._failed("it answered another question")
        pairs = zip(self._description.golden, answer.inputs, strict=True)
        return tuple(proof for golden, said in pairs for proof in _proofs(golden, said))

    def close(self) -> None:
        """End the process; a later question starts another."""
        running, self._running = self._running, None
        if running is not None:
            running.end()

    def _ask(
        self, about: str, *descriptors: int, crops: Mapping[int, Sequence[Rectangle]] | None = None
    ) -> ImageAnswer | PreviewAnswer | GoldenAnswer:
        running = self._live()
        self._questions += 1
        asked = [
            FrameCrops(frame=frame, crops=[message_of(one) for one in several])
            for frame, several in sorted((crops or {}).items())
            if several
        ]
        question = Question.model_validate({"id": self._questions, "about": about, "crops": asked})
        deadline = time.monotonic() + self._timeout
        try:
            wire.send(running.channel, question.model_dump_json().encode(), descriptors, deadline=deadline)
            answer = ANSWER.validate_json(wire.receive(running.channel, deadline=deadline)[0])
        except TimeoutError as error:
            raise self._failed(f"no answer within {self._timeout:g} s") from error
        except wire.Closed as error:
            raise self._failed("it ended in the middle of a question") from error
        except (wire.Garbled, ValidationError) as error:
            raise self._failed(f"its answer is no answer: {_briefly(error)}") from error
        except BaseException:
            self.close()  # an answer that nobody waits for would be taken for the next one's
            raise
        if answer.id != question.id:
            raise self._failed(f"it answered question {answer.id}, asked was {question.id}")
        if isinstance(answer, Broken):
            raise self._failed(f"its analysis met an error: {answer.where}")
        return answer

    def _live(self) -> "_Process":
        if self._running is not None and self._running.child.poll() is not None:
            self.close()  # it died while nobody asked: no case is concerned
        if self._running is None:
            if self._before_start is not None:
                self._before_start()
            self._running = _Process(self._order())
        return self._running

    def _order(self) -> Order:
        return Order(
            folder=str(self._folder),
            description=self._description,
            max_pixels=self._max_pixels,
            max_frames=self._max_frames,
            threads=self._threads,
            parent=os.getpid(),
        )

    def _failed(self, what: str) -> Defect:
        running, self._running = self._running, None
        status = "" if running is None else f"; exit status {running.end()}"
        return Defect(RUNNER_FAILED, f"bundle {self._description.name} {self._description.version}: {what}{status}")

    def _size(self, part10: bytes) -> tuple[int, int, int] | None:
        """Return (frames, rows, columns) by the client's own reading, None where the image can only be refused."""
        try:
            header = measure(read(part10, max_bytes=3 * self._max_pixels + _HEADER_BYTES, pixels=False))
        except Exception:  # noqa: BLE001 pydicom raises every kind; the runner says why it refuses
            return None
        if size_limit(header, max_pixels=self._max_pixels, max_frames=self._max_frames) is not None:
            return None
        return header.frames, header.rows, header.columns


class _Process:
    """A runner that has said hello."""

    def __init__(self, order: Order) -> None:
        """Start it and wait for its hello; raises `Defect` with the end of what it wrote to its standard error."""
        name = f"bundle {order.description.name} {order.description.version}"
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        errors = os.memfd_create("derm-pacs-errors", os.MFD_CLOEXEC)
        try:
            with theirs:
                self.child = _spawn(theirs.fileno(), errors)
        except OSError as error:
            os.close(errors)
            self.channel.close()
            raise Defect(RUNNER_FAILED, f"{name} does not start: {error}") from error
        try:
            greeting = self._greet(order)
            if isinstance(greeting, Failed):
                raise Defect(RUNNER_FAILED, f"{name}: {greeting.detail}")
            self.confinement = greeting.confinement
        except (TimeoutError, wire.Closed, wire.Garbled, ValidationError) as error:
            status = self.end()
            said = content(errors, os.fstat(errors).st_size)[-600:].decode("utf-8", "replace").strip()
            raise Defect(
                RUNNER_FAILED, f"{name} does not start ({_briefly(error)}, exit status {status}): {said}"
            ) from error
        except BaseException:
            self.end()
            raise
        finally:
            os.close(errors)

    def _greet(self, order: Order) -> Hello | Failed:
        deadline = time.monotonic() + START_SECONDS
        wire.send(self.channel, order.model_dump_json(by_alias=True).encode(), deadline=deadline)
        return GREETING.validate_json(wire.receive(self.channel, deadline=deadline)[0])

    def end(self) -> int:
        """Kill the process and return its exit status, negative for a signal; one that has ended keeps its status."""
        self.channel.close()
        self.child.kill()
        return self.child.wait()


def self_test(folder: Path, description: ServingDescription) -> tuple[Proof, ...]:
    """Run the golden inputs of a bundle in a runner of its own; raises `Defect` (runner_failed) as `Runner.analyse`."""
    with Runner(folder, description, timeout_seconds=300, max_pixels=100_000_000, max_frames=1, threads=1) as runner:
        return runner.golden()


def _spawn(channel: int, errors: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PROGRAM, str(channel)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=[channel],
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


def _proofs(golden: GoldenInput, said: GoldenFigures) -> Iterator[Proof]:
    reason, detail = (said.refusal.reason, said.refusal.detail) if said.refusal is not None else ("", "")
    if golden.refused is not None:
        yield GoldenRefusal(file=golden.file, promised=golden.refused, reason=reason, detail=detail)
    for name, expected in golden.expect.items():
        measured = said.figures.get(name)
        why = "" if measured is not None else f"{reason}: {detail}" if reason else "no figure of this name"
        yield GoldenResult(
            file=golden.file, name=name, expected=expected, measured=measured, tolerance=golden.tolerance or 0.0, detail=why
        )


def _briefly(error: Exception) -> str:
    """Return what is wrong without quoting what came: a runner that lies could put anything there."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{first['type']} at {'.'.join(str(part) for part in first['loc'])[:80]}"
    return str(error) or type(error).__name__
