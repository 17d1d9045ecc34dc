"""Install a bundle: copy it, name it by its content, let it keep its golden promises, and only then enter it."""

import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from derm_pacs.bundles import manifest
from derm_pacs.bundles.description import METADATA, SERVING, NotDescribed, check_version, parse
from derm_pacs.bundles.verify import unusable
from derm_pacs.domain.bundle import FeatureDistance, ServingDescription
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.findings import BundleIdentity, OperatingPoint
from derm_pacs.domain.golden import Proof
from derm_pacs.domain.reasons import BUNDLE_REFUSED
from derm_pacs.ledger import audit, bundles
from derm_pacs.ledger.bundles import InstalledBundle
from derm_pacs.ledger.database import Database

LICENCE = "LICENSE"
AUTHOR = "bundle author"
"""Who set the thresholds that a bundle brings."""

SelfTest = Callable[[Path, ServingDescription], Sequence[Proof]]
"""Runs the golden inputs of the bundle in a folder, confined as later in service."""


def install(
    database: Database,
    source: Path,
    bundles_dir: Path,
    self_test: SelfTest,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> InstalledBundle:
    """Install the bundle in the folder `source` and return it, not active.

    Its files are read once and copied; what is checked, tested and served is the copy. The same bytes again are no
    change: the installed version is returned, and its folder restored where it was damaged.
    Raises `Rejected` (bundle_refused) naming the file, key or figure; `Defect` where the runner fails.
    """
    if source.is_symlink() or not source.is_dir():
        raise Rejected(BUNDLE_REFUSED, f"{source} is no folder")
    bundles_dir.mkdir(parents=True, exist_ok=True)
    staging = bundles_dir / f".incoming-{uuid.uuid4().hex}"
    staging.mkdir(mode=0o755)
    try:
        description, content_hash = _copy(source, staging)
        known = database.transaction(lambda tx: bundles.find(tx, description.name, description.version))
        if known is not None and known.identity.content_hash != content_hash:
            raise Rejected(
                BUNDLE_REFUSED,
                f"{description.name} {description.version} is installed with other bytes "
                f"({known.identity.content_hash[:12]}, these are {content_hash[:12]}); give it a new version",
            )
        if known is not None and not unusable(known.folder, content_hash):
            return known
        _prove(self_test(staging, description))
        folder = _put(
            staging, bundles_dir / description.name / f"{description.version}-{content_hash[:12]}", content_hash
        )
    finally:
        if staging.exists():
            _remove(staging)
    return database.transaction(
        lambda tx: _enter(tx, description, content_hash, folder, actor=actor, reason=reason, now=now)
    )


def _copy(source: Path, target: Path) -> tuple[ServingDescription, str]:
    """Copy all files, write the manifest, and return the description of the copy with its content hash."""
    entries: dict[str, manifest.FileEntry] = {}
    configs: dict[str, bytes] = {}
    try:
        for path in manifest.files(source):
            with os.fdopen(manifest.open_plain(source, path), "rb") as file:
                content = file.read()
            entries[path] = manifest.entry(path, content)
            _write(target / path, content)
            if path in {SERVING, METADATA}:
                configs[path] = content
        if SERVING not in configs:
            raise NotDescribed(f"{SERVING} is missing: this is no bundle of ours, or not converted yet")
        description = parse(configs[SERVING])
        if METADATA in configs:
            check_version(description, configs[METADATA])
        _check_files(description, entries)
    except (OSError, manifest.NotPlain, NotDescribed) as error:
        raise Rejected(BUNDLE_REFUSED, str(error)) from error
    listed = manifest.written(entries.values())
    _write(target / manifest.MANIFEST, listed)
    return description, manifest.content_hash(listed)


def _check_files(description: ServingDescription, entries: dict[str, manifest.FileEntry]) -> None:
    promised = {description.weights.file: description.weights.sha256}
    novelty = description.quality.novelty
    if isinstance(novelty, FeatureDistance):
        promised[novelty.file] = novelty.sha256
    for path in (LICENCE, *promised, *(one.file for one in description.golden)):
        if path not in entries:
            raise NotDescribed(f"{path} is missing")
        if entries[path].size == 0:
            raise NotDescribed(f"{path} is empty")
    for path, sha256 in promised.items():
        if entries[path].sha256 != sha256:
            raise NotDescribed(f"{path} has SHA-256 {entries[path].sha256}, described as {sha256}")


def _prove(results: Sequence[Proof]) -> None:
    wrong = [str(one) for one in results if not one.agrees]
    if wrong or not results:
        raise Rejected(BUNDLE_REFUSED, "golden inputs disagree: " + ("; ".join(wrong) or "there are none"))


def _put(staging: Path, folder: Path, content_hash: str) -> Path:
    """Move the copy to its place, unless an earlier installation got this far, and take the right to write from it."""
    if not folder.exists() or unusable(folder, content_hash):
        if folder.exists():
            _remove(folder)
        folder.parent.mkdir(exist_ok=True)
        staging.rename(folder)
        _sync(folder.parent)
    for inside, _, names in os.walk(folder, topdown=False):
        for name in names:
            (Path(inside) / name).chmod(0o444)
        Path(inside).chmod(0o555)
    return folder


def _enter(
    tx: Session,
    description: ServingDescription,
    content_hash: str,
    folder: Path,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> InstalledBundle:
    """Enter the bundle with its operating points; where it is entered already, only its folder was restored."""
    known = bundles.find(tx, description.name, description.version)
    if known is not None:
        bundles.move(tx, known.id, folder)
    found = known or bundles.add(
        tx,
        identity=BundleIdentity(
            name=description.name,
            version=description.version,
            content_hash=content_hash,
            title=description.title,
            grade=description.grade,
        ),
        licence=description.licence,
        folder=folder,
        operating_points=[
            OperatingPoint(
                id=point.id, output=point.output, positive=point.positive, threshold=point.threshold, set_by=AUTHOR
            )
            for point in description.operating_points
        ],
        reason=reason,
        now=now,
    )
    audit.append(
        tx,
        actor=actor,
        action="bundle.install" if known is None else "bundle.restore",
        subject=f"{description.name} {description.version}",
        reason=reason,
        detail={
            "content_hash": content_hash,
            "grade": description.grade.value,
            "thresholds": {point.id: point.threshold for point in found.operating_points},
        },
        now=now,
    )
    return replace(found, folder=folder)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    for inside, _, _ in os.walk(folder):
        Path(inside).chmod(0o755)
    shutil.rmtree(folder)
