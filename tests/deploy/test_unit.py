"""The systemd unit: understood by systemd without a word, matching `derm-pacs serve`, letting the runner confine itself."""

import configparser
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from derm_pacs.cli.main import COMMANDS, Listed, command
from derm_pacs.settings.read import read

REPOSITORY = Path(__file__).resolve().parents[2]
UNIT = REPOSITORY / "deploy" / "derm-pacs.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian package systemd)"
)


def service(text: str = UNIT.read_text()) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return dict(parser["Service"])


def verify(text: str, folder: Path) -> str:
    """Everything that systemd says of a unit; it says it with exit status 0 too."""
    file = folder / "derm-pacs.service"
    file.write_text(text.replace("/opt/derm-pacs/.venv/bin/derm-pacs", sys.executable))
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )
    return told.stdout + told.stderr + (f"exit status {told.returncode}" if told.returncode else "")


@needs_systemd
def test_systemd_has_no_word_to_say(tmp_path: Path) -> None:
    assert verify(UNIT.read_text(), tmp_path) == ""


@needs_systemd
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("Restart=on-failure", "Restart=sometimes"), ("ProtectHome=yes", "ProtectHomes=yes"), ("@system-service", "@systems")],
)
def test_systemd_would_say_a_word_to_a_mistake(right: str, wrong: str, tmp_path: Path) -> None:
    assert verify(UNIT.read_text().replace(right, wrong), tmp_path) != ""


def test_it_starts_serve_with_options_that_serve_has() -> None:
    program, name, *options = shlex.split(service()["ExecStart"])
    assert (Path(program).name, name) == ("derm-pacs", "serve")
    listed = next(one for one in COMMANDS if isinstance(one, Listed) and one.name == name)
    context = typer.Context(command(listed))
    known = {flag for parameter in command(listed).get_params(context) for flag in parameter.opts}
    assert {one for one in options if one.startswith("--")} <= known


def test_its_folders_and_user_are_those_of_the_example_settings() -> None:
    settings = read(REPOSITORY / "deploy" / "derm-pacs.example.toml")
    told = service()
    assert str(settings.data_dir) == f"/var/lib/{told['StateDirectory']}" == told["WorkingDirectory"]
    assert told["User"] == settings.database.run_as
    assert settings.listener.port >= 1024 or "CAP_NET_BIND_SERVICE" in told["CapabilityBoundingSet"]


@needs_systemd
def test_the_calls_by_which_a_bundles_process_confines_itself_are_let_through() -> None:
    text = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    groups: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), set())
        elif line.strip() and not line.strip().startswith("#"):
            group.add(line.strip())
    allowed = {"@default", *service()["SystemCallFilter"].split()}
    while any(one in groups for one in allowed):
        allowed = set().union(*({one} if one not in groups else groups.pop(one) for one in allowed))
    needed = {"seccomp", "prctl", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "memfd_create"}
    needed |= {"execve", "clone3", "socketpair", "fdatasync", "flock", "shmget", "setsid", "kill"}
    assert needed - allowed == set()


@needs_systemd
def test_it_stays_hardened(tmp_path: Path) -> None:
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout[-400:]
