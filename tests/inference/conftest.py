"""A bundle small enough to be made in a test, and images for it."""

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from derm_pacs.domain.bundle import NetworkDescription, ServingDescription
from derm_pacs.inference.networks import build

UNET = {"name": "unet", "args": {"in_channels": 3, "channels": [4, 8], "strides": [2]}}

DENSENET = {
    "name": "densenet",
    "args": {"in_channels": 3, "num_classes": 2, "init_features": 4, "growth_rate": 2, "block_config": [1, 1]},
}


def skin(rows: int, columns: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a dark spot on a bright, noisy ground."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[0:rows, 0:columns]
    spot = ((down - rows * 0.45) / (rows * 0.2)) ** 2 + ((across - columns * 0.6) / (columns * 0.25)) ** 2 < 1
    picture = np.where(spot[..., None], (90, 50, 40), (220, 170, 150)) + random.normal(0, 12, (rows, columns, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


def part10(pixels: NDArray[np.uint8], **attributes: object) -> bytes:
    """Wrap 8-bit RGB or grey pixels, (rows, columns[, 3]) or frames of these, in a Part 10 file."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.77.1.7")
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.7"
    dataset.SOPInstanceUID = "2.25.1"
    coloured = pixels.shape[-1] == 3
    shape = pixels.shape[:-1] if coloured else pixels.shape
    if len(shape) == 3:
        dataset.NumberOfFrames = shape[0]
    dataset.SamplesPerPixel = 3 if coloured else 1
    if coloured:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if coloured else "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def describe(folder: Path, **changes: object) -> ServingDescription:
    """Write a bundle with a tiny segmentation network into `folder`; `changes` replace fields of the description."""
    (folder / "models").mkdir(parents=True)
    (folder / "golden").mkdir()
    (folder / "configs").mkdir()
    (folder / "LICENSE").write_text("Test data, made by a program.\n")
    network = changes.get("network", UNET)
    torch.manual_seed(3)
    tensors = build(NetworkDescription.model_validate(network)).state_dict()
    weights = safetensors.torch.save(tensors)
    (folder / "models" / "model.safetensors").write_bytes(weights)
    Image.fromarray(skin(60, 80)).save(folder / "golden" / "0.png")
    fields = {
        "schema": 1, "name": "tiny", "version": "1.0.0", "title": "Tiny", "grade": "demonstration", "licence": "LICENSE",
        "network": network,
        "weights": {"file": "models/model.safetensors", "sha256": hashlib.sha256(weights).hexdigest(), "dtype": "float32"},
        "input": {"colour": "RGB", "min_short_side": 32, "intended": "drawn pictures"},
        "preprocessing": [
            {"op": "resize", "height": 32, "width": 48, "mode": "bilinear", "antialias": True},
            {"op": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        ],
        "inference": {"kind": "whole"},
        "outputs": [{"kind": "segmentation", "id": "lesion", "activation": "sigmoid", "threshold": 0.5,
                     "concept": "lesion", "min_area_fraction": 0.001}],
        "quality": {"min_laplacian_variance": 1.0, "max_dark_fraction": 0.9, "min_contrast": 2.0},
        "golden": [{"file": "golden/0.png", "expect": {"lesion_area_fraction": 0.5}, "tolerance": 0.05}],
    } | changes  # fmt: skip
    (folder / "configs" / "serving.json").write_text(json.dumps(fields))
    return ServingDescription.model_validate(fields)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ServingDescription]:
    folder = tmp_path_factory.mktemp("tiny")
    return folder, describe(folder)


@pytest.fixture(scope="session")
def telling_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ServingDescription]:
    """A bundle that classifies and explains what it says of melanoma."""
    folder = tmp_path_factory.mktemp("telling")
    classes = [{"id": "nevus", "concept": "melanocytic_nevus"}, {"id": "melanoma", "concept": "melanoma"}]
    output = {"kind": "classification", "id": "diagnosis", "activation": "softmax", "classes": classes, "lesion_rule": "mean"}
    return folder, describe(
        folder,
        network=DENSENET,
        outputs=[output],
        operating_points=[{"id": "default", "output": "diagnosis", "positive": "melanoma", "threshold": 0.5}],
        explanation={"method": "grad_cam", "output": "diagnosis", "layer": "class_layers.relu"},
        golden=[{"file": "golden/0.png", "expect": {"melanoma": 0.5}, "tolerance": 0.05}],
    )


@pytest.fixture(scope="session")
def make_part10() -> Callable[..., bytes]:
    return part10


@pytest.fixture(scope="session")
def drawn() -> NDArray[np.uint8]:
    return skin(60, 80)
