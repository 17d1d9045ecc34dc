"""`derm-pacs cases`: looking at cases, and acting on them."""

import json
import stat
from pathlib import Path

import pytest
from sqlalchemy import select, text

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.ledger.tables import AuditRow, Event

from .conftest import PATIENT_ID, PATIENT_NAME, STUDY, Installation

pytestmark = pytest.mark.server


def test_an_empty_ledger_has_no_cases(installation: Installation) -> None:
    assert installation.run("cases", "list").out == "no cases\n"
    assert installation.run("cases", "list", "--json").value == []


def test_a_case_stands_in_the_list_with_state_and_reason(held: Installation) -> None:
    said = held.run("cases", "list")
    assert said.status == ExitCode.OK
    assert STUDY in said.out
    assert "held" in said.out
    (line,) = held.run("cases", "list", "--json").value
    assert (line["state"], line["revision"], line["images"]) == ("held", 1, 2)
    assert line["reason"]["code"] == "peer_refuses"
    assert line["reason"]["remedy"]
    assert line["reason"]["who"] == "admin"


def test_the_list_narrows_to_a_state(held: Installation) -> None:
    assert len(held.run("cases", "list", "--state", "held", "--json").value) == 1
    assert held.run("cases", "list", "--state", "confirmed", "--json").value == []
    assert held.run("cases", "list", "--state", "nonsense").status == ExitCode.USAGE


@pytest.mark.parametrize("key", ["1", STUDY])
def test_a_case_is_shown_with_its_whole_story(held: Installation, key: str) -> None:
    said = held.run("cases", "show", key)
    assert said.status == ExitCode.OK, said.talk
    for part in (
        "research use", "received", "begin_analysis", "finish_composing", "hold", "quiet_period",
        "nevus 25.0%, melanoma 75.0%; melanoma at or above the threshold 0.4 set by Dr. Lead",
        "lesion: 4 pixels inside, 25.0% of the image", "not analysed, because poor_quality_blur", "Laplacian variance 3 below 20",
        "report_sr", "2.25.11", "Remedy (admin)", "13:01:00 CET", "pacs", "refused",
    ):
        assert part in said.out, part


def test_the_story_is_whole_as_json_too(held: Installation) -> None:
    story = held.run("cases", "show", "1", "--json").value
    (revision,) = story["revisions"]
    assert [step["to_state"] for step in revision["walk"]] == [
        "receiving", "queued", "analysing", "composing", "delivering", "held",
    ]
    assert revision["closed_at"] == "2026-03-01T12:01:00Z"
    assert revision["who_acts"] == "admin or lead"
    assert revision["runs"][0]["operating_points"][0]["threshold"] == 0.4
    assert revision["runs"][0]["bundle"]["content_hash"] == "c" * 64
    assert revision["results"][0]["sop_instance_uid"] == "2.25.11"
    assert revision["deliveries"][0]["reason"]["code"] == "peer_refuses"
    assert [one["revisions"] for one in story["objects"]] == [[1], [1]]


def test_a_case_with_a_late_image_is_one_line_and_two_revisions(grown: Installation) -> None:
    (line,) = grown.run("cases", "list", "--json").value
    assert (line["state"], line["revision"], line["images"]) == ("receiving", 2, 3)
    assert grown.run("cases", "list", "--state", "held", "--json").value == [], "the newest revision decides"
    story = grown.run("cases", "show", "1", "--json").value
    assert [one["state"] for one in story["revisions"]] == ["held", "receiving"]
    assert [one["revisions"] for one in story["objects"]] == [[1, 2], [1, 2], [2]]
    assert grown.run("status", "--json").value["ledger"]["cases"] == {"receiving": 1}


def test_patient_data_is_never_printed(held: Installation) -> None:
    for arguments in (("cases", "list"), ("cases", "show", "1"), ("status",)):
        for more in ((), ("--json",)):
            said = held.run(*arguments, *more)
            for secret in (PATIENT_NAME, PATIENT_ID, "Mustermann"):
                assert secret not in said.out + said.talk


def test_a_case_that_does_not_exist_is_told_so(installation: Installation) -> None:
    for arguments in (("show", "99"), ("show", "1.2.3"), ("retry", "99", "--reason", "x"), ("export", "99", "/nonexistent/x")):
        said = installation.run("cases", *arguments)
        assert said.status == ExitCode.NOT_FOUND, said.talk
        assert "there is no case" in said.talk
        assert "derm-pacs cases list" in said.talk
        assert not said.out


def test_a_held_case_is_taken_on_with_actor_and_reason(held: Installation) -> None:
    said = held.run("cases", "retry", "1", "--reason", "the PACS is back", "--actor", "anna")
    assert (said.status, said.out) == (ExitCode.OK, "case 1 is delivering\n"), said.talk

    def check(tx: object) -> None:
        event = tx.scalars(select(Event).order_by(Event.id.desc()).limit(1)).one()  # type: ignore[attr-defined]
        audit = tx.scalars(select(AuditRow)).one()  # type: ignore[attr-defined]
        assert (event.step, event.actor) == ("retry_delivery", "anna")
        assert (audit.action, audit.actor, audit.reason) == ("case.retry", "anna", "the PACS is back")
        jobs = tx.execute(text("SELECT task_name, status::text FROM procrastinate_jobs")).all()  # type: ignore[attr-defined]
        assert [tuple(job) for job in jobs] == [("deliver", "todo")]

    held.database.transaction(check)


def test_a_case_that_is_not_held_is_not_retried(held: Installation) -> None:
    assert held.run("cases", "retry", "1", "--reason", "x").status == ExitCode.OK
    said = held.run("cases", "retry", "1", "--reason", "x")
    assert said.status == ExitCode.REFUSED
    assert "a case that is delivering cannot" in said.talk


def test_a_case_is_cancelled_for_good(held: Installation) -> None:
    assert held.run("cases", "cancel", STUDY, "--reason", "sent by mistake").out == "case 1 is cancelled\n"
    assert held.run("cases", "cancel", STUDY, "--reason", "again").status == ExitCode.REFUSED
    (line,) = held.run("cases", "list", "--json").value
    assert line["state"] == "cancelled"


@pytest.mark.parametrize("act", ["retry", "cancel"])
def test_nothing_is_done_without_a_reason(installation: Installation, act: str) -> None:
    assert installation.run("cases", act, "1").status == ExitCode.USAGE
    assert installation.run("cases", act, "1", "--reason", "  ").status == ExitCode.USAGE
    assert installation.run("cases", act, "1", "--reason", "x", "--actor", "").status == ExitCode.USAGE


def test_a_case_is_exported_as_ordinary_files(held: Installation, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    said = held.run("cases", "export", "1", str(folder), "--json")
    assert said.status == ExitCode.OK, said.talk
    files = sorted(folder.iterdir())
    assert [one.name for one in files] == ["received-0001.dcm", "received-0002.dcm", "result-r1-01-report_sr.dcm"]
    assert files[0].read_bytes()[128:132] == b"DICM"
    assert files[2].read_bytes() == b"a result"
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    assert {one["sop_instance_uid"] for one in json.loads(said.out)} == {f"{STUDY}.1.1", f"{STUDY}.1.2", "2.25.11"}
    audit = held.database.transaction(lambda tx: tx.scalars(select(AuditRow)).one())
    assert (audit.action, audit.subject) == ("case.export", "case 1")


def test_an_export_writes_over_nothing(held: Installation, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    said = held.run("cases", "export", "1", str(tmp_path))
    assert said.status == ExitCode.REFUSED
    assert "is not empty" in said.talk
