"""Each command of the page on measuring does what the page says, on a copy of a shipped bundle."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from derm_networks.served import open_bundle
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from tests.conftest import REPOSITORY
from tests.derm_training.measuring.documented import documented

pytestmark = pytest.mark.server  # a dozen drawn pictures through the network, six times
BUNDLE = "melanoma_nevus_alexnet"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the bundle, a table of drawn pictures under both names that the page uses, calls of two readers, and a checkpoint."""
    shutil.copytree(REPOSITORY / "monai_bundles" / BUNDLE, tmp_path / "monai_bundles" / BUNDLE)
    random = np.random.default_rng(4)
    lines = ["path,label,split,source,dataset,lesion_id"]
    (tmp_path / "images").mkdir()
    for number in range(24):
        dark = number % 2 == 1
        picture = random.normal(90 if dark else 160, 40, (120, 150, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
        name = tmp_path / "images" / f"{number}.png"
        lines.append(f"{name},{'melanoma' if dark else 'nevus'},{'val' if number >= 12 else 'train'},s,drawings,L{number}")
    for table in ("images.csv", "images/MELNEV_BALANCED.csv"):
        (tmp_path / table).write_text("\n".join(lines) + "\n", encoding="utf-8")
    calls = [f"{number},{reader},{'melanoma' if number % 3 else 'nevus'}" for number in range(12, 24) for reader in ("anna", "bert")]
    (tmp_path / "calls.csv").write_text("\n".join(["image,reader,call", *calls]) + "\n", encoding="utf-8")
    trained = tmp_path / "training" / BUNDLE  # where `bundles train` leaves it
    trained.mkdir(parents=True)
    torch.save(open_bundle(tmp_path / "monai_bundles" / BUNDLE).network.state_dict(), trained / "best.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_documented_commands_run_in_their_order(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [words for command in ("evaluate", "readers", "export") for words in documented(command, "evaluating")]
    assert len(commands) >= 9
    for words in commands:
        assert run(words) == ExitCode.OK, (words, capsys.readouterr().err)
    assert (place / "report" / "report.html").is_file()
    assert (place / "readers" / "simulated_readers.csv").is_file()
    written = (place / "monai_bundles" / BUNDLE / "docs" / "report" / "report.html").read_text(encoding="utf-8")
    assert "not for primary diagnosis" in written
