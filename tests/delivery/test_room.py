"""What the room does not know."""

import subprocess
import sys

IMPORTS = "import sys, derm_pacs.delivery.store, derm_pacs.delivery.commitment, derm_pacs.delivery.echo; print(*sys.modules)"


def test_delivery_knows_neither_database_nor_torch_nor_how_results_are_made() -> None:
    loaded = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "psycopg", "procrastinate", "torch", "monai", "highdicom"} & set(loaded)
