"""The reference page says what the program does."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_holds_the_tables_of_the_program() -> None:
    command = [sys.executable, "-m", "cogapp", "--check", "docs/reference/listener.md"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr
