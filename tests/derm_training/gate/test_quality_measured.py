"""The pictures that a gate should stop are what they are called, the same for the same seed, and are counted honestly."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from derm_pacs.domain.bundle import QualityLimits
from derm_pacs.inference.quality import gate, measure
from derm_training.gate import not_skin
from derm_training.gate.degraded import degrade
from derm_training.gate.gate_values import gate_values
from derm_training.gate.quality_measured import measure_gate
from derm_training.tables.manifest import read_table
from derm_training.tables.rows import Table
from tests.inference.conftest import skin

LIMITS = QualityLimits(
    min_laplacian_variance=8, max_dark_fraction=0.4, min_contrast=6, max_bright_fraction=0.25, min_skin_fraction=0.12
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    folder = tmp_path_factory.mktemp("table")
    lines = ["path,label,split,dataset"]
    for number in range(6):
        Image.fromarray(skin(90, 120, seed=number)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,nevus,{'train' if number < 2 else 'val'},{'a' if number % 2 else 'b'}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return read_table(folder / "table.csv")


def test_pictures_without_skin_are_of_all_kinds_and_the_same_for_the_same_seed() -> None:
    first, again, other = (list(not_skin.pictures(20, seed)) for seed in (3, 3, 4))
    kinds = [kind for kind, _ in first]
    assert {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} == {
        "photograph": 7, "other medicine": 3, "tinted texture": 3, "drawn texture": 2, "document": 2, "screen": 3,
    }  # fmt: skip
    assert all(picture.shape == (450, 600, 3) and picture.dtype == np.uint8 for _, picture in first)
    assert all(np.array_equal(one, same) for (_, one), (_, same) in zip(first, again, strict=True))
    assert not any(np.array_equal(one, another) for (_, one), (_, another) in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("place", "kind", "reason"),
    [
        (0, "blurred", "poor_quality_blur"), (1, "dark", "poor_quality_dark"), (2, "over-exposed", "poor_quality_bright"),
        (3, "flat", "poor_quality_contrast"),
    ],
)  # fmt: skip
def test_damage_is_what_it_is_called_and_the_gate_names_it(place: int, kind: str, reason: str) -> None:
    for seed in range(5):
        called, damaged = degrade(skin(200, 260, seed=seed), place, seed)
        assert called == kind
        refused = gate(measure(damaged), LIMITS)
        assert refused is not None
        assert refused.reason == reason


def test_noise_and_cuts_spoil_the_picture_and_leave_its_size() -> None:
    picture = skin(100, 130)
    for place, kind in ((4, "noisy"), (5, "cut off")):
        called, damaged = degrade(picture, place, 1)
        assert called == kind
        assert damaged.shape == picture.shape
        assert np.abs(damaged.astype(int) - picture).mean() > 30


def test_what_is_let_through_is_counted_by_kind_with_the_reasons_of_the_rest(table: Table) -> None:
    def small_or_red(picture: not_skin.Picture) -> str:
        return "wrong" if picture.shape[0] == not_skin.ROWS else ""

    told: list[str] = []
    found = measure_gate(small_or_red, table, count=40, seed=1, told=told.append)
    everything, *kinds = found.not_skin
    assert (everything.n, everything.passed, everything.reasons) == (40, 0, {"wrong": 40})
    assert sum(one.n for one in kinds) == 40
    assert everything.low == 0
    assert 0 < everything.high < 0.12
    assert [(one.kind, one.n, one.passed) for one in found.good] == [("validation pictures", 4, 4), ("a", 2, 2), ("b", 2, 2)]
    assert (found.degraded[0].n, found.degraded[0].share) == (40, 1.0)
    assert len(found.degraded) == 7
    assert len(told) == 3
    assert (found.table, found.synthetic, found.count, found.seed) == ("table.csv", False, 40, 1)


def test_the_values_name_the_weights_and_limits_by_which_the_counts_hold(table: Table) -> None:
    found = measure_gate(lambda picture: "wrong" if picture.shape[0] == not_skin.ROWS else "", table, count=20)
    limits = {"min_laplacian_variance": 8.0, "novelty": {"kind": "energy", "maximum": 1.5}}
    description = {
        "name": "spots", "version": "1.2.0", "weights": {"sha256": "ab"}, "quality": limits, "input": {"colour": "RGB", "min_short_side": 100},
    }  # fmt: skip
    values = gate_values(description, found)
    assert json.loads(json.dumps(values)) == values
    assert (values["bundle"], values["version"], values["weights_sha256"], values["quality"]) == ("spots", "1.2.0", "ab", limits)
    assert (values["colour"], values["min_short_side"], values["table"], values["count"], values["seed"]) == ("RGB", 100, "table.csv", 20, 0)
    first = values["not_skin"][0]
    assert (first["kind"], first["n"], first["let_through"], first["share"], first["refused_because"]) == ("without skin", 20, 0, 0.0, {"wrong": 20})
    assert first["low"] == 0
    assert 0 < first["high"] < 0.2
    assert [one["kind"] for one in values["good"]] == ["validation pictures", "a", "b"]


def test_drawn_pictures_are_told_from_photographs_and_share_no_count_with_them(table: Table) -> None:
    drawn = tuple(replace(row, dataset="synthetic spots") for row in table.rows)
    assert measure_gate(lambda _: "", replace(table, rows=drawn), count=20).synthetic
    with pytest.raises(ValueError, match=r"3 photographs and 1 pictures drawn by a program in its split val, which share no figure; measure each"):
        measure_gate(lambda _: "", replace(table, rows=(*table.rows[:5], drawn[5])), count=20)


def test_a_table_without_validation_pictures_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="no rows of split val"):
        measure_gate(lambda _: "", Table(path=table.path, rows=table.rows[:2]))


def test_pictures_come_from_packages_that_are_named_where_they_are_missing() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        not_skin._read("no_such_package", "x.png")
