"""kill -9 at every step of every stage, of every process: the case is confirmed, with one set of results."""

import importlib.util
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete

from derm_pacs.domain.case import State
from derm_pacs.ledger.reading import CaseStory
from derm_pacs.ledger.result_tables import AgreementRow
from tests.acceptance import studies
from tests.acceptance.hospital import Hospital, wait_for
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

MOST_STUDIES = 4
KILLING = Path(__file__).with_name("killing")


def all_points() -> list[str]:
    spec = importlib.util.spec_from_file_location("killing_points", KILLING / "sitecustomize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [f"{point}-{when}" for _, _, point in module.FUNCTIONS for when in ("before", "after")]


POINTS = all_points()
DISTINCT = [point for point in POINTS if point.endswith(("-after", "work-before"))]
"""Points that leave different things behind: what a transaction did not commit is as if the call had not begun, and the
end of one call is the beginning of the next, but for a committed claim whose work has not begun. The campaign dies at all.
"""


@pytest.fixture(scope="module")
def deadly(_orthanc_is_there: None) -> Iterator[tuple[Hospital, Path]]:
    """A hospital whose processes end at the points that a test names."""
    folder = Path(tempfile.mkdtemp(prefix="derm-k-"))
    folder.chmod(0o755)
    kill_dir = folder / "kill"
    kill_dir.mkdir()
    environment = {"PYTHONPATH": f"{KILLING}{os.pathsep}{REPOSITORY}", "KILL_DIR": str(kill_dir)}
    with Hospital(folder, studies.bundles(REPOSITORY), environment=environment) as made:
        yield made, kill_dir
    shutil.rmtree(folder, ignore_errors=True)


def send_until_acknowledged(hospital: Hospital, seed: int) -> str:
    """Send a study as a modality does: what is not acknowledged is sent again."""
    image = studies.drawn(studies.new_study(), seed=seed)
    wait_for("the study is acknowledged", lambda: True if hospital.send([image]) == [0] else None)
    return str(image.StudyInstanceUID)


def assert_whole(hospital: Hospital, study: str, story: CaseStory) -> None:
    """One revision, confirmed; one set of results, the ledger's, in the PACS."""
    assert [(one.number, one.state) for one in story.revisions] == [(1, State.CONFIRMED)], story.revisions[0].last_error
    assert len([one for one in story.objects if one.role == "image"]) == 1
    in_pacs = sorted(str(one.SOPInstanceUID) for one in hospital.results(study))
    (delivery,) = story.revisions[0].deliveries
    assert in_pacs == sorted(one.sop_instance_uid for one in story.revisions[0].results if delivery.edition in one.editions)


def forget_agreements(hospital: Hospital) -> None:
    """Let the PACS take other forms than expected: it takes compressed pictures, which the settings do not ask for."""
    database = hospital.database
    database.transaction(lambda tx: tx.execute(delete(AgreementRow)))
    database.close()


def die_at(hospital: Hospital, kill_dir: Path, points: Sequence[str]) -> None:
    """Send studies until a process has ended at every point; a way round a point (a report that is quicker) is no fault."""
    for point in points:
        (kill_dir / point).touch()
    for number in range(MOST_STUDIES):
        forget_agreements(hospital)
        study = send_until_acknowledged(hospital, seed=7 + number % 2)
        assert_whole(hospital, study, hospital.wait_for_end(study, within=400))
        if not any(kill_dir.iterdir()):
            return
    missed = sorted(path.name for path in kill_dir.iterdir())
    for name in missed:
        (kill_dir / name).unlink()
    pytest.fail(f"these points were never reached: {missed}")


@pytest.mark.parametrize("stage", ["listener", "filing", "clock", "analyse", "compose", "edition", "deliver", "confirm", "conclude"])
def test_a_process_killed_at_every_distinct_point_of_a_stage_loses_and_doubles_nothing(
    deadly: tuple[Hospital, Path], stage: str
) -> None:
    hospital, kill_dir = deadly
    die_at(hospital, kill_dir, [point for point in DISTINCT if point.startswith(stage)])


@pytest.mark.campaign
@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_at_one_point(deadly: tuple[Hospital, Path], point: str) -> None:
    hospital, kill_dir = deadly
    die_at(hospital, kill_dir, [point])


@pytest.mark.parametrize("name", ["postgres", "supervisor", "worker-0", "clock-0", "filing-0", "listener-0"])
def test_a_process_killed_while_a_case_is_on_its_way(deadly: tuple[Hospital, Path], name: str) -> None:
    hospital, _ = deadly
    study = send_until_acknowledged(hospital, seed=7)
    wait_for("the case is there", lambda: hospital.story(study))
    if name == "supervisor":
        hospital.kill_service()
        hospital.start()
    else:
        hospital.kill(name)
    assert_whole(hospital, study, hospital.wait_for_end(study, within=240))


def test_a_runner_killed_in_its_work_costs_one_try(deadly: tuple[Hospital, Path]) -> None:
    hospital, _ = deadly
    study = send_until_acknowledged(hospital, seed=7)

    def runner() -> int | None:
        worker = hospital.processes()["worker-0"]
        for process in Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            try:
                command = (process / "cmdline").read_bytes()
                parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"derm_pacs.inference.runner" in command and parent == worker:
                return int(process.name)
        return None

    os.kill(wait_for("a runner runs", runner), signal.SIGKILL)
    assert_whole(hospital, study, hospital.wait_for_end(study, within=240))


def test_processes_killed_at_random_times_lose_and_double_nothing(deadly: tuple[Hospital, Path]) -> None:
    hospital, _ = deadly
    chance = random.Random(8)  # noqa: S311 - a repeatable order of kills, no secret
    sent = []
    for number in range(4):
        sent.append(send_until_acknowledged(hospital, seed=7 + number % 2))
        name = chance.choice(["worker-0", "filing-0", "clock-0", "listener-0", "postgres"])
        if name in hospital.processes():
            hospital.kill(name)
    for study in sent:
        assert_whole(hospital, study, hospital.wait_for_end(study, within=400))
