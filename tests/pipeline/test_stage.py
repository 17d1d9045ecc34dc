"""What a stage keeps of an error: the place in the program, and no word that another library chose."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import trying
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Stage, run
from tests.pipeline import ledger_rows

pytestmark = pytest.mark.server


def _quoting(given: int, site: Site) -> int:
    del given, site
    raise ValueError("Invalid value for VR PN: 'Muster^Erika'")


def _wrapped(given: int, site: Site) -> int:
    try:
        return _quoting(given, site)
    except ValueError as error:
        raise Defect(RESULT_INVALID, "the report has no title") from error


@pytest.mark.parametrize("work", [_quoting, _wrapped])
def test_a_traceback_is_kept_without_what_a_library_quotes(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, work: object
) -> None:
    site = ledger_rows.site(database, tmp_path)
    revision_id = database.transaction(lambda tx: ledger_rows.revision(tx, State.COMPOSING))

    def claim(tx: Session, subject: int, site: Site) -> int:
        assert trying.begin_try(tx, trying.locked(tx, subject), site)
        return subject

    stage: Stage[int, int] = Stage(
        task=Task.COMPOSE, claim=claim, work=work,  # type: ignore[arg-type]
        settle=lambda tx, given, made, site: None, fail=trying.fail(Task.COMPOSE),
    )
    run(stage, revision_id, site)

    def kept(tx: Session) -> str:
        return tx.get_one(Revision, revision_id).last_error or ""

    said = database.transaction(kept)
    assert "in _quoting" in said
    assert "ValueError" in said
    assert ("the report has no title" in said) is (work is _wrapped)
    assert "Muster^Erika" not in said.replace("raise ValueError(\"Invalid value for VR PN: 'Muster^Erika'\")", "")
    assert "Muster^Erika" not in caplog.text
