"""The tools of `make check` bite: each deliberate violation is refused by name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and of the tools' settings, to be violated."""
    return copied(tmp_path)


def copied(folder: Path) -> Path:
    shutil.copytree(REPOSITORY / "derm_pacs", folder / "derm_pacs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    return folder


def tool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(
        [str(TOOLS / arguments[0]), *arguments[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )


def test_the_layers_hold_as_they_stand(copy: Path) -> None:
    done = tool(copy, "lint-imports", "--no-cache")
    assert done.returncode == 0, done.stdout


STRAYS = {
    "utils.py": "",
    "domain/stray.py": "import pydicom",
    "receive/stray.py": "import derm_pacs.ledger.tables",
    "results/stray.py": "import derm_pacs.delivery.store",
    "ledger/stray.py": "import derm_pacs.pipeline.walk",
    "ledger/stray_queue.py": "import procrastinate",
    "delivery/stray.py": "import torch",
}


@pytest.fixture(scope="module")
def violated(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What is said of a copy with all strays in it."""
    folder = copied(tmp_path_factory.mktemp("house"))
    for module, line in STRAYS.items():
        (folder / "derm_pacs" / module).write_text(f'"""Stray."""\n{line}\n')
    return tool(folder, "lint-imports", "--no-cache")


@pytest.mark.parametrize(("module", "line"), STRAYS.items())
def test_a_forbidden_dependency_is_refused_by_name(violated: subprocess.CompletedProcess[str], module: str, line: str) -> None:
    assert violated.returncode != 0
    name = f"derm_pacs.{module.removesuffix('.py').replace('/', '.')}"
    assert (f"{name} -> {line.removeprefix('import ')} (l.2)" if line else f"- {name}\n") in violated.stdout


def test_a_wrong_type_is_refused(copy: Path) -> None:
    (copy / "stray.py").write_text('def number() -> int:\n    return "one"\n')
    done = tool(copy, "mypy", "--config-file", "pyproject.toml", "--cache-dir", "/dev/null", "stray.py")
    assert done.returncode != 0
    assert "Incompatible return value" in done.stdout


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("import subprocess\nsubprocess.run('ls', shell=True)\n", "S602"),
        ("import pickle\npickle.loads(b'')\n", "S301"),
        ("eval('1')\n", "S307"),
        ("try:\n    pass\nexcept Exception:\n    pass\n", "BLE001"),
        ("from datetime import datetime\ndatetime.now()\n", "DTZ005"),
    ],
)
def test_what_the_house_bans_is_refused_by_ruff(copy: Path, text: str, rule: str) -> None:
    (copy / "derm_pacs" / "stray.py").write_text(text)
    done = tool(copy, "ruff", "check", "--no-cache", "derm_pacs/stray.py")
    assert done.returncode != 0
    assert rule in done.stdout


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("derm_pacs.receive.listener", ("sqlalchemy", "psycopg", "torch", "monai", "highdicom")),
        ("derm_pacs.inference.client", ("sqlalchemy", "psycopg", "torch")),
        ("derm_pacs.results.compose", ("sqlalchemy", "psycopg", "torch")),
        ("derm_pacs.delivery.store", ("sqlalchemy", "psycopg", "torch", "highdicom")),
    ],
)
def test_a_room_loads_only_what_it_may_know(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
