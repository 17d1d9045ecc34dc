"""Hold an installed bundle, byte for byte, against what was installed."""

import hashlib
import json
import os
from pathlib import Path

from derm_pacs.bundles import manifest
from derm_pacs.bundles.description import SERVING, NotDescribed, parse
from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.reasons import BUNDLE_CHANGED


def verify(folder: Path, content_hash: str) -> ServingDescription:
    """Return the description of the bundle in `folder`, whose every file is read and compared.

    Raises `Defect` (bundle_changed) naming the first file that is missing, added or changed.
    """
    try:
        return _verified(folder, content_hash)
    except (OSError, manifest.NotPlain, NotDescribed) as error:
        raise Defect(BUNDLE_CHANGED, f"{folder}: {error}") from error


def described(folder: Path) -> ServingDescription:
    """Return the description of an installed bundle without a look at its other files, which are verified before it runs.

    Raises `Defect` (bundle_changed) where it cannot be read.
    """
    try:
        return parse(_read(folder, SERVING))
    except (OSError, manifest.NotPlain, NotDescribed) as error:
        raise Defect(BUNDLE_CHANGED, f"{folder}: {error}") from error


def unusable(folder: Path, content_hash: str) -> str:
    """Return why the installed bundle cannot be used; empty where it can."""
    try:
        verify(folder, content_hash)
    except Defect as error:
        return error.detail
    return ""


def _verified(folder: Path, content_hash: str) -> ServingDescription:
    promised = _read(folder, manifest.MANIFEST)
    if hashlib.sha256(promised).hexdigest() != content_hash:
        raise Defect(BUNDLE_CHANGED, f"{folder}: {manifest.MANIFEST} was changed")
    entries = {one["path"]: one["sha256"] for one in json.loads(promised)["files"]}
    found = manifest.files(folder)
    for path in sorted(set(found) ^ set(entries)):
        raise Defect(BUNDLE_CHANGED, f"{folder}: {path} was {'added' if path in found else 'removed'}")
    serving = b""
    for path in found:
        content = _read(folder, path)
        if hashlib.sha256(content).hexdigest() != entries[path]:
            raise Defect(BUNDLE_CHANGED, f"{folder}: {path} was changed")
        if path == SERVING:
            serving = content
    return parse(serving)


def _read(folder: Path, path: str) -> bytes:
    with os.fdopen(manifest.open_plain(folder, path), "rb") as file:
        return file.read()
