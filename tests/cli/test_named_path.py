"""A path of a command line that is not there ends the command before its work, as the reference of exit statuses says."""

from pathlib import Path

import pytest

from derm_pacs.cli import main
from derm_pacs.cli.exit_codes import ExitCode

pytest.importorskip("ignite", reason="needs the extra 'train'")

ALEXNET, MASKS = "melanoma_nevus_alexnet", "skin_lesion_deeplabv3plus"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", ALEXNET, "--data", "absent.csv"], "--data"),
        (["compare", ALEXNET, "--data", "absent.csv", "--networks", "resnet18"], "--data"),
        (["evaluate", ALEXNET, "--data", "absent.csv"], "--data"),
        (["embed", ALEXNET, "--data", "absent.csv"], "--data"),
        (["novelty", ALEXNET, "--data", "absent.csv"], "--data"),
        (["quality", ALEXNET, "--data", "absent.csv"], "--data"),
        (["crops-experiment", "--segmenter", MASKS, "--classifier", ALEXNET, "--data", "absent.csv"], "--data"),
        (["export", ALEXNET, "--checkpoint", "absent.csv", "--out", "copy"], "--checkpoint"),
        (["readers", "absent.csv", "--label", "truth", "--score", "network"], "TABLE"),
    ],
)
def test_a_path_that_is_not_there_is_not_found_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(["bundles", *arguments]) == ExitCode.NOT_FOUND
    assert f"{named}: absent.csv does not exist; name " in capsys.readouterr().err
