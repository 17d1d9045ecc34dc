"""What the room does not know."""

import subprocess
import sys

IMPORTS = "import sys, derm_pacs.results.compose, derm_pacs.results.check; print(*sys.modules)"


def test_results_know_neither_database_nor_torch_nor_network() -> None:
    loaded = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "psycopg", "procrastinate", "torch", "monai", "pynetdicom"} & set(loaded)
