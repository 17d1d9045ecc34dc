"""The network that a training trained, where its settings made it another one than the bundle's: a rank, a stride, a number of layers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SETTINGS = "training.json"
_OF_THE_BUNDLE = {"_target_", "in_channels", "num_classes"}
"""What a bundle reads and tells apart stands in its description, with more than a number."""


def trained_arguments(weights: Path, network: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `network` (`network_def` of a configuration) that the training which left `weights` had otherwise.

    They stand in training.json beside the weights; nothing is returned where there is none, or where it is of another network.
    Arguments that only a training has, as a dropout, are no part of it, nor are those that an expression of train.json gives.
    """
    file = weights.with_name(_SETTINGS)
    if not file.is_file():
        return {}
    trained = json.loads(file.read_text(encoding="utf-8"))["configuration"].get("network_def", {})
    if trained.get("_target_") != network.get("_target_"):
        return {}
    return {
        name: value
        for name, value in trained.items()
        if name in network.keys() - _OF_THE_BUNDLE and value != network[name] and not (isinstance(value, str) and value.startswith(("$", "@")))
    }
