"""The runner as its client sees it: same answers, also after a restart; death, delay and lies cost one call."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from derm_pacs.domain.bundle import GoldenInput, ServingDescription
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import Refusal, Segmentation
from derm_pacs.domain.golden import GoldenRefusal, GoldenResult
from derm_pacs.inference import client, wire
from derm_pacs.inference.client import FrameOutcome, Runner
from derm_pacs.inference.landlock import abi
from derm_pacs.inference.pixels import Pixels
from tests.inference.standing_in import HELLO, answer, standing_in

pytestmark = pytest.mark.server

Part10 = Callable[..., bytes]
Bundle = tuple[Path, ServingDescription]


def runner_for(
    bundle: Bundle, *, timeout_seconds: float = 60, before_start: Callable[[], None] | None = None
) -> Runner:
    folder, description = bundle
    return Runner(
        folder,
        description,
        timeout_seconds=timeout_seconds,
        max_pixels=20_000_000,
        max_frames=4,
        threads=1,
        before_start=before_start,
    )


@pytest.fixture(scope="module")
def runner(tiny_bundle: Bundle) -> Iterator[Runner]:
    with runner_for(tiny_bundle) as one:
        yield one


def process_of(runner: Runner) -> int:
    assert runner.pid is not None
    return runner.pid


def the_mask(found: tuple[FrameOutcome, ...]) -> Segmentation:
    (frame,) = found
    (outcome,) = frame.outcomes
    assert isinstance(outcome, Segmentation), outcome
    return outcome


def test_the_runner_finds_what_the_same_code_finds_here(
    runner: Runner, tiny_bundle: Bundle, make_part10: Part10, drawn: Pixels
) -> None:
    from derm_pacs.inference import weights  # noqa: PLC0415 torch is loaded in this process for this test only
    from derm_pacs.inference.analyse import LoadedBundle, analyse_pixels  # noqa: PLC0415
    from derm_pacs.inference.networks import build  # noqa: PLC0415

    folder, description = tiny_bundle
    network = build(description.network)
    weights.load(folder, description.weights, network)
    (here,) = analyse_pixels(LoadedBundle(description=description, network=network), drawn)
    there = the_mask(runner.analyse(make_part10(drawn)))
    assert isinstance(here, Segmentation)
    assert here.mask.any()
    assert np.array_equal(here.mask, there.mask)
    assert (there.output, there.concept, there.threshold) == ("lesion", "lesion", 0.5)


def test_the_same_image_gives_the_same_outcome_also_after_a_restart(
    runner: Runner, make_part10: Part10, drawn: Pixels
) -> None:
    part10 = make_part10(drawn)
    first, again = the_mask(runner.analyse(part10)), the_mask(runner.analyse(part10))
    before = runner.pid
    runner.close()
    restarted = the_mask(runner.analyse(part10))
    assert runner.pid != before
    assert np.array_equal(first.mask, again.mask)
    assert np.array_equal(first.mask, restarted.mask)


def test_it_says_how_it_is_confined(runner: Runner) -> None:
    confinement = runner.start()
    assert confinement.landlock_abi == abi()
    assert confinement.complete == (abi() > 0)
    assert runner.confinement == confinement


def test_it_sees_nothing_of_our_environment_and_no_other_descriptor(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DERM_PACS_DATABASE_PASSWORD", "secret")
    runner.close()
    with (tmp_path / "open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        runner.start()
        environment = Path(f"/proc/{runner.pid}/environ").read_bytes()
        assert b"secret" not in environment
        assert b"OMP_NUM_THREADS=1" in environment
        files = {link.readlink() for link in Path(f"/proc/{runner.pid}/fd").iterdir()}
        assert tmp_path / "open" not in files


def test_a_runner_killed_while_idle_is_replaced_without_anybody_noticing(
    runner: Runner, make_part10: Part10, drawn: Pixels
) -> None:
    runner.start()
    before = process_of(runner)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert the_mask(runner.analyse(make_part10(drawn))).mask.any()


def test_a_runner_killed_in_the_middle_costs_this_call_and_not_the_next(
    runner: Runner, make_part10: Part10, drawn: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = wire.receive

    def kill_and_receive(*arguments: Any, **named: Any) -> Any:
        os.kill(process_of(runner), signal.SIGKILL)
        return receive(*arguments, **named)

    runner.start()
    os.kill(process_of(runner), signal.SIGSTOP)  # so that it has certainly not answered when it dies
    with monkeypatch.context() as patch, pytest.raises(Defect, match="exit status -9") as failure:
        patch.setattr(wire, "receive", kill_and_receive)
        runner.analyse(make_part10(drawn))
    assert failure.value.reason.code == "runner_failed"
    assert the_mask(runner.analyse(make_part10(drawn))).mask.any()


def test_a_runner_that_hangs_is_killed_at_the_deadline(tiny_bundle: Bundle, make_part10: Part10, drawn: Pixels) -> None:
    folder, description = tiny_bundle
    with runner_for((folder, description), timeout_seconds=1) as hanging:
        hanging.start()
        process = process_of(hanging)
        os.kill(process, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(Defect, match="no answer within 1 s"):
            hanging.analyse(make_part10(drawn))
        assert time.monotonic() - began < 10
        assert not Path(f"/proc/{process}").exists()
        assert the_mask(hanging.analyse(make_part10(drawn))).mask.any()


def test_the_runner_ends_when_its_client_is_killed(tiny_bundle: Bundle) -> None:
    folder, _ = tiny_bundle
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom derm_pacs.domain.bundle import ServingDescription\n"
        "from derm_pacs.inference.client import Runner\n"
        "folder = Path(sys.argv[1])\n"
        "description = ServingDescription.model_validate_json((folder / 'configs/serving.json').read_text())\n"
        "runner = Runner(folder, description, timeout_seconds=60, max_pixels=10**6, max_frames=1, threads=1)\n"
        "runner.start()\nprint(runner.pid, flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, folder], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        runner = os.pidfd_open(int(worker.stdout.readline()))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    try:
        ended, _, _ = select.select([runner], [], [], 20)
        assert ended
    finally:
        os.close(runner)


def test_what_cannot_be_analysed_is_a_refusal_not_an_error(runner: Runner, make_part10: Part10, drawn: Pixels) -> None:
    for part10, reason in [
        (b"no dicom", "undecodable"),
        (make_part10(drawn, Rows=65535, Columns=65535), "image_too_large"),
        (make_part10(np.stack([drawn] * 5)), "too_many_frames"),
        (make_part10(drawn, BurnedInAnnotation="YES"), "burned_in"),
        (make_part10(drawn // 20), "poor_quality_dark"),
    ]:
        (frame,) = runner.analyse(part10)
        (outcome,) = frame.outcomes
        assert isinstance(outcome, Refusal)
        assert outcome.reason == reason


def test_masks_of_several_frames_do_not_get_mixed(runner: Runner, make_part10: Part10, drawn: Pixels) -> None:
    mirrored = drawn[:, ::-1].copy()
    single = [the_mask(runner.analyse(make_part10(picture))).mask for picture in (drawn, mirrored)]
    found = runner.analyse(make_part10(np.stack([drawn, mirrored, drawn // 20, mirrored])))
    assert isinstance(found[2].outcomes[0], Refusal)
    assert not np.array_equal(single[0], single[1])
    assert np.array_equal(the_mask(found[:1]).mask, single[0])
    assert np.array_equal(the_mask(found[1:2]).mask, single[1])
    assert np.array_equal(the_mask(found[3:]).mask, single[1])


def test_golden_figures_are_measured_beside_what_is_promised(runner: Runner) -> None:
    (result,) = runner.golden()
    assert isinstance(result, GoldenResult)
    assert (result.file, result.name) == ("golden/0.png", "lesion_area_fraction")
    assert result.measured is not None
    assert 0 < result.measured < 1
    assert result.agrees == (abs(result.measured - result.expected) <= result.tolerance)


def test_a_promised_refusal_is_one_for_the_promised_reason(tiny_bundle: Bundle) -> None:
    folder, described = tiny_bundle
    fields = described.model_dump(by_alias=True)
    promises = [GoldenInput(file="golden/0.png", refused=reason) for reason in ("poor_quality_contrast", "no_skin")]
    fields["quality"]["min_contrast"] = 200
    fields["golden"] += [one.model_dump() for one in promises]
    with runner_for((folder, ServingDescription.model_validate(fields))) as strict:
        unexpected, kept, other = strict.golden()
    assert isinstance(unexpected, GoldenResult)
    assert not unexpected.agrees
    assert "lesion_area_fraction is poor_quality_contrast: contrast" in str(unexpected)
    assert isinstance(kept, GoldenRefusal)
    assert kept.agrees
    assert not other.agrees
    assert str(other).startswith("golden/0.png is refused as poor_quality_contrast (contrast ")


def test_a_golden_picture_that_is_let_through_keeps_no_promise_of_a_refusal(tiny_bundle: Bundle) -> None:
    folder, described = tiny_bundle
    promised = GoldenInput(file="golden/0.png", refused="out_of_distribution")
    with runner_for((folder, described.model_copy(update={"golden": [*described.golden, promised]}))) as lenient:
        _, refusal = lenient.golden()
    assert not refusal.agrees
    assert str(refusal) == "golden/0.png is let through, promised is its refusal as out_of_distribution"


def test_weights_that_are_not_those_described_are_named(tiny_bundle: Bundle) -> None:
    folder, description = tiny_bundle
    other = description.model_copy(update={"weights": description.weights.model_copy(update={"sha256": "0" * 64})})
    with runner_for((folder, other), timeout_seconds=30) as wrong, pytest.raises(Defect, match="SHA-256"):
        wrong.start()


def test_the_caller_is_asked_before_each_start(tiny_bundle: Bundle) -> None:
    def refuse() -> None:
        raise KeyError("tampered")

    with (
        runner_for(tiny_bundle, timeout_seconds=30, before_start=refuse) as never,
        pytest.raises(KeyError, match="tampered"),
    ):
        never.start()
    assert never.pid is None


def test_a_program_that_cannot_be_started_is_told(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PROGRAM", ("/nonexistent/python",))
    with runner_for(tiny_bundle) as never, pytest.raises(Defect, match=r"does not start: .*/nonexistent/python"):
        never.start()


MASK = {"kind": "segmentation", "rows": 60, "columns": 80}
REFUSED = {"kind": "refusal", "reason": "burned_in", "detail": ""}


LIES: dict[str, object] = {
    "garbage": b"\x80\x04\x95 not json",
    "a number": 7,
    "another question's answer": answer(MASK, number=2),
    "a mask of another size": answer(MASK | {"rows": 61}),
    "a huge mask": answer(MASK | {"rows": 10**9, "columns": 10**9}),
    "two outcomes for one output": answer(MASK, MASK),
    "a probability where a mask is due": answer({"kind": "classification", "probabilities": [0.5, 0.5]}),
    "no frame": {"kind": "image", "id": 1, "frames": []},
    "frame 2 of 1": answer(MASK, frame=2),
    "two frames of one": {"kind": "image", "id": 1, "frames": [answer(MASK)["frames"][0]] * 2},
    "a reason that is not its to give": answer(REFUSED | {"reason": "two_patients"}),
    "an unknown reason": answer(REFUSED | {"reason": "because"}),
    "control characters": answer(REFUSED | {"detail": "\x1b[2J"}),
    "a refusal and a mask": answer(REFUSED, MASK),
    "an unknown field": answer(MASK, extra=1),
    "golden figures instead": {"kind": "golden", "id": 1, "inputs": []},
    "a length beyond all bounds": f"hear(); say({HELLO!r}); hear(); channel.sendall(b'\\xff' * 8); channel.recv(1)\n",
    "half a message": f"hear(); say({HELLO!r}); hear(); channel.sendall(b'\\0\\0\\1\\0abc')\n",
    "a descriptor": (
        f"hear(); say({HELLO!r}); hear(); socket.send_fds(channel, [b'\\0\\0\\0\\1x'], [0, 1, 2]); channel.recv(1)\n"
    ),
    "nothing": f"hear(); say({HELLO!r}); hear()\n",
    "no hello": "hear()\n",
    "a wrong hello": "hear(); say({'kind': 'hello'}); channel.recv(1)\n",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_runner_that_lies_is_not_believed(
    tiny_bundle: Bundle, make_part10: Part10, drawn: Pixels, monkeypatch: pytest.MonkeyPatch,
    lie: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(client, "PROGRAM", standing_in(LIES[lie]))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with runner_for(tiny_bundle, timeout_seconds=20) as lying:
        with pytest.raises(Defect) as failure:
            lying.analyse(make_part10(drawn))
        assert lying.pid is None
    assert failure.value.reason.code == "runner_failed"
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_stand_in_that_tells_the_truth_is_believed(
    tiny_bundle: Bundle, make_part10: Part10, drawn: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the lies above fail for what they say, not for who says it."""
    monkeypatch.setattr(client, "PROGRAM", standing_in(answer(MASK)))
    with runner_for(tiny_bundle, timeout_seconds=20) as honest:
        assert not the_mask(honest.analyse(make_part10(drawn))).mask.any()


