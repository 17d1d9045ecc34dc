"""`derm-pacs cases export`: a case as ordinary files."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from derm_pacs.cli.cases import no_such_case
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.opening import Opened, opened
from derm_pacs.cli.options import DEFAULT_CONFIG, Actor, CaseKey, Config, Json, Reason
from derm_pacs.cli.print.terminal import print_json, say
from derm_pacs.domain.composed import Form
from derm_pacs.ledger import audit, reading
from derm_pacs.ledger.reading import CaseStory
from derm_pacs.pipeline.editions import result_path
from derm_pacs.spool import read

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the files; it must be empty or missing.")]


def export(
    case: CaseKey, folder: Folder, *, actor: Actor, reason: Reason = "export", config: Config = DEFAULT_CONFIG, as_json: Json = False
) -> None:
    """Write the received objects and the results of a case as ordinary files: DICOM, and HL7 where a record system gets one.

    The files hold patient data and are open to their owner only; the export stands in the audit trail.

    Examples:
        derm-pacs cases export 17 /tmp/case-17 --reason "second reading"
    """
    with opened(config) as here:
        story = _story(here, case)
        _make(folder)
        _note(here, story, actor, reason)
        written = [_write(folder / name, data, about) for name, data, about in _files(here, story)]
    if as_json:
        print_json(written)
    say(f"{len(written)} files in {folder}")


def _story(here: Opened, key: str) -> CaseStory:
    case_id = here.database.transaction(lambda tx: reading.case_id_of(tx, key))
    if case_id is None:
        raise no_such_case(key)
    return here.database.transaction(lambda tx: reading.story(tx, case_id))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise CommandError(ExitCode.REFUSED, f"{folder} cannot be used ({error.strerror})", "name an empty or a new folder") from error
    if not empty:
        raise CommandError(ExitCode.REFUSED, f"{folder} is not empty", "name an empty or a new folder")


def _files(here: Opened, story: CaseStory) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Give each file's name, content and what it is; names are numbers of ours, never made from what was received."""
    for number, one in enumerate(story.objects, start=1):
        about = {"what": one.role, "revisions": one.revisions, "sop_instance_uid": one.sop_instance_uid}
        yield f"received-{number:04d}.dcm", read.payload(here.settings.spool_dir, one.place), about
    for revision in story.revisions:
        for number, result in enumerate(revision.results, start=1):
            about = {"what": result.form, "revisions": (revision.number,), "sop_instance_uid": result.sop_instance_uid}
            path = result_path(here.settings.results_dir, result.sha256)
            suffix = "hl7" if result.form is Form.MESSAGE else "dcm"
            yield f"result-r{revision.number}-{number:02d}-{result.form}.{suffix}", _result(path), about


def _result(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        wrong = f"the result {path} cannot be read ({error.strerror})"
        raise CommandError(ExitCode.FAILED, wrong, "look at the disk, or restore the results folder from a backup") from error


def _write(path: Path, data: bytes, about: dict[str, Any]) -> dict[str, Any]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return {"file": path, **about}


def _note(here: Opened, story: CaseStory, actor: str, reason: str) -> None:
    # Before the first file is written: patient data does not leave without a trace.
    results = sum(len(revision.results) for revision in story.revisions)
    here.database.transaction(
        lambda tx: audit.append(
            tx, actor=actor, action="case.export", subject=f"case {story.case_id}", reason=reason,
            detail={"received": len(story.objects), "results": results}, now=datetime.now(UTC),
        )
    )
