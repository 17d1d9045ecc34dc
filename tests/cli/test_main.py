"""The command as a whole: its list, its helps, its exit statuses, and how fast it answers."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.cli.main import COMMANDS, Listed, Noun, exit_code, help_and_examples, run
from derm_pacs.cli.reference import every_command, reference_markdown
from derm_pacs.domain.errors import Busy, Defect, Rejected, Transient
from derm_pacs.domain.reasons import BUNDLE_UNKNOWN, DATABASE_AWAY
from derm_pacs.settings.read import SettingsError

ROOT = Path(__file__).parents[2]
NAMES = dict(every_command())


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_that_ends_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, examples = help_and_examples(NAMES[name])
    assert text.splitlines()[0] == NAMES[name].sentence, "the list and the command say the same"
    assert examples
    assert run([*name.split(), "--help"]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert "Examples" in shown
    begun = [line for line in shown.splitlines() if line.strip().startswith("derm-pacs ")]
    assert len(begun) == examples.count("derm-pacs "), "each example begins a line of its own"


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_a_command_that_exists(name: str) -> None:
    examples = [line.strip() for line in help_and_examples(NAMES[name])[1].splitlines()[2:] if line.strip()]
    for line in examples:
        program, *words = shlex.split(line)
        assert program == "derm-pacs"
        assert " ".join(words).startswith(name)


def test_no_command_stands_twice() -> None:
    names = [entry.name for entry in COMMANDS]
    assert len(set(names)) == len(names)
    for entry in COMMANDS:
        if isinstance(entry, Noun):
            inside = [one.name for one in entry.commands]
            assert len(set(inside)) == len(inside)


def test_the_help_tells_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == ExitCode.OK
    shown = " ".join(capsys.readouterr().out.split())
    for code in ExitCode:
        assert f"{code.value} {code.sentence[:40]}" in shown
    for entry in COMMANDS:
        assert entry.name in shown
    assert "not for primary diagnosis" in shown


def test_help_is_there_at_once_without_the_heavy_rooms() -> None:
    program = "import sys; from derm_pacs.cli.main import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr.split()
    heavy = {"torch", "monai", "sqlalchemy", "alembic", "procrastinate", "apscheduler", "pynetdicom", "highdicom", "skimage"}
    assert not heavy & set(loaded)


def test_the_listener_process_loads_no_database_through_the_command() -> None:
    program = "import sys; import derm_pacs.cli.main, derm_pacs.cli.serve; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "sqlalchemy", "psycopg"} & set(loaded)


def test_an_unknown_command_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cses"]) == ExitCode.USAGE
    assert "cases" in capsys.readouterr().err


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "derm_pacs", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError(ExitCode.NOT_FOUND, "there is no case", "look"), ExitCode.NOT_FOUND),
        (SettingsError(["x"]), ExitCode.SETTINGS),
        (Transient(DATABASE_AWAY), ExitCode.UNAVAILABLE),
        (Busy(DATABASE_AWAY), ExitCode.UNAVAILABLE),
        (Rejected(DATABASE_AWAY), ExitCode.REFUSED),
        (Rejected(BUNDLE_UNKNOWN), ExitCode.NOT_FOUND),
        (Defect(DATABASE_AWAY), ExitCode.FAILED),
    ],
)
def test_each_error_has_its_exit_status(error: Exception, code: ExitCode) -> None:
    assert exit_code(error) is code


def test_settings_that_cannot_be_read_end_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--config", str(tmp_path / "absent.toml")]) == ExitCode.SETTINGS
    said = capsys.readouterr()
    assert not said.out
    assert "name the file by --config" in said.err


def test_the_reference_page_is_in_step() -> None:
    page = ROOT / "docs/reference/cli.md"
    checked = subprocess.run([sys.executable, "-m", "cogapp", "--check", str(page)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert checked.returncode == 0, f"run: cog -r {page}\n{checked.stdout}{checked.stderr}"


def test_every_command_stands_in_the_reference() -> None:
    page = reference_markdown()
    for name, listed in NAMES.items():
        assert isinstance(listed, Listed)
        assert f"## `derm-pacs {name}`\n\n{listed.sentence}" in page
