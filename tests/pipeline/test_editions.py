"""What the results of a revision are made from."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from derm_pacs.domain.composed import Identity
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.domain.study import SpoolPlace, StoredInstance
from derm_pacs.ledger.database import Database
from derm_pacs.pipeline import editions
from tests.pipeline import ledger_rows

pytestmark = pytest.mark.server


def test_a_source_is_read_when_it_is_asked_for_and_not_before(database: Database, tmp_path: Path) -> None:
    """All images of a study at once can be more than the memory; here there is no spool, so that reading fails."""
    image = StoredInstance(
        sop_class_uid="1.2", sop_instance_uid="1.2.3", series_instance_uid="1.2", study_instance_uid="1.2",
        transfer_syntax_uid="1.2", sha256="0" * 64, pixel_sha256=None,
        place=SpoolPlace(listener="listener-0", segment=1, offset=64, length=1),
    )
    identity = Identity(
        installation_uid="2.25.1", facility="Test", revision=1, revision_hash="0" * 64, predecessors=(),
        made_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    given = editions.Material(
        case=CaseFindings(runs=(), findings=()), images=(image,), identity=identity, readers={}, basis={}
    )
    found = editions.sources(given, ledger_rows.site(database, tmp_path))
    assert set(found) == {"1.2.3"}
    assert "1.2.3" in found
    assert "1.2.4" not in found
    with pytest.raises(Defect, match="is not there"):
        found["1.2.3"]
