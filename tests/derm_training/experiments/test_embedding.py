"""t-SNE of features: the same pictures give the same plane, clusters stay apart, mosaics by their windows, words beside the plot."""

import csv
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from derm_networks.served import ServedBundle
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_training.experiments.embedding import LIMITS, Embedding, Shown, as_values, embed, plot, pooled_features, write
from derm_training.measuring.statement import RESEARCH_USE
from tests.derm_training.measuring.documented import documented
from tests.inference.conftest import describe, skin

pytestmark = pytest.mark.server  # trains or evaluates networks

ALEXNET = {"name": "alexnet", "args": {"num_classes": 2, "rank": 2}}
CLASSES = [{"id": "nevus", "concept": "melanocytic_nevus"}, {"id": "melanoma", "concept": "melanoma"}]
CLASSIFIER = {
    "network": ALEXNET,
    "outputs": [{"kind": "classification", "id": "diagnosis", "activation": "softmax", "classes": CLASSES, "lesion_rule": "mean"}],
    "operating_points": [{"id": "default", "output": "diagnosis", "positive": "melanoma", "threshold": 0.5}],
    "preprocessing": [
        {"op": "resize", "height": 64, "width": 64, "mode": "bilinear", "antialias": True},
        {"op": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    ],
    "golden": [{"file": "golden/0.png", "expect": {"melanoma": 0.5}, "tolerance": 0.05}],
}


class Means(nn.Module):
    """Features: the mean of each channel."""

    def pooled_features(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def served(network: nn.Module, colour: str = "RGB", **inference: object) -> ServedBundle:
    description = {
        "name": "means", "network": {"name": "means"}, "input": {"colour": colour},
        "preprocessing": [{"op": "resize", "height": 8, "width": 8, "mode": "bilinear", "antialias": True}],
        "inference": inference or {"kind": "whole"},
    }
    return ServedBundle(description=description, network=network)


def clusters(count: int = 40) -> tuple[list[Shown], NDArray[np.float32]]:
    """Two clouds, far apart beside their width."""
    random = np.random.default_rng(0)
    labels = ["nevus" if i % 2 else "melanoma" for i in range(count)]
    features = random.normal(size=(count, 16)) + 12 * (np.array(labels) == "nevus")[:, None]
    return [Shown(name=f"{i:03d}.jpg", label=one) for i, one in enumerate(labels)], features.astype(np.float32)


def laid(shown: list[Shown], features: NDArray[np.float32]) -> Embedding:
    return embed(shown, features, title="Two clouds", coloured_by="label")


def test_the_same_pictures_give_the_same_plane_in_any_order() -> None:
    shown, features = clusters()
    first = laid(shown, features)
    order = np.random.default_rng(9).permutation(len(shown))
    again = laid([shown[i] for i in order], features[order])
    np.testing.assert_array_equal(first.places, again.places)
    assert first.shown == again.shown


def test_clouds_that_are_apart_in_the_features_are_apart_in_the_plane() -> None:
    found = laid(*clusters())
    nevus = np.array([one.label == "nevus" for one in found.shown])
    centres = found.places[nevus].mean(axis=0), found.places[~nevus].mean(axis=0)
    width = max(np.linalg.norm(found.places[side] - centre, axis=1).max() for side, centre in ((nevus, centres[0]), (~nevus, centres[1])))
    assert np.linalg.norm(centres[0] - centres[1]) > width
    (nearest,) = found.neighbours
    assert (nearest.drawn, nearest.n, nearest.same_label) == (False, 40, 1.0)
    assert nearest.by_chance == pytest.approx(2 * 20 * 19 / (40 * 39))


def mixed(count: int = 40) -> tuple[list[Shown], NDArray[np.float32]]:
    """Photographs of which the features know nothing, beside drawn pictures in two clouds."""
    shown, features = clusters(count)
    photographs = np.random.default_rng(1).permutation(features)
    drawn = [Shown(name=f"drawn-{one.name}", label=one.label, drawn=True) for one in shown]
    return [*shown, *drawn], np.concatenate([photographs, features])


def test_photographs_and_drawn_pictures_have_each_their_own_neighbours() -> None:
    shown, features = mixed()
    both = laid(shown, features)
    alone = [laid(shown[:40], features[:40]), laid(shown[40:], features[40:])]
    assert both.neighbours == (*alone[0].neighbours, *alone[1].neighbours)
    assert [(one.drawn, one.n) for one in both.neighbours] == [(False, 40), (True, 40)]
    said = both.sentences()
    assert said[0] == "40 pictures, coloured by label: melanoma 20, nevus 20."
    assert said[2] == "SYNTHETIC: 40 pictures, coloured by label: melanoma 20, nevus 20."
    assert said[3].startswith("SYNTHETIC: In the feature space ")
    assert both.title == "Photographs and SYNTHETIC pictures: Two clouds"
    assert alone[1].title == "SYNTHETIC: Two clouds"
    assert [one["synthetic"] for one in as_values(both)["kinds"]] == [False, True]


def test_the_legend_says_which_points_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    legends: list[str] = []
    monkeypatch.setattr(Axes, "legend", lambda axes, **_: legends.extend(axes.get_legend_handles_labels()[1]))
    plot(laid(*mixed()), tmp_path / "plane.png")
    assert legends == ["melanoma (20)", "nevus (20)", "SYNTHETIC: melanoma (20)", "SYNTHETIC: nevus (20)"]


def test_one_drawn_picture_among_photographs_has_no_neighbour(tmp_path: Path) -> None:
    shown, features = mixed(6)
    found = laid(shown[:7], features[:7])
    assert [(one.drawn, one.n) for one in found.neighbours] == [(False, 6), (True, 1)]
    assert found.sentences()[2:] == ("SYNTHETIC: 1 pictures, coloured by label: melanoma 1.",)
    assert as_values(found)["kinds"][1]["nearest_neighbour_same_label"] is None


def test_features_that_know_nothing_of_the_label_agree_by_chance() -> None:
    shown, features = clusters(200)
    found = laid(shown, np.random.default_rng(1).permutation(features))
    assert found.neighbours[0].same_label == pytest.approx(found.neighbours[0].by_chance, abs=0.12)


def test_few_pictures_and_features_that_are_all_alike_are_refused_in_words() -> None:
    shown, features = clusters(6)
    assert np.isfinite(laid(shown[:5], features[:5]).places).all()
    with pytest.raises(ValueError, match="the same for all pictures"):
        laid(shown, np.ones_like(features))
    with pytest.raises(ValueError, match="4 pictures are too few"):
        laid(shown[:4], features[:4])


def test_the_folder_holds_plot_table_figures_and_what_the_plot_does_not_show(tmp_path: Path) -> None:
    shown, features = clusters(12)
    write(laid([Shown(name=one.name, label=one.label, about=(("source", "s"),)) for one in shown], features), tmp_path / "out")
    with (tmp_path / "out/embedding.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["picture"] for row in rows] == [one.name for one in shown]
    assert {row["source"] for row in rows} == {"s"}
    assert all(np.isfinite([float(row["x"]), float(row["y"])]).all() for row in rows)
    said = (tmp_path / "out/embedding.html").read_text()
    assert all(sentence in said for sentence in LIMITS)
    assert "not for primary diagnosis" in said
    assert (tmp_path / "out/embedding.png").read_bytes().startswith(b"\x89PNG")


def test_features_of_a_picture_are_the_networks_and_those_of_a_mosaic_the_mean_of_its_filled_windows() -> None:
    picture = skin(64, 64)
    whole = pooled_features(served(Means()), picture)
    np.testing.assert_allclose(whole, picture.mean(axis=(0, 1)) / 255, rtol=0.02)
    mosaic = np.zeros((64, 128, 3), dtype=np.uint8)
    mosaic[:, :64] = 100
    grey = served(Means(), "GREY", kind="windows", side=64, overlap=0.0, share=0.5, max_empty=0.5)
    np.testing.assert_allclose(pooled_features(grey, mosaic), [100 / 255], rtol=1e-4)
    with pytest.raises(ValueError, match="every window of the picture is empty"):
        pooled_features(grey, np.zeros_like(mosaic))
    with pytest.raises(ValueError, match="has no pooled features"):
        pooled_features(served(nn.Identity()), picture)


def pictures(folder: Path, count: int = 8) -> Path:
    """A table of drawn pictures with labels that a bundle knows, and one that it does not."""
    rows = ["path,label,split,source,dataset,lesion_id"]
    for number in range(count):
        Image.fromarray(skin(60, 80, seed=number)).save(folder / f"{number}.png")
        label = "acne" if number == 0 else ("nevus", "melanoma")[number % 2]
        rows.append(f"{number}.png,{label},val,drawn,synthetic drawings,")
    (folder / "images.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "images.csv"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "monai_bundles" / "melanoma_nevus_alexnet"
    folder.mkdir(parents=True)
    describe(folder, **cast(dict[str, object], CLASSIFIER))
    return folder


def test_a_table_is_laid_out_by_its_labels_and_the_left_out_are_counted(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bundles", "embed", str(bundle), "--data", str(pictures(tmp_path)), "--out", str(tmp_path / "out")]
    assert run(words) == ExitCode.OK, capsys.readouterr().err
    said = capsys.readouterr().out
    assert said.startswith("SYNTHETIC: ")
    assert "\nSYNTHETIC: 7 pictures, coloured by label: melanoma 4, nevus 3.\n" in said
    assert "Left out: 1 images of another diagnosis." in said
    assert said.rstrip().endswith(RESEARCH_USE)
    first = (tmp_path / "out/embedding.csv").read_bytes()
    shutil.rmtree(tmp_path / "out")
    assert run(words) == ExitCode.OK
    assert (tmp_path / "out/embedding.csv").read_bytes() == first


def test_the_documented_command_runs(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path)
    for words in documented("embed"):
        assert run(words) == ExitCode.OK, capsys.readouterr().err
    assert (tmp_path / "embedding/embedding.png").exists()


def test_too_few_pictures_end_the_command_in_words(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bundles", "embed", str(bundle), "--data", str(pictures(tmp_path, 4)), "--out", str(tmp_path / "out")]
    assert run(words) == ExitCode.FAILED
    assert "3 pictures are too few to lay out" in capsys.readouterr().err
