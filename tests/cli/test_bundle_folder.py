"""The bundle that a command names is found by its folder or by its name, from wherever the command is run."""

import os
from pathlib import Path

import pytest

from derm_pacs.cli.bundle_folder import bundle_folder
from derm_pacs.cli.exit_codes import CommandError, ExitCode
from tests.conftest import REPOSITORY

SHIPPED = REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet"


def test_a_shipped_bundle_is_found_by_its_name_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("configs/serving.json", "configs/train.json", "configs/evaluate.json"):
        assert bundle_folder("melanoma_nevus_alexnet", holding=file) == SHIPPED
    assert bundle_folder(os.path.relpath(SHIPPED)) == bundle_folder(str(SHIPPED)) == SHIPPED


def test_ones_own_bundle_goes_before_a_shipped_one_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "monai_bundles" / "melanoma_nevus_alexnet"
    (own / "configs").mkdir(parents=True)
    (own / "configs" / "train.json").touch()
    monkeypatch.chdir(tmp_path)
    assert bundle_folder("melanoma_nevus_alexnet", holding="configs/train.json") == own
    assert bundle_folder("melanoma_nevus_alexnet") == SHIPPED, "one's own has no serving.json yet"


def test_what_is_no_bundle_is_told_with_those_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "monai_bundles" / "ours" / "configs"
    own.mkdir(parents=True)
    (own / "train.json").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=r"there is no bundle 'alexnut'; name a folder with configs/train\.json, or one of these: .*ours") as told:
        bundle_folder("alexnut", holding="configs/train.json")
    assert told.value.code == ExitCode.NOT_FOUND
    assert "melanoma_nevus_alexnet" in told.value.remedy
    with pytest.raises(CommandError) as told:
        bundle_folder("ours")
    assert "ours" not in told.value.remedy
