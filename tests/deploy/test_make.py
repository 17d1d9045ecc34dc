"""The Makefile and its scripts: help tells all, nothing is downloaded without a word, nothing waits for a person."""

import os
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
SCRIPTS = [*sorted((REPOSITORY / "deploy").glob("*.sh")), REPOSITORY / ".ci" / "run"]


def test_help_lists_every_target_with_its_sentence() -> None:
    shown = subprocess.run(["make", "-s", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    for target in phony[1].split():
        assert re.search(rf"^  make {target} +\S", shown, re.MULTILINE), target


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_can_be_run_and_stops_at_its_first_error(script: Path) -> None:
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert re.search(r"^set -eu", text, re.MULTILINE)
    shell = text.splitlines()[0].split("/")[-1].split()[-1]
    subprocess.run([shell, "-n", str(script)], check=True)


def test_debian_packages_that_are_there_are_left_alone() -> None:
    script = REPOSITORY / "deploy" / "debian-packages.sh"
    told = subprocess.run([str(script), "dpkg", "coreutils"], capture_output=True, text=True, check=False)
    if told.returncode == 127 or "dpkg-query" in told.stderr:
        pytest.skip("this is no Debian")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root_a_missing_debian_package_is_named_with_the_remedy() -> None:
    script = (REPOSITORY / "deploy" / "debian-packages.sh").read_text()
    told = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-s", "no-such-package"],
        input=script, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 1
    assert "missing: no-such-package" in told.stderr
    assert "apt-get install" in told.stderr


def test_a_python_of_the_wrong_version_is_named_before_anything_is_made(tmp_path: Path) -> None:
    wrong = tmp_path / "python"
    wrong.write_text("#!/bin/sh\nexit 1\n")
    wrong.chmod(0o755)
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy" / "environment.sh"
    script.write_bytes((REPOSITORY / "deploy" / "environment.sh").read_bytes())
    told = subprocess.run(
        ["sh", str(script), "product"], env={**os.environ, "PYTHON": str(wrong)}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert "not Python 3.11 or 3.12" in told.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("status", "closing"), [(0, "== 5 passed, 1 skipped in 1.20s =="), (2, "== 1 failed, 4 passed in 3.00s (0:00:03) ==")]
)
def test_the_last_line_of_ci_is_pytests_own_and_its_status_is_that_of_the_tests(
    status: int, closing: str, tmp_path: Path
) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_bytes((REPOSITORY / ".ci" / "run").read_bytes())
    stub = tmp_path / "bin" / "make"
    stub.parent.mkdir()
    complaint = f"echo 'make: *** [Makefile:26: test] Error 1' >&2; exit {status}" if status else ""
    stub.write_text(f'#!/bin/sh\n[ "$1" = test ] || exit 0\ncat\necho "CI is $CI"\necho "{closing}"\n{complaint}\n')
    stub.chmod(0o755)
    told = subprocess.run(
        ["bash", str(tmp_path / ".ci" / "run")], env={"PATH": f"{stub.parent}:{os.environ['PATH']}"}, capture_output=True,
        text=True, check=False, timeout=30,
    )  # fmt: skip
    assert told.stdout.splitlines()[-1] == closing
    assert "CI is true" in told.stdout
    assert told.returncode == status
