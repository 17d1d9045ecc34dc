"""What a route asks of the bundles in force that they must not do, or cannot."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from derm_pacs.bundles.routes import InForce, faults
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import BundleIdentity, Grade
from derm_pacs.domain.routing import Route


@pytest.fixture
def in_force(tmp_path: Path, make_bundle: Callable[..., Path]) -> InForce:
    """A classifier of grade demonstration, a bundle that draws skin and lesion and finds crops, and one that only draws."""
    masks = [
        {"kind": "segmentation", "id": name, "activation": "sigmoid", "threshold": 0.5, "concept": concept, "min_area_fraction": 0.0}
        for name, concept in (("lesion", "skin_lesion"), ("skin", "skin"))
    ]
    drawn = {"outputs": masks, "operating_points": [], "explanation": None}
    folders = {
        "reader": make_bundle(tmp_path / "reader", name="reader", grade="demonstration"),
        "finder": make_bundle(tmp_path / "finder", name="finder", crops={"lesion": "lesion", "skin": "skin"}, **drawn),
        "drawer": make_bundle(tmp_path / "drawer", name="drawer", **drawn),
    }
    return {name: (identity(name, folder), folder) for name, folder in folders.items()}


def route(*names: str, clinical: bool = False, **reads: str) -> Route:
    return Route(
        name="r", sop_classes=frozenset(), modalities=frozenset(), bundles=names, destinations=("pacs",),
        reads_crops_of=reads, clinical=clinical,
    )


def identity(name: str, folder: Path) -> BundleIdentity:
    grade = json.loads((folder / "configs/serving.json").read_text())["grade"]
    return BundleIdentity(name=name, version="1.0.0", content_hash="0" * 64, title=name, grade=Grade(grade))


def told(one: Route, in_force: InForce) -> list[tuple[str, str]]:
    return [(reason.code, names) for reason, names in faults(one, in_force)]


def test_a_classifier_may_read_the_crops_that_a_segmenter_finds(in_force: InForce) -> None:
    assert told(route("finder", "reader", reader="finder"), in_force) == []


def test_a_demonstration_must_not_read_a_clinical_route(in_force: InForce) -> None:
    chain = route("finder", "reader", reader="finder")
    assert told(replace(chain, clinical=True), in_force) == [("demonstration_bundle", "route r, bundle reader 1.0.0")]


def test_a_bundle_that_finds_no_crops_has_none_to_be_read(in_force: InForce) -> None:
    assert told(route("drawer", "reader", reader="drawer"), in_force) == [("chain_impossible", "route r: drawer 1.0.0 finds no crops")]


def test_a_bundle_that_draws_masks_reads_no_crops(in_force: InForce) -> None:
    said = "route r: drawer 1.0.0 draws masks, so it reads whole images only"
    assert told(route("finder", "drawer", drawer="finder"), in_force) == [("chain_impossible", said)]


def test_what_is_not_in_force_is_told_elsewhere(in_force: InForce) -> None:
    assert told(route("drawer", "reader", clinical=True, reader="drawer"), {}) == []


def test_a_description_that_is_gone_is_a_changed_bundle(in_force: InForce) -> None:
    (in_force["finder"][1] / "configs/serving.json").unlink()
    with pytest.raises(Defect, match=r"serving\.json") as damaged:
        told(route("finder", "reader", reader="finder"), in_force)
    assert damaged.value.reason.code == "bundle_changed"
