"""`derm-pacs bundles`: a bundle's life by commands, with a real runner and a real ledger."""

import hashlib
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from sqlalchemy import select

from derm_pacs.cli.bundle_folder import bundle_folder
from derm_pacs.cli.bundles import threshold
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.domain.bundle import NetworkDescription
from derm_pacs.inference.networks import build
from derm_pacs.ledger.tables import AuditRow

from .conftest import Installation

pytestmark = pytest.mark.server

NETWORK = {
    "name": "densenet", "args": {"in_channels": 3, "num_classes": 2, "init_features": 4, "growth_rate": 2, "block_config": [1]},
}

CLINICAL_ROUTE = """
[[record_peers]]
name = "records"
host = "127.0.0.1"
port = 1
[[destinations]]
name = "records"
peer = "records"
results = ["message"]
[[routes]]
name = "all"
bundles = ["tiny"]
destinations = ["records"]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A bundle whose network says 0.5 of everything, as all its weights are zero."""
    folder = tmp_path / "bundle"
    for inside in ("configs", "models", "golden"):
        (folder / inside).mkdir(parents=True)
    (folder / "LICENSE").write_text("Made by a test.\n")
    tensors = build(NetworkDescription.model_validate(NETWORK)).state_dict()
    weights = safetensors.torch.save({name: torch.zeros_like(tensor) for name, tensor in tensors.items()})
    (folder / "models/model.safetensors").write_bytes(weights)
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(picture).save(folder / "golden/0.png")
    serving = {
        "schema": 1, "name": "tiny", "version": "1.0.0", "title": "Tiny", "grade": "demonstration",
        "licence": "CC BY-NC 4.0, non-commercial use only", "network": NETWORK,
        "weights": {"file": "models/model.safetensors", "sha256": hashlib.sha256(weights).hexdigest(), "dtype": "float32"},
        "input": {"colour": "RGB", "min_short_side": 32, "intended": "noise"},
        "preprocessing": [{"op": "resize", "height": 64, "width": 64, "mode": "bilinear", "antialias": True}],
        "inference": {"kind": "whole"},
        "outputs": [{
            "kind": "classification", "id": "diagnosis", "activation": "softmax",
            "classes": [{"id": "nevus", "concept": "nevus"}, {"id": "melanoma", "concept": "melanoma"}], "lesion_rule": "mean",
        }],
        "operating_points": [{"id": "melanoma", "output": "diagnosis", "positive": "melanoma", "threshold": 0.5}],
        "quality": {"min_laplacian_variance": 0.0, "max_dark_fraction": 1.0, "min_contrast": 0.0},
        "golden": [{"file": "golden/0.png", "expect": {"melanoma": 0.5, "nevus": 0.5}, "tolerance": 0.001}],
    }
    (folder / "configs/serving.json").write_text(json.dumps(serving))
    return folder


