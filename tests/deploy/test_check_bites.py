"""Each static tool of `make check` is shown to bite: the same call that passes refuses one deliberate violation."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def tool(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / name
    if not program.exists():
        pytest.skip(f"{name} is not installed (make install)")
    return subprocess.run([str(program), *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package and its configuration, for violations."""
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "derm_pacs", tmp_path / "derm_pacs", ignore=leave)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "rule"),
    [("import os\n", "F401"), ("print(eval('1'))\n", "S307"), ("def f():\n    try:\n        pass\n    except Exception:\n        pass\n", "BLE001")],
)
def test_ruff_bites(text: str, rule: str, house: Path) -> None:
    (house / "derm_pacs" / "domain" / "stray.py").write_text(f'"""A stray file."""\n\n{text}')
    told = tool("ruff", "check", "derm_pacs/domain", cwd=house)
    assert told.returncode == 1
    assert rule in told.stdout


def test_mypy_bites(house: Path) -> None:
    stray = house / "derm_pacs" / "domain" / "stray.py"
    stray.write_text('"""A stray file."""\n\n\ndef double(value):\n    return value * 2\n\n\nNUMBER: int = "1"\n')
    told = tool("mypy", str(stray), cwd=house)
    assert told.returncode == 1
    assert "no-untyped-def" in told.stdout
    assert "assignment" in told.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("domain/stray.py", "import sqlalchemy", "the domain knows no library"),
        ("results/stray.py", "import psycopg", "know no database"),
        ("receive/stray.py", "import torch", "only inference knows torch"),
        ("spool/stray.py", "import derm_pacs.pipeline", "the layers of the house"),
        ("utils.py", "", "the layers of the house"),
    ],
)
def test_the_layers_bite(module: str, line: str, contract: str, house: Path) -> None:
    (house / "derm_pacs" / module).write_text(f'"""A stray file."""\n\n{line}\n')
    told = tool("lint-imports", "--no-cache", cwd=house)
    assert told.returncode == 1
    assert re.search(rf"^.*{contract}.* BROKEN$", told.stdout, re.MULTILINE), told.stdout


def test_cog_bites(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- [[[cog\nimport cog\ncog.outl('new')\n]]] -->\nold\n<!-- [[[end]]] -->\n")
    assert tool("cog", "--check", str(page), cwd=tmp_path).returncode != 0
    page.write_text(page.read_text().replace("old", "new"))
    assert tool("cog", "--check", str(page), cwd=tmp_path).returncode == 0
