"""kill -9 at every step of every stage: the case is confirmed, with one set of results."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete

from derm_pacs.ledger.result_tables import AgreementRow
from tests.acceptance.deaths import KILLING, assert_whole, send_until_acknowledged
from tests.acceptance.hospital import Hospital

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

MOST_STUDIES = 4


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
