"""`derm-pacs cases pdf`: a case's results as a PDF file to print."""

import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pydicom
import typer

from derm_pacs.cli.cases import no_such_case
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.opening import Opened, opened
from derm_pacs.cli.options import DEFAULT_CONFIG, Actor, CaseKey, Config, Reason
from derm_pacs.cli.print.terminal import say
from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.errors import Defect
from derm_pacs.ledger import audit, reading
from derm_pacs.ledger.reading import RevisionStory
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import editions
from derm_pacs.pipeline.runners import Runners
from derm_pacs.pipeline.site import Site
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose

Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write; it must not exist.")]
_EDITION = Edition(forms=frozenset({Form.PDF}))


def pdf(case: CaseKey, *, out: Out, actor: Actor, reason: Reason = "print", config: Config = DEFAULT_CONFIG) -> None:
    """Write the report of a case as a PDF file, for research use, not for primary diagnosis.

    It is the report of the newest revision that has results: the one that was sent, or one made now of the same
    findings. The file holds patient data and is open to its owner only; the print stands in the audit trail.

    Examples:
        derm-pacs cases pdf 17 --out /tmp/case-17.pdf
    """
    with opened(config) as here:
        case_id, revision = _revision(here, case)
        if out.exists():
            raise CommandError(ExitCode.REFUSED, f"{out} exists", "name a file that does not exist")
        here.database.transaction(
            lambda tx: audit.append(
                tx, actor=actor, action="case.print", subject=f"case {case_id}", reason=reason,
                detail={"revision": revision.number}, now=datetime.now(UTC),
            )
        )
        report = _sent(here, revision) or _made(here, revision)
    _write(out, report)
    say(f"revision {revision.number} of case {case_id} in {out}")


def _revision(here: Opened, key: str) -> tuple[int, RevisionStory]:
    case_id = here.database.transaction(lambda tx: reading.case_id_of(tx, key))
    if case_id is None:
        raise no_such_case(key)
    story = here.database.transaction(lambda tx: reading.story(tx, case_id))
    with_results = [one for one in story.revisions if one.results]
    if not with_results:
        raise CommandError(ExitCode.REFUSED, f"case {case_id} has no results yet", f"see: derm-pacs cases show {case_id}")
    return case_id, with_results[-1]


def _sent(here: Opened, revision: RevisionStory) -> bytes | None:
    """Return the report that a destination gets or got, None where no destination gets one."""
    kept = next((one for one in revision.results if one.form is Form.PDF), None)
    if kept is None:
        return None
    path = editions.result_path(here.settings.results_dir, kept.sha256)
    try:
        return _document(path.read_bytes())
    except OSError as error:
        wrong = f"the result {path} cannot be read ({error.strerror})"
        raise CommandError(ExitCode.FAILED, wrong, "look at the disk, or restore the results folder from a backup") from error


def _made(here: Opened, revision: RevisionStory) -> bytes:
    """Make the report of a revision's findings, and hold it against them; nothing of it is kept."""
    runners = Runners(here.settings.analysis)
    site = Site(
        settings=here.settings, database=here.database, installation_uid=here.settings.installation_uid(), runners=runners
    )
    try:
        given = here.database.transaction(
            lambda tx: editions.material(tx, tx.get_one(Revision, revision.revision_id), site)
        )
        files = editions.sources(given, site)
        shown = editions.previews(given, files, [_EDITION], site)
        composed = compose(given.case, files, given.identity, _EDITION, shown)
        check(composed, given.case, files, given.identity, _EDITION, shown)
    except Defect as error:
        raise CommandError(ExitCode.FAILED, f"the report cannot be made: {error}", error.reason.remedy) from error
    finally:
        runners.close()
    return _document(composed[0].data)


def _document(part10: bytes) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(part10))
    document: bytes = dataset.EncapsulatedDocument
    return document[: dataset.EncapsulatedDocumentLength]


def _write(path: Path, data: bytes) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        wrong = f"{path} cannot be written ({error.strerror})"
        raise CommandError(ExitCode.REFUSED, wrong, "name a file in a folder that exists") from error
