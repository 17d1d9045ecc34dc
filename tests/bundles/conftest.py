"""A bundle folder as an author would hand it over; no network is needed to install it, since the self-test is passed in."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SERVING: dict[str, Any] = {
    "schema": 1, "name": "tiny", "version": "1.0.0", "title": "Tiny", "grade": "research", "licence": "Test data",
    "network": {"name": "unet", "args": {"in_channels": 3, "channels": [4, 8], "strides": [2]}},
    "weights": {"file": "models/model.safetensors", "sha256": "", "dtype": "float32"},
    "input": {"colour": "RGB", "min_short_side": 32, "intended": "drawn pictures"},
    "preprocessing": [{"op": "resize", "height": 32, "width": 48, "mode": "bilinear", "antialias": True}],
    "inference": {"kind": "whole"},
    "outputs": [{"kind": "classification", "id": "diagnosis", "activation": "softmax", "lesion_rule": "mean",
                 "classes": [{"id": "nevus", "concept": "nevus"}, {"id": "melanoma", "concept": "melanoma"}]}],
    "operating_points": [{"id": "default", "output": "diagnosis", "positive": "melanoma", "threshold": 0.5}],
    "explanation": {"method": "grad_cam", "output": "diagnosis", "layer": "model.0"},
    "quality": {"min_laplacian_variance": 1.0, "max_dark_fraction": 0.9, "min_contrast": 2.0},
    "golden": [{"file": "golden/0.png", "expect": {"melanoma": 0.7}, "tolerance": 0.01}],
}  # fmt: skip


def write_bundle(folder: Path, *, weights: bytes = b"numbers", **changes: Any) -> Path:
    for inside in ("configs", "models", "golden", "docs"):
        (folder / inside).mkdir(parents=True)
    (folder / "LICENSE").write_text("Test data, made by a program.\n")
    (folder / "docs" / "README.md").write_text("A card.\n")
    (folder / "configs" / "inference.json").write_text("{}")
    (folder / "models" / "model.safetensors").write_bytes(weights)
    (folder / "golden" / "0.png").write_bytes(b"a picture")
    described = SERVING["weights"] | {"sha256": hashlib.sha256(weights).hexdigest()}
    (folder / "configs" / "serving.json").write_text(json.dumps(SERVING | {"weights": described} | changes))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "source")


@pytest.fixture
def make_bundle() -> Callable[..., Path]:
    return write_bundle


@pytest.fixture
def whole() -> dict[str, Any]:
    """A description that is right."""
    copied: dict[str, Any] = json.loads(json.dumps(SERVING))
    copied["weights"]["sha256"] = "0" * 64
    return copied
