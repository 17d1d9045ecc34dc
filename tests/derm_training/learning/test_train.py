"""A training can be stopped at any time and taken up, gives the same by its seed, ends when nothing improves, says what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from derm_training.learning.checkpoints import best_epoch
from derm_training.learning.train import TrainingError, train
from derm_training.tables.manifest import read_table
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.server  # trains or evaluates networks

SHIPPED = REPOSITORY / "monai_bundles" / "melanoma_nevus_alexnet" / "configs"
TINY = (
    "$torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),"
    " torch.nn.Flatten(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))"
)
STATE = tuple[dict[str, torch.Tensor], list[dict[str, float]]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn pictures, not of skin: dark ones are called melanoma, and not every one is labelled rightly."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(4)
    lines = ["path,label,split,source,dataset,lesion_id"]
    for number in range(40):
        dark = number % 2 == 1
        picture = random.normal(80 if dark else 160, 40, (40, 50, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
        label = "melanoma" if dark != (number % 10 == 0) else "nevus"
        lines.append(f"{number}.png,{label},{'val' if number >= 28 else 'train'},s,SYNTHETIC,L{number // 2 if number < 28 else number}")
    file = folder / "t.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped configuration with a network of some hundred weights."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    (folder / "configs").mkdir(parents=True)
    config: dict[str, Any] = json.loads((SHIPPED / "train.json").read_text(encoding="utf-8"))
    config["imports"].append("$import torch")
    config |= {"network_def": TINY, "height": 32, "width": 32, "batch": 8, "teacher": None, "learning_rate": 0.05}
    config["images"] |= {"height": 36, "width": 36}
    config["network"] |= {"network": "@network_def", "batch_norm": []}
    (folder / "configs" / "train.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text((SHIPPED / "metadata.json").read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def settings(table: Path, **more: Any) -> dict[str, Any]:
    return {"data": str(table), "device": "cpu", "patience": None, **more}


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.parent.name != "cache"}


def left_by(out: Path) -> STATE:
    state = torch.load(out / "last.pt", weights_only=True)
    tensors = {f"{part}.{name}": value for part in ("network", "averaged") for name, value in state[part].items()}
    return tensors, [{k: v for k, v in one.items() if k != "seconds"} for one in state["records"]]


def same(first: STATE, second: STATE) -> None:
    assert first[0].keys() == second[0].keys()
    for name, value in first[0].items():
        torch.testing.assert_close(value, second[0][name], atol=1e-6, rtol=0)
    assert len(first[1]) == len(second[1])
    for one, other in zip(*(state[1] for state in (first, second)), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.fixture(scope="module")
def unbroken(bundle: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    train(bundle, out, settings(table, epochs=30))
    return out


def test_a_training_killed_in_the_middle_and_taken_up_gives_what_an_unbroken_one_gives(
    bundle: Path, table: Path, unbroken: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "derm_pacs", "bundles", "train", str(bundle), "--data", str(table), "--out", str(tmp_path)]
    command += ["--device", "cpu", "--epochs", "30", "--set", "patience=null"]
    with subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL) as process:
        try:
            while not (tmp_path / "last.pt").exists():
                assert process.poll() is None, "it ended before its first epoch did"
                time.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
    _, records = left_by(tmp_path)
    assert 1 <= len(records) < 30
    train(bundle, tmp_path, settings(table, epochs=30))
    same(left_by(tmp_path), left_by(unbroken))
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    torch.testing.assert_close(best, torch.load(unbroken / "best.pt", weights_only=True), atol=1e-6, rtol=0)


def test_what_was_learnt_is_kept_of_the_best_epoch_and_the_log_has_a_line_for_each(bundle: Path, table: Path, unbroken: Path) -> None:
    lines = [json.loads(line) for line in (unbroken / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [one["epoch"] for one in lines] == list(range(1, 31))
    assert {"loss", "auc", "auc SYNTHETIC", "seconds"} <= lines[0].keys()
    again = train(bundle, unbroken, settings(table, epochs=30))  # finished: nothing is left to do
    assert again.epochs == 30
    assert again.seconds == pytest.approx(sum(one["seconds"] for one in lines)), "of the training, not of this call"
    assert again.figures["auc"] == max(one["auc"] for one in lines) > 0.7
    assert lines[again.epoch - 1]["auc"] == again.figures["auc"]
    assert again.judged_on == {"photographs": 0, "synthetic": 10}, "of the 12 those that the sources balance"
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Dropout(0.2), torch.nn.Linear(8, 2),
    )
    network.load_state_dict(torch.load(again.weights, weights_only=True), strict=True)


def test_the_shipped_recipe_asks_its_teacher_and_keeps_what_it_said(bundle: Path, table: Path, tmp_path: Path) -> None:
    train(bundle, tmp_path, settings(table, epochs=3, teacher=str(SHIPPED.parent)))
    (file,) = (tmp_path / "cache").glob("words-*.npy")
    words = np.load(file)
    heard = ~np.isnan(words).any(axis=2)
    assert words.shape == (28, 10, 2), "of each picture to learn from ten views, of each two logits"
    assert 28 <= heard.sum() < 3 * 28, "in three epochs a view has come again"
    assert all(np.isfinite(one["loss"]) for one in left_by(tmp_path)[1])


def test_another_seed_gives_other_weights(bundle: Path, table: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(bundle, tmp_path / name, settings(table, epochs=2, seed=seed))
    first, again, other = (left_by(tmp_path / name) for name in "abc")
    same(first, again)
    assert any(not torch.equal(value, other[0][name]) for name, value in first[0].items())


def test_it_ends_when_nothing_has_improved_for_a_while_and_stays_ended(bundle: Path, table: Path, tmp_path: Path) -> None:
    still = settings(table, epochs=30, learning_rate=0.0) | {"patience": 3}
    assert train(bundle, tmp_path, still).epochs == 4, "the first epoch and three without a better figure"
    assert train(bundle, tmp_path, still).epochs == 4


def test_the_papers_split_keeps_the_last_epoch_and_tells_what_leaks(
    bundle: Path, table: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = train(bundle, tmp_path, settings(table, epochs=3, split="paper", balance="none"))
    said = capfd.readouterr().err
    assert "as in Ameri 2020 (there 900 and 100 of each class): 14 of each class to train, 2 to test" in said
    assert "judged images show a lesion that is also in training" in said
    assert "judged on 2 melanoma, 2 nevus (SYNTHETIC)" in said
    assert said.count(", SYNTHETIC auc 0.") + said.count(", SYNTHETIC auc 1.") == 3, "each epoch's figures"
    assert made.epoch == 3
    assert {row.split for row in read_table(made.table).rows} == {"train", "test"}


def test_other_images_are_no_continuation_and_change_nothing(bundle: Path, table: Path, tmp_path: Path) -> None:
    train(bundle, tmp_path, settings(table, epochs=1))
    before = content(tmp_path)
    exchanged = table.with_name("exchanged.csv")
    text = table.read_text(encoding="utf-8")
    exchanged.write_text(text.replace(",val,", ",X,").replace(",train,", ",val,").replace(",X,", ",train,"), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"last\.pt was made from other images than the table now gives; choose another folder \(--out\)"):
        train(bundle, tmp_path, settings(exchanged, epochs=2))
    assert content(tmp_path) == before, "table.csv still tells which images best.pt has learned from"


def test_other_settings_are_no_continuation_and_are_named(bundle: Path, table: Path, tmp_path: Path) -> None:
    train(bundle, tmp_path, settings(table, epochs=1))
    before = content(tmp_path)
    with pytest.raises(TrainingError, match=r"last\.pt was made with seed 8 \(now 3\), learning_rate 0\.05 \(now 1e-07\); choose another folder \(--out\)"):
        train(bundle, tmp_path, settings(table, epochs=1, learning_rate=1e-7, seed=3))
    with pytest.raises(TrainingError, match=r"with views#zoom#0 0\.85 \(now 0\.9\);"):
        train(bundle, tmp_path, settings(table, epochs=1, **{"views#zoom": [0.9, 1.6]}))
    assert content(tmp_path) == before
    same_images = table.with_name("copy.csv")
    same_images.write_text(table.read_text(encoding="utf-8"), encoding="utf-8")
    assert train(bundle, tmp_path, settings(same_images, epochs=2) | {"patience": 9}).epochs == 2, "these decide nothing that was learned"


def test_a_training_says_with_which_seed_configuration_and_version_it_began(bundle: Path, table: Path, tmp_path: Path) -> None:
    train(bundle, tmp_path, settings(table, epochs=1, seed=3))
    kept = torch.load(tmp_path / "last.pt", weights_only=True)["settings"]
    assert kept == (tmp_path / "training.json").read_text(encoding="utf-8")
    record = json.loads(kept)
    assert record["version"] == version("derm-pacs")
    assert (record["configuration"]["seed"], record["configuration"]["views"]["zoom"]) == (3, [0.85, 1.6])
    assert not {"data", "device", "epochs", "patience", "output_dir"} & record["configuration"].keys()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"data": "nowhere.csv"}, r"nowhere\.csv does not exist; name a CSV"),
        ({"epochz": 3}, "has no setting epochz; it has .*epochs"),
        ({"classes": ["nevus", "seborrhoea"]}, r"t\.csv has no image labelled seborrhoea \(column label\)"),
        ({"device": "cuda:7"}, "device is cuda:7, and torch sees no such GPU"),
        ({"split": "random"}, "it can be lesion or paper"),
        ({"pretrained": "no.safetensors"}, r"no\.safetensors does not exist"),
        ({"inferer#precision": "float8"}, r"'float8' \(inferer in train\.json\); it can be bfloat16 or float32"),
        ({"handlers#1#warm_up": 3}, r"unexpected keyword argument 'warm_up' \(handlers#1 in train\.json\)"),
        ({"trainer#epochs": 3}, r"unexpected keyword argument 'epochs' \(trainer in train\.json\)"),
        ({"views#zom": [1, 2]}, r"unexpected keyword argument 'zom' \(views in train\.json\)"),
        ({"batch": 0}, "batch_size=0"),
        ({"batch": "abc"}, r"batch is 'abc', which is no number; .*train\.json has \d+"),
    ],
)
def test_what_cannot_be_done_is_told_with_the_remedy(bundle: Path, table: Path, tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        train(bundle, tmp_path, settings(table) | wrong)


def test_where_classes_are_missing_the_setting_that_joins_a_table_of_them_is_named(table: Path, tmp_path: Path) -> None:
    joining = SHIPPED.parents[1] / "dermatosis14_efficientnet_b4"
    with pytest.raises(TrainingError, match=r"t\.csv has no image labelled lichen_planus, .*; join .* --set drawn=TABLE, such as DIR/MANIFEST\.csv of `derm-pacs samples"):
        train(joining, tmp_path, settings(table))
    with pytest.raises(TrainingError, match=r"joined\.csv has no image labelled lichen_planus, .*, bcc$"):
        train(joining, tmp_path, settings(table, drawn=str(table)))


def test_without_a_network_published_weights_are_told_to_need_one(
    bundle: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object, **__: object) -> None:
        sys.stdout.write("Downloading")
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", away)
    small = {"_target_": "derm_networks.alexnet.AlexNet", "num_classes": 2, "rank": 4}
    with pytest.raises(TrainingError, match=r"cannot be downloaded .*: this needs a network .*; fetch the file elsewhere"):
        train(bundle, tmp_path, settings(table, pretrained="imagenet", network_def=small))
    assert "Downloading" not in capsys.readouterr().out, "the answer of a command stands there"


def test_an_image_that_is_missing_is_named_before_anything_is_learnt(bundle: Path, table: Path, tmp_path: Path) -> None:
    lines = table.read_text(encoding="utf-8").replace("\n3.png", "\nabsent.png")
    broken = table.parent / "broken.csv"
    broken.write_text(lines, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"broken\.csv names .*absent\.png, which does not exist \(1 of 40"):
        train(bundle, tmp_path, settings(broken))


def test_an_epoch_without_a_figure_is_never_the_best_unless_none_has_one() -> None:
    assert best_epoch([{}, {"auc": 0.6}, {"auc": 0.7}, {"auc": 0.7}, {}], "auc") == 3
    assert best_epoch([{}, {"loss": 1.0}], "auc") == 2
