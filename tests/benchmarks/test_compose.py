"""The command line of the benchmark of composing; its figures are nobody's business here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "compose.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.server
def test_it_times_every_way_on_both_images_and_says_on_what() -> None:
    answer = run("--rounds", "2", "--photograph", "60x40", "--mosaic", "64x64", "--json")
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["rounds"] == 2
    assert told["machine"] and told["versions"]["highdicom"]
    assert [(case["columns"], case["rows"]) for case in told["cases"].values()] == [(60, 40), (64, 64)]
    for case in told["cases"].values():
        for way in ("compose", "compose+check", "highdicom"):
            assert case[way]["seconds"] > 0
            assert case[way]["processor_seconds"] > 0
            assert case[way]["peak_mib"] > case[way]["added_mib"] >= 0
            assert case[way]["bytes"] > 1000
        assert case["highdicom"]["ratio_to_highdicom"] == 1.0
        # What is composed in another process is byte for byte the same; highdicom's own defaults are not.
        assert case["compose"]["same_bytes_each_time"]
        assert not case["highdicom"]["same_bytes_each_time"]
        assert case["compose"]["bytes"] == case["compose+check"]["bytes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rounds", "0"], "--rounds must be at least 1"), (["--photograph", "large"], "invalid size value: 'large'"),
        (["--mosaic", "8x8"], "invalid size value: '8x8'"), (["--mosaic", "8000"], "invalid size value: '8000'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_argument_is_named(arguments: list[str], said: str) -> None:
    answer = run(*arguments)
    assert answer.returncode == 2
    assert said in answer.stderr
