"""A checkpoint becomes a bundle that the service opens, and whose metadata say what its description says."""

import json
import shlex
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from derm_networks.efficientnet_auxiliary import EfficientNetAuxiliary
from derm_networks.novelty import FeatureSpace
from derm_networks.served import make_network, open_bundle, save_weights
from derm_pacs.cli.bundle_export import code_triples
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.gate import gate_of
from derm_pacs.cli.main import run
from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.inference.analyse import load_bundle
from derm_pacs.inference.client import self_test
from derm_pacs.inference.golden import figures
from derm_training.gate.novelty import FILE, Fitted
from derm_training.gate.novelty import write as write_limit
from derm_training.reporting.card import NOT_MEASURED
from derm_training.shipping.export import ExportError, export, record, write_record
from derm_training.shipping.golden import drawn
from derm_training.shipping.outlived import Outlived
from derm_training.shipping.promises import NoPromise
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.server  # trains or evaluates networks

CODE_TRIPLES = code_triples()
BUNDLES = sorted(place.parent.parent for place in (REPOSITORY / "monai_bundles").glob("*/configs/serving.json"))
SMALL_RESNET = {"name": "resnet", "args": {"in_channels": 3, "num_classes": 2, "block": "basic", "layers": [1, 1, 1, 1]}}


def toy(folder: Path, network: dict[str, Any] = SMALL_RESNET) -> Path:
    """A bundle without weights, golden pictures and record: what a training begins from."""
    description = {
        "schema": 1, "name": "toy", "version": "1.2.3", "title": "Toy", "grade": "demonstration", "licence": "none",
        "network": network,
        "weights": {"file": "models/model.safetensors", "sha256": "0" * 64, "dtype": "float16"},
        "input": {"colour": "RGB", "min_short_side": 16, "intended": "noise"},
        "preprocessing": [
            {"op": "resize", "height": 32, "width": 32, "mode": "bilinear", "antialias": True},
            {"op": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        ],
        "inference": {"kind": "whole", "average": "flips"},
        "outputs": [{
            "kind": "classification", "id": "class", "activation": "softmax", "temperature": 1.3, "lesion_rule": "mean",
            "classes": [{"id": "nevus", "concept": "melanocytic_nevus"}, {"id": "melanoma", "concept": "melanoma"}],
        }],
        "operating_points": [{"id": "default", "output": "class", "positive": "melanoma", "threshold": 0.4}],
        "quality": {"min_laplacian_variance": 0, "max_dark_fraction": 1, "min_contrast": 0},
        "golden": [{"file": "golden/0.png", "expect": {"melanoma": 0.5}, "tolerance": 0.002}],
    }  # fmt: skip
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "serving.json").write_text(json.dumps(description), encoding="utf-8")
    (folder / "configs" / "train.json").write_text("{}", encoding="utf-8")
    metadata = {"version": "0.0.1", "intended_use": "To be tried.", "data_source": "synthetic"}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder


def checkpoint(file: Path, network: dict[str, Any] = SMALL_RESNET, *, wrapped: bool = False) -> Path:
    torch.manual_seed(4)
    state = make_network(network).state_dict()
    torch.save({"model": state} if wrapped else state, file)
    return file


