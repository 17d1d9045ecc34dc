"""kill -9 of every process: the case is confirmed, with one set of results."""

import os
import random
import signal
from pathlib import Path

import pytest

from tests.acceptance.deaths import assert_whole, send_until_acknowledged
from tests.acceptance.hospital import Hospital, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


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
