"""What the room does not know."""

import subprocess
import sys
from pathlib import Path

from derm_pacs import delivery

ROOM = Path(delivery.__path__[0])
IMPORTS = "; ".join(["import sys", *(f"import derm_pacs.delivery.{one.stem}" for one in ROOM.glob("[a-z]*.py")), "print(*sys.modules)"])


def test_delivery_knows_neither_database_nor_torch_nor_how_results_are_made() -> None:
    loaded = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout.split()
    assert "derm_pacs.delivery.stow" in loaded
    assert not {"sqlalchemy", "psycopg", "procrastinate", "torch", "monai", "highdicom"} & set(loaded)