def read(folder: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((folder / "configs" / f"{name}.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_what_is_exported_opens_in_the_service_and_gives_the_golden_answers(dtype: Any, tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    made = export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of, dtype=dtype)
    description = ServingDescription.model_validate(read(folder, "serving"))
    assert (description.weights.dtype, description.weights.sha256) == (dtype, made.sha256)
    assert made.size == (folder / "models" / "model.safetensors").stat().st_size
    assert [one.tolerance for one in description.golden] == [0.002, 0.001, 0.001, 0.001]
    found = figures(load_bundle(folder, description), folder, max_pixels=10**6)
    for one, golden in zip(found, description.golden, strict=True):
        assert one.refusal is None
        assert one.figures == pytest.approx(golden.expect, abs=1e-5)
    assert read(folder, "metadata")["derm_pacs"] == record(read(folder, "serving"), read(folder, "metadata"), CODE_TRIPLES)


def test_both_forms_of_a_checkpoint_and_safetensors_give_the_same_weights(tmp_path: Path) -> None:
    bare, wrapped = checkpoint(tmp_path / "a.pt"), checkpoint(tmp_path / "b.pt", wrapped=True)
    save_weights(torch.load(bare, weights_only=True), tmp_path / "c.safetensors", "float32")
    hashes = {
        export(toy(tmp_path / file.stem), file, CODE_TRIPLES, gate_of).sha256
        for file in (bare, wrapped, tmp_path / "c.safetensors")
    }
    assert len(hashes) == 1


def test_a_golden_picture_that_is_there_is_kept(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    (folder / "golden").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(picture).save(folder / "golden" / "mine.png")
    made = export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    assert list(made.golden) == ["golden/mine.png"]
    expected = open_bundle(folder).probabilities(picture)
    assert made.golden["golden/mine.png"] == pytest.approx(expected, abs=1e-6)


def test_a_copy_leaves_the_bundle_as_it_is_and_no_folder_is_overwritten(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    before = read(folder, "serving")
    made = export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of, out=tmp_path / "copy")
    assert made.folder == tmp_path / "copy"
    assert read(folder, "serving") == before
    assert not (folder / "models").exists()
    with pytest.raises(ExportError, match="exists already"):
        export(folder, tmp_path / "best.pt", CODE_TRIPLES, gate_of, out=tmp_path / "copy")


def test_heads_of_training_alone_are_left_out(tmp_path: Path) -> None:
    network = {"name": "efficientnet_auxiliary", "args": {"model_name": "efficientnet-b0", "num_classes": 2}}
    trained = EfficientNetAuxiliary("efficientnet-b0", num_classes=2, auxiliary=True)
    torch.save(trained.state_dict(), tmp_path / "best.pt")
    folder = toy(tmp_path / "toy", network)
    export(folder, tmp_path / "best.pt", CODE_TRIPLES, gate_of)
    assert not [name for name in open_bundle(folder).network.state_dict() if "auxiliary" in name]


def test_a_network_that_one_setting_of_the_training_changed_is_shipped_as_it_was_trained(tmp_path: Path) -> None:
    args = cast(dict[str, Any], SMALL_RESNET["args"])
    deeper = args | {"layers": [1, 1, 2, 1]}
    folder = toy(tmp_path / "toy")
    target = {"_target_": "derm_networks.residual.ResidualNetwork"}
    for name in ("evaluate", "inference"):
        (folder / "configs" / f"{name}.json").write_text(json.dumps({"network_def": target | args}))
    weights = checkpoint(tmp_path / "best.pt", SMALL_RESNET | {"args": deeper})
    settings = {"network_def": target | deeper | {"num_classes": "$len(@classes)"}}
    (tmp_path / "training.json").write_text(json.dumps({"version": "0", "configuration": settings}))
    export(folder, weights, CODE_TRIPLES, gate_of)
    assert read(folder, "serving")["network"]["args"] == deeper
    for name in ("evaluate", "inference"):
        assert read(folder, name)["network_def"] == target | deeper
    assert open_bundle(folder).probabilities(np.zeros((40, 50, 3), np.uint8))


def test_weights_of_another_network_are_refused_and_change_nothing(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    other = checkpoint(tmp_path / "other.pt", SMALL_RESNET | {"args": SMALL_RESNET["args"] | {"num_classes": 3}})  # type: ignore[operator]
    before = read(folder, "serving")
    remedy = r"; train with this bundle's train\.json, or set network\.args \(such as rank\) in serving\.json, and network_def in evaluate\.json and inference\.json"
    with pytest.raises(ExportError, match=r"other\.pt is no state of the network of serving\.json.*fc\.weight.*" + remedy):
        export(folder, other, CODE_TRIPLES, gate_of)
    with pytest.raises(ExportError, match="does not exist"):
        export(folder, tmp_path / "none.pt", CODE_TRIPLES, gate_of)
    assert read(folder, "serving") == before
    assert not (folder / "models").exists()


def test_without_a_checkpoint_the_weights_stay_and_the_record_is_brought_up_to_date(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    first = export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    description = read(folder, "serving")
    description["operating_points"][0]["threshold"] = 0.7
    (folder / "configs" / "serving.json").write_text(json.dumps(description), encoding="utf-8")
    assert export(folder, None, CODE_TRIPLES, gate_of).sha256 == first.sha256
    assert read(folder, "metadata")["derm_pacs"]["operating_points"][0]["threshold"] == 0.7
    with pytest.raises(ExportError, match="name the checkpoint to round to int8 from"):
        export(folder, None, CODE_TRIPLES, gate_of, dtype="int8")


def test_a_class_without_a_code_is_named(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    with pytest.raises(ExportError, match="melanocytic_nevus has no code"):
        write_record(folder, {})


def with_limit(folder: Path, maximum: float) -> Path:
    """A limit of novelty as `bundles novelty` writes it, in the space of noise."""
    features = open_bundle(folder).network.pooled_features(torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(1)))  # type: ignore[operator]
    space = FeatureSpace.fit(features.detach().numpy())
    write_limit(folder, Fitted(kind="feature_distance", space=space, maximum=maximum, trained_on=40, validated_on=40, refused=0, refused_of_others=0))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_picture_that_the_gate_refuses_has_its_refusal_promised(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    description = read(folder, "serving")
    description["quality"]["min_skin_fraction"] = 0.9
    (folder / "configs" / "serving.json").write_text(json.dumps(description), encoding="utf-8")
    made = export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    assert [made.golden[f"golden/{place}.png"] == "no_skin" for place in range(4)] == [False, False, False, True]
    assert read(folder, "serving")["golden"][3] == {"file": "golden/3.png", "refused": "no_skin"}
    parsed = ServingDescription.model_validate(read(folder, "serving"))
    assert all(one.agrees for one in self_test(folder, parsed))


def test_where_the_gate_refuses_every_golden_picture_nothing_is_written(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    with_limit(folder, 1e-6)
    before = content(folder)
    with pytest.raises(NoPromise, match=r"refuses all 4 golden pictures \(out_of_distribution 4\).*; put a drawn picture"):
        export(folder, None, CODE_TRIPLES, gate_of)
    with pytest.raises(NoPromise, match="refuses all 4"):
        export(folder, None, CODE_TRIPLES, gate_of, out=tmp_path / "copy")
    assert content(folder) == before
    assert [one.name for one in tmp_path.iterdir() if one.is_dir()] == ["toy"]


def test_a_limit_of_novelty_goes_with_the_weights_that_it_was_found_with(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    with_limit(folder, 1e6)
    same = export(folder, tmp_path / "best.pt", CODE_TRIPLES, gate_of)
    assert not same.outlived.limit
    assert "novelty" in read(folder, "serving")["quality"]
    torch.save({name: tensor * 1.5 for name, tensor in torch.load(tmp_path / "best.pt", weights_only=True).items()}, tmp_path / "other.pt")
    other = export(folder, tmp_path / "other.pt", CODE_TRIPLES, gate_of, version="1.3.0")
    assert other.outlived.limit
    assert "novelty" not in read(folder, "serving")["quality"]
    assert not (folder / FILE).exists()
    assert "novelty" not in read(folder, "metadata")["derm_pacs"]["quality"]


def measured(folder: Path) -> Path:
    """The bundle with figures, a report, and a temperature fitted to its weights."""
    change(folder, validation=[{"dataset": "D", "split": "val", "metric": "auc", "value": 0.93, "low": 0.9, "high": 0.95, "n": 300}])
    (folder / "docs" / "report").mkdir(parents=True)
    (folder / "docs" / "README.md").write_text("# Toy\n<!-- figures -->\n| AUC | 0.930 |\n<!-- /figures -->\nend\n", encoding="utf-8")
    for name in ("report.json", "report.html", "roc.png", "gate.json", "sketch.png"):
        (folder / "docs" / "report" / name).write_bytes(b"{}")
    write_record(folder, CODE_TRIPLES)
    return folder


def change(folder: Path, **parts: Any) -> None:
    """Write parts of serving.json as a person does."""
    (folder / "configs" / "serving.json").write_text(json.dumps(read(folder, "serving") | parts), encoding="utf-8")


def scaled(folder: Path, temperature: float) -> None:
    change(folder, outputs=[read(folder, "serving")["outputs"][0] | {"temperature": temperature}])


def other_weights(file: Path) -> Path:
    torch.manual_seed(99)
    torch.save(make_network(SMALL_RESNET).state_dict(), file)
    return file


def test_figures_and_temperature_go_with_the_weights_that_they_were_measured_of(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    scaled(measured(folder), 1.3)
    made = export(folder, other_weights(tmp_path / "other.pt"), CODE_TRIPLES, gate_of, version="1.3.0")
    assert made.outlived == Outlived(limit=False, figures=True, temperatures=(1.3,))
    assert "validation" not in read(folder, "serving")
    record = read(folder, "metadata")["derm_pacs"]
    assert (record["metrics"], record["outputs"][0]["temperature"]) == ([], 1.0)
    assert (folder / "docs" / "README.md").read_text(encoding="utf-8") == f"# Toy\n<!-- figures -->\n{NOT_MEASURED}\n<!-- /figures -->\nend\n"
    assert [file.name for file in (folder / "docs" / "report").iterdir()] == ["sketch.png"]
    description = ServingDescription.model_validate(read(folder, "serving"))
    assert all(one.agrees for one in self_test(folder, description)), "the golden answers are those at temperature 1"


def test_figures_and_a_temperature_given_by_a_person_stay_while_the_weights_do(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    scaled(measured(folder), 0.8)
    before = content(folder / "docs")
    for given in (None, tmp_path / "best.pt"):
        assert export(folder, given, CODE_TRIPLES, gate_of).outlived == Outlived()
    assert content(folder / "docs") == before
    record = read(folder, "metadata")["derm_pacs"]
    assert (record["metrics"][0]["value"], record["outputs"][0]["temperature"]) == (0.93, 0.8)


@pytest.mark.parametrize("version", [None, "1.2.3"])
def test_other_weights_under_the_version_of_the_former_are_refused_and_change_nothing(version: str | None, tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    measured(folder)
    before = content(folder)
    for out in (None, tmp_path / "copy"):
        with pytest.raises(ExportError, match=r"other weights than those of toy 1\.2\.3, .*; give the new ones a version: --version 1\.3\.0"):
            export(folder, other_weights(tmp_path / "other.pt"), CODE_TRIPLES, gate_of, version=version, out=out)
    assert content(folder) == before
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("weights", [None, "best.pt", "other.pt"])
def test_a_new_version_stands_in_description_and_metadata(weights: str | None, tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    other_weights(tmp_path / "other.pt")
    export(folder, tmp_path / weights if weights else None, CODE_TRIPLES, gate_of, version="2.0.0", out=tmp_path / "copy")
    assert [read(tmp_path / "copy", name)["version"] for name in ("serving", "metadata")] == ["2.0.0", "2.0.0"]
    assert [read(folder, name)["version"] for name in ("serving", "metadata")] == ["1.2.3", "1.2.3"]


def outside(tmp_path: Path) -> Path:
    file = tmp_path / "precious.safetensors"
    file.write_bytes(b"mine")
    return file


@pytest.mark.parametrize("written", ["{folder}/precious.safetensors", "../precious.safetensors", "models/../../precious.safetensors"])
@pytest.mark.parametrize("setting", ["weights.file", "quality.novelty.file"])
def test_a_file_outside_the_bundle_is_refused_before_anything_is_written(setting: str, written: str, tmp_path: Path) -> None:
    folder, precious = toy(tmp_path / "toy"), outside(tmp_path)
    export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    name = written.format(folder=tmp_path)
    described = read(folder, "serving")
    if setting == "weights.file":
        change(folder, weights=described["weights"] | {"file": name})
    else:
        change(folder, quality=described["quality"] | {"novelty": {"kind": "feature_distance", "maximum": 1.0, "file": name, "sha256": "0" * 64}})
    before = content(folder)
    for given in (other_weights(tmp_path / "other.pt"), None):
        with pytest.raises(ValueError, match=rf"{setting} of serving\.json is '.*', which is not a file inside the bundle .*; name it relative"):
            export(folder, given, CODE_TRIPLES, gate_of)
    assert content(folder) == before
    assert precious.read_bytes() == b"mine"


def test_features_in_the_file_of_the_weights_are_refused(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    change(folder, quality=read(folder, "serving")["quality"] | {"novelty": {"kind": "feature_distance", "file": "models/model.safetensors"}})
    with pytest.raises(ValueError, match="the file of the weights; name another one"):
        export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)


def test_a_golden_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = toy(tmp_path / "toy")
    description = read(folder, "serving")
    description["inference"] = {"kind": "windows", "side": 32, "overlap": 0.5, "share": 0.5, "max_empty": 0.5}
    (folder / "configs" / "serving.json").write_text(json.dumps(description), encoding="utf-8")
    (folder / "golden").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), dtype=np.uint8)).save(folder / "golden" / "black.png")
    with pytest.raises(NoPromise, match=r"golden/black\.png cannot be read: every window of the picture is empty; take it out"):
        export(folder, checkpoint(tmp_path / "best.pt"), CODE_TRIPLES, gate_of)
    assert not (folder / "models").exists()


def test_the_command_ships_and_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = toy(tmp_path / "toy")
    given = ["bundles", "export", str(folder), "--checkpoint", str(checkpoint(tmp_path / "best.pt")), "--dtype", "int8"]
    assert run([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sha256"] == read(folder, "serving")["weights"]["sha256"]
    assert set(told["golden"]["golden/0.png"]) == {"nevus", "melanoma"}
    before = content(folder)
    assert run([*given, "--version", "1.3"]) == ExitCode.USAGE
    assert "'1.3' is not a version of the form 1.2.3" in capsys.readouterr().err
    assert content(folder) == before
    assert run([*given, "--out", str(tmp_path / "a copy")]) == 0
    measure, gate, install = (shlex.split(line) for line in capsys.readouterr().out.splitlines()[-3:])
    assert measure[1:5] == ["derm-pacs", "bundles", "evaluate", str(tmp_path / "a copy")]
    assert gate[1:] == ["derm-pacs", "bundles", "quality", str(tmp_path / "a copy"), "--data", "TABLE", "--write"]
    assert install[1:] == ["derm-pacs", "bundles", "install", str(tmp_path / "a copy"), "--reason", "…"]
    scaled(measured(folder), 1.3)
    assert run([*given[:4], str(other_weights(tmp_path / "other.pt"))]) == ExitCode.FAILED
    assert "--version 1.3.0" in capsys.readouterr().err
    assert run([*given[:4], str(tmp_path / "other.pt"), "--version", "1.3.0"]) == 0
    out = capsys.readouterr().out
    assert "figures in serving.json, docs/README.md and docs/report were those of the former weights and are taken out: not measured yet" in out
    assert "the temperature 1.3 was fitted to the former weights; it is 1 now" in out
    assert "--data TABLE --write" in out
    assert run([*given[:4], str(tmp_path / "other.pt"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["limit_dropped"], told["figures_dropped"], told["temperatures_dropped"]) == (False, False, [])
    assert run([*given[:4], str(tmp_path / "none.pt")]) != 0
    assert "name the best.pt of a training" in capsys.readouterr().err
    (tmp_path / "table.pt").write_text("path,label\n")
    assert run([*given[:4], str(tmp_path / "table.pt")]) != 0
    assert "table.pt holds no weights that can be read; name the best.pt of a training" in capsys.readouterr().err


def test_drawn_pictures_are_the_same_every_time_and_differ_from_one_another() -> None:
    for colour, planes in (("RGB", 3), ("GREY", 2)):
        once, again = drawn(colour), drawn(colour)
        assert all(np.array_equal(one, other) for one, other in zip(once, again, strict=True))
        assert {one.ndim for one in once} == {planes if planes == 3 else 2}
        assert len({one.tobytes() for one in once}) == len(once)


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_the_metadata_of_every_bundle_say_what_its_description_says(folder: Path) -> None:
    metadata, description = read(folder, "metadata"), read(folder, "serving")
    assert metadata["derm_pacs"] == record(description, metadata, CODE_TRIPLES)
    assert metadata["version"] == description["version"]
