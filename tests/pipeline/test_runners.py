"""The warm runners of a worker: one process a bundle, whose files are held against their hash before it starts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from derm_pacs.bundles import manifest
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import Combine, LesionRule, Segmentation
from derm_pacs.pipeline.runners import Runners
from derm_pacs.settings.model import AnalysisSettings
from tests.inference.conftest import DENSENET, describe, part10, skin

pytestmark = pytest.mark.server


@pytest.fixture
def runners() -> Iterator[Runners]:
    one = Runners(AnalysisSettings())
    yield one
    one.close()


def sealed(folder: Path) -> str:
    """Write the manifest as installing does; return the content hash."""
    listed = manifest.written(manifest.entry(path, (folder / path).read_bytes()) for path in manifest.files(folder))
    (folder / manifest.MANIFEST).write_bytes(listed)
    return manifest.content_hash(listed)


def test_a_bundle_analyses_shows_and_tells_its_rules(runners: Runners, tmp_path: Path) -> None:
    describe(tmp_path)
    content_hash = sealed(tmp_path)
    image = skin(60, 80)
    ((frame, (found,)),) = runners.analyse(tmp_path, content_hash, part10(image))
    assert frame == 1
    assert isinstance(found, Segmentation)
    assert np.array_equal(runners.previews(tmp_path, content_hash, part10(image))[1], image)
    assert runners.previews(tmp_path, content_hash, b"no image") == {}
    assert runners.lesion_rules(tmp_path, content_hash) == (), "a mask needs no rule"


def test_the_rule_is_the_one_of_the_described_output(runners: Runners, tmp_path: Path) -> None:
    classes = [{"id": "nevus", "concept": "melanocytic_nevus"}, {"id": "melanoma", "concept": "melanoma"}]
    output = {"kind": "classification", "id": "diagnosis", "activation": "softmax", "classes": classes, "lesion_rule": "maximum"}
    describe(tmp_path, network=DENSENET, outputs=[output])
    assert runners.lesion_rules(tmp_path, sealed(tmp_path)) == (LesionRule(output="diagnosis", combine=Combine.MAXIMUM),)


@pytest.mark.parametrize("question", ["analyse", "previews", "lesion_rules"])
def test_a_bundle_that_was_changed_is_asked_nothing(runners: Runners, tmp_path: Path, question: str) -> None:
    describe(tmp_path)
    content_hash = sealed(tmp_path)
    (tmp_path / "LICENSE").write_text("Other words.\n")
    asked = getattr(runners, question)
    given = () if question == "lesion_rules" else (part10(skin(60, 80)),)
    with pytest.raises(Defect, match="LICENSE was changed") as failure:
        asked(tmp_path, content_hash, *given)
    assert failure.value.reason.code == "bundle_changed"