def test_a_bundle_is_installed_brought_into_force_moved_and_taken_out(installation: Installation, source: Path) -> None:
    by = ("--reason", "a test", "--actor", "lead")
    installed = installation.run("bundles", "install", str(source), *by)
    assert installed.status == ExitCode.OK, installed.talk
    assert "tiny 1.0.0 is installed, content " in installed.out
    assert "non-commercial" in installed.out
    (listed,) = installation.run("bundles", "list", "--json").value
    assert (listed["usable"], listed["active"]) == (True, False)

    without_routes = installation.config.read_text()
    installation.config.write_text(without_routes + CLINICAL_ROUTE)
    refused = installation.run("bundles", "activate", "tiny", "1.0.0", *by)
    assert refused.status == ExitCode.REFUSED
    assert "tiny 1.0.0 is of grade demonstration, and the clinical route all names it" in refused.talk
    installation.config.write_text(without_routes)
    said = installation.run("bundles", "activate", "tiny", "1.0.0", *by)
    assert said.out == "tiny 1.0.0 is in force\n", said.talk
    moved = installation.run("bundles", "threshold", "tiny", "melanoma", "0.35", *by)
    assert moved.out == "tiny melanoma: threshold 0.35, set by lead\n", moved.talk

    shown = installation.run("bundles", "list").out
    assert "tiny 1.0.0: in force, usable" in shown
    assert "operating point melanoma: melanoma of diagnosis at or above 0.35, set by lead" in shown
    checked = installation.run("check").out
    assert "usable; grade demonstration; licence: CC BY-NC 4.0, non-commercial use only" in checked
    assert "A clinical route names a bundle of grade demonstration" not in checked
    installation.config.write_text(without_routes + CLINICAL_ROUTE)
    failed = installation.run("check")
    assert failed.status == ExitCode.FAILED
    assert "A clinical route names a bundle of grade demonstration" in failed.out
    installation.config.write_text(without_routes)

    assert installation.run("bundles", "deactivate", "tiny", *by).out == "tiny 1.0.0 is out of force\n"
    again = installation.run("bundles", "deactivate", "tiny", *by)
    assert again.status == ExitCode.NOT_FOUND
    assert "no version of tiny is active" in again.talk
    rows = installation.database.transaction(lambda tx: tx.scalars(select(AuditRow).order_by(AuditRow.id)).all())
    assert [row.action for row in rows] == ["bundle.install", "bundle.activate", "bundle.threshold", "bundle.deactivate"]
    assert {(row.actor, row.reason) for row in rows} == {("lead", "a test")}


def test_what_is_no_bundle_is_refused_by_its_file(installation: Installation, source: Path) -> None:
    (source / "models/extra.pt").write_bytes(b"pickle")
    said = installation.run("bundles", "install", str(source), "--reason", "a test")
    assert said.status == ExitCode.REFUSED
    assert "models/extra.pt is not taken: it is pickled" in said.talk
    assert "Traceback" not in said.talk
    assert installation.run("bundles", "list").out == "no bundles\n"


def test_a_threshold_outside_of_probability_is_a_wrong_command_line(installation: Installation) -> None:
    said = installation.run("bundles", "threshold", "tiny", "melanoma", "1.5", "--reason", "a test")
    assert said.status == ExitCode.USAGE
    assert "Input should be less than or equal to 1" in " ".join(said.talk.split())


def test_a_threshold_that_calls_everything_says_so(installation: Installation, source: Path) -> None:
    by = ("--reason", "a test", "--actor", "lead")
    for act in (("install", str(source)), ("activate", "tiny", "1.0.0")):
        assert installation.run("bundles", *act, *by).status == ExitCode.OK
    moved = installation.run("bundles", "threshold", "tiny", "melanoma", "0", *by)
    assert moved.out == "tiny melanoma: threshold 0, set by lead\nat 0 every image is called melanoma\n"


def test_bundles_and_versions_that_are_not_installed_are_not_found(installation: Installation, tmp_path: Path) -> None:
    for act in (("activate", "tiny", "9.9.9"), ("deactivate", "tiny"), ("threshold", "tiny", "melanoma", "0.5")):
        said = installation.run("bundles", *act, "--reason", "a test")
        assert said.status == ExitCode.NOT_FOUND, said.talk
        assert "Look at derm-pacs bundles list." in said.talk
    absent = installation.run("bundles", "install", str(tmp_path / "absent"), "--reason", "a test")
    assert absent.status == ExitCode.NOT_FOUND
    assert "FOLDER: " in absent.talk
    assert "absent does not exist; name the folder of a bundle" in absent.talk


def test_the_example_of_a_threshold_names_an_operating_point_of_its_bundle() -> None:
    (example,) = (line for line in str(threshold.__doc__).splitlines() if "derm-pacs bundles threshold" in line)
    _, _, _, name, point, *_ = shlex.split(example)
    described = json.loads((bundle_folder(name) / "configs" / "serving.json").read_text(encoding="utf-8"))
    assert point in [one["id"] for one in described["operating_points"]]
