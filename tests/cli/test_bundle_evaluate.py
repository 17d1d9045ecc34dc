"""`derm-pacs bundles evaluate --weights`: a file that gives no weights of the bundle's network is told as that, not as a table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from derm_networks.alexnet import AlexNet
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run

pytest.importorskip("ignite", reason="needs the extra 'train'")
pytestmark = pytest.mark.server  # evaluates networks


def _nothing(file: Path) -> None:
    pass


def _table(file: Path) -> None:
    file.write_text("path,label\n", encoding="utf-8")


def _of_another_network(file: Path) -> None:
    torch.save(AlexNet(num_classes=2, rank=4).state_dict(), file)


@pytest.mark.parametrize(
    ("write", "status", "told"),
    [
        (_nothing, ExitCode.NOT_FOUND, "--weights: best.pt does not exist; name the best.pt of a training or a .safetensors file"),
        (_table, ExitCode.FAILED, "best.pt holds no weights that can be read; name the best.pt of a training or a .safetensors file"),
        (_of_another_network, ExitCode.FAILED, "best.pt is no state of the network of evaluate.json: Error(s) in loading state_dict for AlexNet"),
    ],
)
def test_weights_that_do_not_fit_are_told_with_what_to_name(
    write: Callable[[Path], None], status: ExitCode, told: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for label in ("nevus", "melanoma"):
        Image.fromarray(picture).save(f"{label}.png")
    (tmp_path / "t.csv").write_text("path,label\nnevus.png,nevus\nmelanoma.png,melanoma\n", encoding="utf-8")
    write(tmp_path / "best.pt")
    words = ["bundles", "evaluate", "melanoma_nevus_alexnet", "--data", "t.csv", "--weights", "best.pt", "--device", "cpu"]
    assert run(words) == status
    said = capsys.readouterr().err
    assert told in said.replace(f"{tmp_path}/", "")
    assert "tables" not in said
    if write is _of_another_network:
        assert "set network_def (such as its rank) in evaluate.json to what the weights were trained with" in said
