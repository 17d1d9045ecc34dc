"""The manifest of a bundle: every file by path, size and SHA-256; its own hash names the bundle's content."""

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "MANIFEST.json"
"""Name of the manifest inside an installed bundle; it does not list itself."""

_MOST_FILES = 10_000
_MOST_BYTES = 4 * 1024**3
_PICKLED = "it is pickled, and loading it runs what it holds"
_NATIVE = "it is machine code"
_NEVER = {
    ".pt": _PICKLED, ".pth": _PICKLED, ".ckpt": _PICKLED, ".pkl": _PICKLED, ".pickle": _PICKLED, ".joblib": _PICKLED,
    ".dill": _PICKLED,
    ".ts": "TorchScript reads and writes files when it runs",
    ".pt2": "torch unpickles the sample inputs that it may hold",
    ".onnx": "it may name files outside the bundle and libraries to load",
    ".so": _NATIVE, ".dll": _NATIVE, ".dylib": _NATIVE, ".pyd": _NATIVE,
    ".pyc": "it is compiled code that nobody can read; remove the folder __pycache__",
}  # fmt: skip


class NotPlain(ValueError):
    """The folder holds something that no bundle may hold; the text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a bundle."""

    path: str
    """Relative to the bundle, with forward slashes."""
    size: int
    sha256: str


def files(folder: Path) -> tuple[str, ...]:
    """Return the paths of all files below `folder` but the manifest, sorted; raises `NotPlain`.

    Only ordinary files and folders are let through: no links, no devices, nothing that could hold code that loading runs.
    """
    found: list[str] = []
    size = 0
    pending = [""]
    while pending:
        inside = pending.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                path = f"{inside}/{entry.name}" if inside else entry.name
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    pending.append(path)
                    continue
                _check(path, mode)
                if path != MANIFEST:
                    found.append(path)
                    size += entry.stat(follow_symlinks=False).st_size
                if len(found) > _MOST_FILES or size > _MOST_BYTES:
                    raise NotPlain(f"more than {_MOST_FILES} files or {_MOST_BYTES} bytes")
    return tuple(sorted(found))


def open_plain(folder: Path, path: str) -> int:
    """Open a file of the bundle for reading without following a link in its name; the caller closes the descriptor."""
    return os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


def entry(path: str, content: bytes) -> FileEntry:
    """Return the entry of a file with this content."""
    return FileEntry(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def written(entries: Iterable[FileEntry]) -> bytes:
    """Return the manifest's bytes: canonical JSON (sorted, no spaces, UTF-8)."""
    listed = [
        {"path": one.path, "sha256": one.sha256, "size": one.size} for one in sorted(entries, key=lambda one: one.path)
    ]
    return json.dumps({"files": listed}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def content_hash(manifest: bytes) -> str:
    """Return the hexadecimal SHA-256 by which the bundle's content is named."""
    return hashlib.sha256(manifest).hexdigest()


def _check(path: str, mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise NotPlain(f"{path} is a link; a bundle holds its files itself")
    if not stat.S_ISREG(mode):
        raise NotPlain(f"{path} is no ordinary file")
    if not path.isprintable() or "\\" in path or len(path) > 200:
        raise NotPlain(f"{path!a} is no name for a file of a bundle")
    why = _NEVER.get(Path(path).suffix.lower())
    if why is not None:
        raise NotPlain(f"{path} is not taken: {why}; weights come as .safetensors")
