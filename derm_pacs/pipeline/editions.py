"""The results of a revision in one edition: what they are made from, making them, and where their bytes lie.

What is made depends on the findings and on a few things of the day: the settings, the earlier revision's reports, the
patient's earlier visits. Those are kept with the revision when it is first composed (`Revision.composed_with`), so
that an edition for another destination, made later, is made of the same and shares the objects that do not differ.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from derm_pacs.domain.composed import Composed, Form, Identity
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings, FrameFinding, Preview, Refusal
from derm_pacs.domain.reasons import DEFECT, NO_ROUTE, RESULT_INVALID
from derm_pacs.domain.study import SpoolPlace, StoredInstance
from derm_pacs.domain.visits import Grouping
from derm_pacs.ledger import cases, results, runs, visits
from derm_pacs.ledger.columns import Json
from derm_pacs.ledger.runs import RevisionImage
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline.site import Site
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose
from derm_pacs.results.validator import complaints
from derm_pacs.spool import read

_SHOW_THE_IMAGE = frozenset({Form.PICTURE, Form.PDF})


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is to be said, of which images, under which identity."""

    case: CaseFindings
    images: tuple[StoredInstance, ...]
    identity: Identity
    readers: Mapping[str, tuple[Path, str]]
    """Folder and content hash of the bundle whose runner shows an image, by SOP Instance UID."""
    basis: Json
    """What is kept with the revision, beyond its findings."""


def material(tx: Session, revision: Revision, site: Site) -> Material:
    """Load what the results of a revision are made from."""
    if revision.hash is None:
        raise Defect(DEFECT, f"revision {revision.id} composes without having been closed")
    basis = revision.composed_with if revision.composed_with is not None else _basis(tx, revision, site)
    images = runs.images(tx, revision.id)
    return Material(
        case=replace(
            _with_unrouted(runs.case_findings(tx, revision.id), images),
            unreadable=tuple(one.sop_instance_uid for one in cases.unreadable(tx, revision.id)),
            grouping=Grouping(basis["grouping"]),
            visits=visits.read(tx, basis["visits"]),
        ),
        images=tuple(image.stored for image in images),
        identity=Identity(
            installation_uid=site.installation_uid,
            facility=basis["facility"],
            revision=revision.number,
            revision_hash=revision.hash,
            predecessors=results.references(tx, basis["predecessors"]),
            made_at=revision.last_received_at.astimezone(ZoneInfo(basis["timezone"])),
        ),
        readers=runs.readers(tx, revision.id),
        basis=basis,
    )


def _basis(tx: Session, revision: Revision, site: Site) -> Json:
    return {
        "facility": site.settings.facility,
        "timezone": site.settings.timezone,
        "grouping": site.settings.lesions.grouping,
        "predecessors": list(results.predecessors(tx, revision.id)),
        "visits": list(visits.earlier(tx, revision.id)),
    }


def _with_unrouted(case: CaseFindings, images: Sequence[RevisionImage]) -> CaseFindings:
    """Add the images that no route took: the report names them too, so that none is left out in silence."""
    spoken_of = {finding.image.sop_instance_uid for finding in case.findings}
    unrouted = tuple(
        FrameFinding(
            bundle_hash="",
            image=image.stored,
            frame=1,
            outcomes=(Refusal(reason=NO_ROUTE.code, detail=f"modality {image.modality or 'absent'}"),),
        )
        for image in images
        if image.stored.sop_instance_uid not in spoken_of
    )
    return replace(case, findings=case.findings + unrouted)


class _InTheSpool(Mapping[str, bytes]):
    """Files that are read when they are asked for, each time: a study's images together can be more than the memory."""

    def __init__(self, places: Mapping[str, SpoolPlace], spool_dir: Path) -> None:
        self._places = places
        self._spool_dir = spool_dir

    def __getitem__(self, uid: str) -> bytes:
        return read.payload(self._spool_dir, self._places[uid])

    def __contains__(self, uid: object) -> bool:
        return uid in self._places  # the base class would read the file

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def sources(given: Material, site: Site) -> Mapping[str, bytes]:
    """Return the source images in the spool, by SOP Instance UID; to ask for one raises `Defect` where its bytes are damaged."""
    return _InTheSpool({one.sop_instance_uid: one.place for one in given.images}, site.settings.spool_dir)


def previews(
    given: Material, source_files: Mapping[str, bytes], editions: Sequence[Edition], site: Site
) -> Mapping[tuple[str, int], Preview]:
    """Return the pictures of the frames that a run has read, where an edition shows them; decoded in the runners."""
    if not any(edition.forms & _SHOW_THE_IMAGE for edition in editions):
        return {}
    return {
        (uid, frame): preview
        for uid, (folder, content_hash) in given.readers.items()
        for frame, preview in site.runners.previews(folder, content_hash, source_files[uid]).items()
    }


def make(
    given: Material,
    edition: Edition,
    source_files: Mapping[str, bytes],
    shown: Mapping[tuple[str, int], Preview],
    site: Site,
) -> tuple[Composed, ...]:
    """Compose an edition, look at it twice, and write the bytes into the results folder.

    Raises `Defect` (RESULT_INVALID) for an object that is not what the findings and sources say, or that dciodvfy, where
    it is installed, finds an error in.
    """
    composed = compose(given.case, source_files, given.identity, edition, shown)
    if not composed:
        raise Defect(RESULT_INVALID, f"the edition {edition.key} has no object to send")
    check(composed, given.case, source_files, given.identity, edition, shown)
    faults = [f"{one.form} {one.sop_instance_uid}: {said}" for one in composed for said in complaints(one)]
    if faults:
        raise Defect(RESULT_INVALID, "; ".join(faults))
    for one in composed:
        _write(result_path(site.settings.results_dir, one.sha256), one.data)
    return composed


def result_path(results_dir: Path, sha256: str) -> Path:
    """Return where the bytes of a composed object lie."""
    return results_dir / sha256[:2] / sha256


def _write(path: Path, data: bytes) -> None:
    """Write the bytes under their hash; they are on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
    with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    staging.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