def test_probabilities_that_do_not_sum_to_one_are_not_believed(
    tiny_bundle: Bundle, make_part10: Part10, drawn: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, description = tiny_bundle
    fields = description.model_dump(by_alias=True) | {
        "outputs": [{"kind": "classification", "id": "diagnosis", "activation": "softmax",
                     "classes": [{"id": "one", "concept": "one"}, {"id": "two", "concept": "two"}], "lesion_rule": "maximum"}]
    }  # fmt: skip
    classified = ServingDescription.model_validate(fields)
    for shares, believed in (([0.25, 0.75], True), ([0.5, 0.6], False), ([1.5, -0.5], False), ([1.0], False)):
        said = json.dumps(answer({"kind": "classification", "probabilities": shares}))
        monkeypatch.setattr(client, "PROGRAM", standing_in(json.loads(said)))
        with runner_for((folder, classified), timeout_seconds=20) as one:
            if believed:
                assert len(one.analyse(make_part10(drawn))) == 1
            else:
                with pytest.raises(Defect):
                    one.analyse(make_part10(drawn))


def test_a_worker_that_asks_loads_no_torch_and_no_database() -> None:
    script = "import sys\nimport derm_pacs.inference.client\nprint(*(name for name in sys.modules if '.' not in name))"
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert not {"torch", "monai", "sqlalchemy", "psycopg"} & set(ran.stdout.split())
