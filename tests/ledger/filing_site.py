"""A spool and a ledger between which the tests of filing play a day."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from derm_pacs.domain.marks import MANUFACTURER, PURPOSE
from derm_pacs.domain.study import Complete, Quiet, StoredInstance, completeness
from derm_pacs.ledger import cases, filing, runs
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.filing import Filed
from derm_pacs.ledger.tables import Case, Instance, Revision, RevisionInstance
from derm_pacs.spool import read
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import SpooledRecord
from derm_pacs.spool.record import Kind, RecordHeader

QUIET = Quiet(quiet=timedelta(seconds=60), cap=timedelta(seconds=600))


class Site:
    """A spool, a ledger, and the time of day."""

    def __init__(self, folder: Path, database: Database, start: datetime, part10: Callable[..., bytes]) -> None:
        self.folder = folder
        self.database = database
        self.start = start
        self.part10 = part10
        self.journal = Journal(folder / "listener-0", segment_bytes=1_000_000, reserve_bytes=0)

    def at(self, seconds: float) -> datetime:
        return self.start + timedelta(seconds=seconds)

    def receive(self, seconds: float, payload: bytes | None = None, *, kind: Kind = "object", **elements: Any) -> None:
        """As the listener: an object (or a report) goes into the spool."""
        data = self.part10(**elements) if payload is None else payload
        header = RecordHeader(
            kind=kind, calling_ae=str(elements.pop("calling_ae", "MODALITY")), called_ae="DERMPACS",
            received_at=self.at(seconds),
            sop_class_uid=elements.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.77.1.7"),
            sop_instance_uid=elements.get("SOPInstanceUID", "1.2.3.1"),
            study_instance_uid=elements.get("StudyInstanceUID", "1.2.3"),
            series_instance_uid=elements.get("SeriesInstanceUID", "1.2.3.0"),
            transfer_syntax_uid="1.2.840.10008.1.2.1",
        )
        self.journal.append(header, [data])

    def records(self) -> Iterator[SpooledRecord]:
        return read.records(self.folder / "listener-0", self.database.transaction(lambda tx: filing.position(tx, "listener-0")))

    def file(self, *, drained: float | None = None, into: Database | None = None) -> list[Filed]:
        """File what is new, each record in a transaction of its own."""
        database = into or self.database
        after = database.transaction(lambda tx: filing.position(tx, "listener-0"))
        return [self.file_one(record, database, drained) for record in read.records(self.folder / "listener-0", after)]

    def file_one(self, record: SpooledRecord, database: Database, drained: float | None = None) -> Filed:
        payload = read.payload(self.folder, record.place)

        def work(tx: Session) -> Filed:
            facility = filing.ensure_facility(tx, "clinic")
            filed = filing.file_record(tx, record, payload, facility_id=facility, quiet=QUIET, now=self.at(9999))
            filing.advance(tx, "listener-0", record.next, self.at(drained) if drained is not None else None)
            return filed

        return database.transaction(work)

    def send(self, seconds: float, **elements: Any) -> Filed:
        """Receive and file one object."""
        self.receive(seconds, **elements)
        (filed,) = self.file()
        return filed

    def close_due(self, seconds: float) -> list[int]:
        """As the clock: close what is complete."""
        def work(tx: Session) -> list[int]:
            closed = []
            for one in cases.receiving(tx):
                complete = completeness(one.arrivals, QUIET, self.at(seconds))
                if isinstance(complete, Complete):
                    cases.close(tx, one.revision_id, complete, actor="clock", now=self.at(seconds))
                    closed.append(one.revision_id)
            return closed

        return self.database.transaction(work)

    def revisions(self, database: Database | None = None) -> list[tuple[str, int, str | None, str | None, datetime | None]]:
        """Study, number, hash, close reason and close time of every revision."""
        return (database or self.database).transaction(lambda tx: [
            (uid, row.number, row.hash, row.close_reason, row.closed_at)
            for uid, row in tx.execute(
                select(Case.study_instance_uid, Revision).join(Revision, Revision.case_id == Case.id)
                .order_by(Case.study_instance_uid, Revision.number)
            )
        ])

    def members(self, revision_id: int | None) -> list[str]:
        assert revision_id is not None
        return self.database.transaction(lambda tx: list(tx.scalars(
            select(Instance.sop_instance_uid).join(RevisionInstance, RevisionInstance.instance_id == Instance.id)
            .where(RevisionInstance.revision_id == revision_id).order_by(Instance.sop_instance_uid)
        )))

    def count(self, table: type) -> int:
        return self.database.transaction(lambda tx: tx.scalar(select(func.count()).select_from(table)) or 0)


def images(tx: Session, revision_id: int) -> list[StoredInstance]:
    return [one.stored for one in runs.images(tx, revision_id)]


def ours() -> dict[str, Any]:
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = PURPOSE
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.PurposeOfReferenceCodeSequence = Sequence([purpose])
    return {"ContributingEquipmentSequence": Sequence([item])}
