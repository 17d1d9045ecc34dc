"""The runner: a process of its own for one bundle, confined before it opens it; it answers questions on one socket.

Started by the client as `python -I -m derm_pacs.inference.runner DESCRIPTOR`. It ends when the client's end of the socket
is gone, which the kernel sees to however the client ends; the parent-death signal is the second belt.
"""

import ctypes
import importlib
import logging
import mmap
import os
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
from pathlib import Path

if __name__ == "__main__":
    # MONAI imports every optional package that it finds; these come with the extra `train`, and no runner needs them.
    sys.modules |= {"ignite": None, "matplotlib": None}  # type: ignore[dict-item] # None: as if it were not installed

import torch

from derm_pacs.inference import wire
from derm_pacs.inference.analyse import LoadedBundle, analyse_image, load_bundle
from derm_pacs.inference.answers import arrays, encode
from derm_pacs.inference.confine import confine, readable_places
from derm_pacs.inference.crops import analyse_crops, searched
from derm_pacs.inference.golden import figures
from derm_pacs.inference.messages import Broken, Failed, GoldenAnswer, Hello, Order, PreviewAnswer, Question
from derm_pacs.inference.previews import previews

_PR_SET_PDEATHSIG = 1
_DECODERS = ("gdcm", "jpeg_ls", "openjpeg", "pylibjpeg", "rle", "PIL.JpegImagePlugin", "PIL.PngImagePlugin")
_ADDRESS_SPACE = 8 * 1024**3  # libraries, weights and the network's own work
_ADDRESS_SPACE_A_PIXEL = 48  # pixels, their float32 copy, logits at image size, labels


def main() -> int:
    """Serve the client at the other end of the descriptor that the command line names; return the exit status."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        order = Order.model_validate_json(wire.receive(channel)[0])
        _die_with(order.parent)
        _silence()
        for name in _DECODERS:  # while files may still be opened freely
            importlib.import_module(name)
        quiet = os.open(os.devnull, os.O_WRONLY)
        bundle = _prepare(order, channel)
        if bundle is None:
            return 1
        os.dup2(quiet, 2)  # from here on libraries could write about images; nothing of it is kept
        threading.Thread(target=_end_with, args=(channel,), daemon=True).start()
        while True:
            _serve_one(channel, order, bundle)
    except wire.Closed:
        return 0


def _prepare(order: Order, channel: socket.socket) -> LoadedBundle | None:
    """Confine the process, then load the bundle; tell the client how it went."""
    folder = Path(order.folder)
    try:
        space = _ADDRESS_SPACE + _ADDRESS_SPACE_A_PIXEL * order.max_pixels
        confinement = confine(readable_places(folder), address_space=space)
        torch.set_num_threads(order.threads)
        bundle = load_bundle(folder, order.description)
    except Exception as error:  # noqa: BLE001 whatever it is, the client is told; no image has been seen yet
        wire.send(channel, Failed(detail=f"{type(error).__name__}: {error}"[:2000]).model_dump_json().encode())
        return None
    wire.send(channel, Hello(confinement=confinement).model_dump_json().encode())
    return bundle


def _serve_one(channel: socket.socket, order: Order, bundle: LoadedBundle) -> None:
    message, descriptors = wire.receive(channel, descriptors=2)
    question = Question.model_validate_json(message)
    try:
        reply = _answer(question, order, bundle, descriptors)
    except Exception as error:  # noqa: BLE001 the client is told the place; the text could quote the image's header
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        reply = Broken(id=question.id, where=place).model_dump_json().encode()
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    wire.send(channel, reply)


def _answer(question: Question, order: Order, bundle: LoadedBundle, descriptors: tuple[int, ...]) -> bytes:
    if question.about == "golden":
        inputs = figures(bundle, Path(order.folder), max_pixels=order.max_pixels)
        return GoldenAnswer(id=question.id, inputs=inputs).model_dump_json().encode()
    source, target = descriptors
    part10 = _content(source)
    if question.about == "preview":
        return _previews(question, order, part10, target).model_dump_json().encode()
    limits = {"max_pixels": order.max_pixels, "max_frames": order.max_frames}
    if question.crops:
        outcomes = analyse_crops(bundle, part10, question.crops, **limits)
    else:
        outcomes = searched(order.description, analyse_image(bundle, part10, **limits))
    for place, content in arrays(outcomes, order.description):
        _write(target, place, content)
    return encode(outcomes, question.id).model_dump_json().encode()


def _previews(question: Question, order: Order, part10: bytes, target: int) -> PreviewAnswer:
    found: list[int] = []
    rows = columns = 0
    for frame, preview in previews(part10, max_pixels=order.max_pixels, max_frames=order.max_frames):
        rows, columns = preview.shape[:2]
        _write(target, (frame - 1) * preview.nbytes, preview.tobytes())
        found.append(frame)
    return PreviewAnswer(id=question.id, frames=found, rows=rows, columns=columns)


def _content(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as memory:
        return memory[:]


def _write(target: int, place: int, content: bytes) -> None:
    """Write into a memory file; through a mapping, since writing to files is beyond the runner's limits."""
    with mmap.mmap(target, os.fstat(target).st_size) as memory:
        memory[place : place + len(content)] = content


def _silence() -> None:
    """Keep libraries from writing about what they read: their warnings quote headers."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the signal was asked for
        raise wire.Closed


def _end_with(channel: socket.socket) -> None:
    """End the process at once when the client's end is gone, also in the middle of an analysis."""
    watch = select.poll()
    watch.register(channel, select.POLLRDHUP)
    watch.poll()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
