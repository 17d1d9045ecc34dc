"""What is wrong with the input or with the machine is answered clearly, and the service goes on."""

import copy
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pydicom
import pytest
from psycopg import sql
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from derm_pacs.domain.case import State
from derm_pacs.domain.study import InstanceRole
from derm_pacs.operations.postgres import EmbeddedPostgres
from tests.acceptance import studies
from tests.acceptance.hospital import Hospital, wait_for
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]


def truncated(image: pydicom.Dataset) -> None:
    frames = image.PixelData
    image.PixelData = frames[: len(frames) // 3 // 2 * 2]


def undecodable(image: pydicom.Dataset) -> None:
    image.PixelData = encapsulate([random.Random(1).randbytes(5000)])  # noqa: S311 - repeatable noise, no secret


def without_pixels(image: pydicom.Dataset) -> None:
    del image.PixelData


def with_a_lie_about_its_size(image: pydicom.Dataset) -> None:
    image.Rows = image.Columns = 65535


BROKEN = [
    (truncated, {"undecodable"}),
    (undecodable, {"undecodable"}),
    (without_pixels, {"empty_pixels"}),
    (with_a_lie_about_its_size, {"image_too_large"}),
]


@pytest.mark.parametrize(("breaks", "reasons"), BROKEN, ids=[one.__name__ for one, _ in BROKEN])
def test_an_image_that_cannot_be_analysed_ends_rejected_with_a_report_that_says_why(
    hospital: Hospital, breaks: Callable[[pydicom.Dataset], None], reasons: set[str]
) -> None:
    image = copy.deepcopy(studies.drawn(studies.new_study()))
    breaks(image)
    study = str(image.StudyInstanceUID)
    assert hospital.send([image]) == [0]
    story = hospital.wait_for_end(study)
    assert story.revisions[0].state is State.REJECTED
    assert story.revisions[0].reason_code in reasons
    (report,) = [one for one in hospital.results(study) if one.Modality == "SR"]
    assert "not analysed" in str(report).lower()
    assert_goes_on(hospital)


def assert_goes_on(hospital: Hospital) -> None:
    """A good study is confirmed as before."""
    image = studies.drawn(studies.new_study())
    assert hospital.send([image]) == [0]
    assert hospital.wait_for_end(str(image.StudyInstanceUID)).revisions[0].state is State.CONFIRMED


def test_two_patients_in_one_study_are_held_and_nothing_is_sent(hospital: Hospital) -> None:
    study = studies.new_study()
    assert hospital.send([
        studies.drawn(study, seed=1, patient="P1"), studies.drawn(study, seed=2, patient="P2", series=2),
    ]) == [0, 0]
    story = hospital.wait_for_end(study)
    assert (story.revisions[0].state, story.revisions[0].reason_code) == (State.HELD, "two_patients")
    assert hospital.results(study) == []


def test_one_uid_with_two_contents_is_held_and_nothing_more_is_sent(hospital: Hospital) -> None:
    image = studies.drawn(studies.new_study(), seed=1)
    study = str(image.StudyInstanceUID)
    hospital.send([image])
    hospital.wait_for_end(study)
    before = len(hospital.results(study))
    other = copy.deepcopy(image)
    other.PixelData = studies.drawn(study, seed=2).PixelData
    assert hospital.send([other]) == [0]
    story = hospital.wait_for_end(study, revision=2)
    held = next(one for one in story.revisions if one.number == 2)
    assert (held.state, held.reason_code) == (State.HELD, "two_contents")
    assert len(hospital.results(study)) == before


def test_an_unknown_calling_ae_title_is_rejected(hospital: Hospital) -> None:
    image = studies.drawn(studies.new_study())
    assert hospital.send([image], calling="STRANGER") == [0xFFFF]
    assert hospital.story(str(image.StudyInstanceUID)) is None


def test_a_class_that_is_never_analysed_is_refused_at_negotiation(hospital: Hospital) -> None:
    image = copy.deepcopy(studies.drawn(studies.new_study()))
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"  # CT
    assert hospital.send([image]) == [0xFFFF]  # no context accepted, so no association
    assert hospital.story(str(image.StudyInstanceUID)) is None


def test_a_class_without_a_route_ends_rejected_and_says_so(hospital: Hospital) -> None:
    image = copy.deepcopy(studies.drawn(studies.new_study()))
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    study = str(image.StudyInstanceUID)
    assert hospital.send([image]) == [0]
    story = hospital.wait_for_end(study)
    assert (story.revisions[0].state, story.revisions[0].reason_code) == (State.REJECTED, "no_route")
    assert hospital.results(study) == []


def test_the_results_of_another_installation_are_taken_and_nothing_happens(hospital: Hospital, empty_folder: Path) -> None:
    image = studies.drawn(studies.new_study())
    study = str(image.StudyInstanceUID)
    hospital.send([image])
    hospital.wait_for_end(study)
    foreign = hospital.results(study)
    assert foreign
    with Hospital(empty_folder, {}) as other:
        assert set(other.send(foreign)) == {0}
        story = wait_for("they are filed", lambda: filed(other, study, len(foreign)))
        assert {one.role for one in story.objects} == {InstanceRole.OURS}
        assert story.revisions == ()


def filed(hospital: Hospital, study: str, count: int):  # type: ignore[no-untyped-def]
    story = hospital.story(study)
    return story if story is not None and len(story.objects) == count else None


def test_a_pacs_that_is_away_is_waited_for(hospital: Hospital) -> None:
    hospital.orthanc.stop()
    try:
        image = studies.drawn(studies.new_study())
        study = str(image.StudyInstanceUID)
        assert hospital.send([image]) == [0]
        wait_for("it waits to be delivered", lambda: delivering(hospital, study))
    finally:
        hospital.orthanc.start()
    assert hospital.wait_for_end(study, within=240).revisions[0].state is State.CONFIRMED


def delivering(hospital: Hospital, study: str) -> bool | None:
    story = hospital.story(study)
    if story is None or story.revisions[0].state is not State.DELIVERING:
        return None
    return True if story.revisions[0].deliveries[0].attempts >= 1 else None


def test_a_destination_that_stays_away_holds_the_case_and_a_retry_takes_it_on(empty_folder: Path) -> None:
    with Hospital(empty_folder, studies.bundles(REPOSITORY), deadline=0.05) as impatient:
        impatient.orthanc.stop()
        image = studies.drawn(studies.new_study())
        study = str(image.StudyInstanceUID)
        impatient.send([image])
        story = impatient.wait_for_end(study, within=180)
        assert story.revisions[0].state is State.HELD
        assert story.revisions[0].reason_code == "deadline"
        assert "pacs" in (story.revisions[0].reason_detail or "")
        impatient.orthanc.start()
        done = impatient.cli("cases", "retry", study, "--reason", "the archive is back", "--actor", "admin")
        assert done.returncode == 0, done.stderr
        wait_for("confirmed", lambda: confirmed(impatient, study))


def confirmed(hospital: Hospital, study: str) -> bool | None:
    story = hospital.story(study)
    return True if story is not None and story.revisions[0].state is State.CONFIRMED else None


@pytest.fixture
def stoppable(empty_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A database server that is not the service's own, so that a test can stop it."""
    server = EmbeddedPostgres(empty_folder / "db", run_as="nobody")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def outside(empty_folder: Path, stoppable: EmbeddedPostgres) -> Iterator[Hospital]:
    """A hospital on that server, migrated; its service is not started yet."""
    made = Hospital(empty_folder, studies.bundles(REPOSITORY), database=f'url = "{stoppable.url}"')
    made.orthanc.start()
    made.write_settings()
    try:
        assert made.cli("migrate").returncode == 0
        yield made
    finally:
        made.close()


def test_with_the_database_stopped_receiving_goes_on_and_filing_catches_up(
    outside: Hospital, stoppable: EmbeddedPostgres
) -> None:
    outside.start()
    outside.install_bundles()
    stoppable.stop()
    images = [studies.drawn(studies.new_study(), seed=seed) for seed in (1, 2)]
    assert outside.send(images) == [0, 0]
    stoppable.start()
    for image in images:
        story = outside.wait_for_end(str(image.StudyInstanceUID), within=240)
        assert story.revisions[0].state is State.CONFIRMED


def test_the_listener_does_not_wait_for_a_database_that_is_away_at_the_start(
    outside: Hospital, stoppable: EmbeddedPostgres
) -> None:
    outside.install_bundles()
    stoppable.stop()
    outside.start(first="listener-0")
    image = studies.drawn(studies.new_study())
    assert outside.send([image]) == [0]
    stoppable.start()
    story = outside.wait_for_end(str(image.StudyInstanceUID), within=240)
    assert story.revisions[0].state is State.CONFIRMED


@pytest.fixture
def small_disk(empty_folder: Path) -> Iterator[Path]:
    """A small file system of its own below the hospital's data folder."""
    spool = empty_folder / "data" / "spool"
    spool.mkdir(parents=True)
    (empty_folder / "data").chmod(0o755)
    image = empty_folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(64_000_000)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", str(image), str(spool)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets no small file system be mounted: {mounted.stderr.strip()}")
    yield spool
    subprocess.run(["umount", str(spool)], check=True)


def test_a_full_disk_is_answered_with_a700_before_it_is_full(empty_folder: Path, small_disk: Path) -> None:
    with Hospital(empty_folder, studies.bundles(REPOSITORY), reserve=20) as hospital:
        filler = small_disk / "filler"
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(os.urandom(free - 15_000_000))
        image = studies.drawn(studies.new_study())
        assert hospital.send([image]) == [0xA700]
        assert hospital.answers()
        wait_for("the fault is told", lambda: True if "disk_reserve" in hospital.cli("status", "--json").stdout else None)
        filler.unlink()
        assert hospital.send([image]) == [0]
        assert hospital.wait_for_end(str(image.StudyInstanceUID)).revisions[0].state is State.CONFIRMED


def test_a_ledger_that_is_lost_is_filed_again_from_the_spool_with_the_same_uids(
    outside: Hospital, stoppable: EmbeddedPostgres
) -> None:
    """The late image makes two revisions; both come back, with the same results."""
    outside.start()
    outside.install_bundles()
    study = studies.new_study()
    outside.send([studies.drawn(study, seed=1)])
    outside.wait_for_end(study)
    outside.send([studies.drawn(study, seed=2, series=2)])
    outside.wait_for_end(study, revision=2)
    before = wait_for("both revisions have ended", lambda: settled(outside, study))
    outside.stop()
    drop_ledger(stoppable)
    assert outside.cli("migrate").returncode == 0
    outside.start()
    outside.install_bundles()
    wait_for("the first revision waits for its bundles, or is on its way", lambda: retried(outside, study), within=120)
    after = wait_for("both revisions have ended again", lambda: settled(outside, study), within=180)
    assert after == before


Named = Sequence[tuple[int, str | None, tuple[tuple[str, str], ...]]]


def settled(hospital: Hospital, study: str) -> Named | None:
    """Return (number, hash, results with their bytes' hashes) of both revisions once the walk is over."""
    story = hospital.story(study)
    if story is None or {one.number: one.state for one in story.revisions} != {1: State.SUPERSEDED, 2: State.CONFIRMED}:
        return None
    return sorted(
        (one.number, one.hash, tuple(sorted((result.sop_instance_uid, result.sha256) for result in one.results)))
        for one in story.revisions
    )


def drop_ledger(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url.replace("/derm?", "/postgres?"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier("derm")))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier("derm")))


def retried(hospital: Hospital, study: str) -> bool | None:
    """Retry the case if it was held for want of active bundles; they were dropped with the ledger."""
    story = hospital.story(study)
    if story is None or not story.revisions:
        return None
    states = {one.number: one.state for one in story.revisions}
    if State.HELD in states.values():
        hospital.cli("cases", "retry", study, "--reason", "bundles are active again", "--actor", "admin")
        return None
    return True if states.get(2) in (State.CONFIRMED, State.DELIVERING) else None
