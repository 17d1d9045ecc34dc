"""A bundle's network beside common ones under one schedule, as Zhu et al., Front Med 2021;8:626369, compare theirs.

Each network is trained by the bundle's own train.json, with the same images, views, loss, steps and seed; only the network
changes. All begin with weights drawn at random unless a start is named that fits all of them: a network that begins with more than the others
would win by that. All are judged on the same images, so that differences are paired.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle.config_parser import ConfigParser
from torch import nn

from derm_networks.transforms import ResizeAntialiased
from derm_training.learning.progress import tell
from derm_training.learning.train import TrainingError, train
from derm_training.measuring.class_figures import Judged, figures
from derm_training.measuring.predictions import weights_of
from derm_training.measuring.statement import RESEARCH_USE
from derm_training.measuring.statistics import Figure, Indices, Values, share, summary
from derm_training.reporting import page
from derm_training.tables.manifest import read_rgb, read_table
from derm_training.tables.rows import Row
from derm_training.tables.selection import synthetic

OWN = "own"
"""The bundle's network among the names."""

COMMON: dict[str, dict[str, Any]] = {
    "resnet18": {"_target_": "derm_networks.residual.ResidualNetwork", "block": "basic", "layers": [2, 2, 2, 2], "num_classes": "$len(@classes)"},
    "resnet50": {"_target_": "derm_networks.residual.ResidualNetwork", "block": "bottleneck", "layers": [3, 4, 6, 3], "num_classes": "$len(@classes)"},
    "densenet121": {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 3, "out_channels": "$len(@classes)"},
    "efficientnet-b0": {"_target_": "EfficientNetBN", "model_name": "efficientnet-b0", "pretrained": False, "num_classes": "$len(@classes)"},
}
"""The networks by name, as train.json describes one."""

FIGURES = ("auc", "accuracy", "sensitivity", "specificity")
COLUMNS = ("network", "million weights", "minutes", "n", *FIGURES, "accuracy less the bundle's own")
"""Headers of `lines`."""

LIMITS = (
    "One training of each network by one seed: another seed moves each figure, and the intervals, which are over images, do not hold that.",
    "With --split lesion all are judged on the images that chose each network's epoch: every figure tends to be better than on new images, most so that of a network that swings from epoch to epoch.",
    "A schedule that was chosen for one network may suit it better than the others.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One network: its size, how long it learned, and its figures on the images of one kind."""

    name: str
    weights: int
    minutes: float
    figures: Mapping[str, Figure]
    difference: Figure | None
    """Accuracy less the own network's, paired; None for the own network itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All networks on the images of one kind: photographs, or pictures drawn by a program."""

    title: str
    networks: tuple[Compared, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trained:
    name: str
    weights: int
    minutes: float
    logits: Values


def compare(bundle: Path, out: Path, names: Sequence[str], settings: Mapping[str, Any]) -> tuple[Comparison, ...]:
    """Train the bundle's own network and those of `names`, each in its folder below `out`, and judge all; real and synthetic apart.

    `settings` are those of a training; one that was stopped goes on. Raises TrainingError for what cannot be trained, and for
    names that are not known.
    """
    if unknown := [name for name in names if name not in COMMON]:
        raise TrainingError(f"{', '.join(unknown)} is not among the networks to compare with; they are {', '.join(COMMON)}")
    own = json.loads((bundle / "configs" / "train.json").read_text(encoding="utf-8"))
    if "classes" not in own or "network_def" not in own:
        raise TrainingError(f"{bundle / 'configs' / 'train.json'} trains no classifier; compare a bundle that has classes")
    start = {"pretrained": None, **settings}
    trained: list[_Trained] = []
    rows: list[Row] = []
    for name in (OWN, *names):
        tell(f"network {name}, {len(trained) + 1} of {len(names) + 1}")
        made = train(bundle, out / name, start | (_changes(name) if name != OWN else {}))
        table = read_table(made.table).rows
        rows = [row for row in table if row.split in {"val", "test"} and row.label in own["classes"]]
        network = _network(own | start, name)
        network.load_state_dict(weights_of(made.weights, network))
        trained.append(
            _Trained(
                name=name,
                weights=sum(value.numel() for value in network.parameters()),
                minutes=made.seconds / 60,
                logits=_logits(network.eval(), rows, own),
            )
        )
    tasks = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8")).get("tasks", {})
    return tuple(_judged(bundle.name, trained, rows, own["classes"], tasks, drawn=drawn) for drawn in _kinds(rows))


def _changes(name: str) -> dict[str, Any]:
    """Return the settings that put another network in the place of the bundle's; what is made for its layers goes."""
    return {
        "network_def": COMMON[name],
        "network": {"_target_": "derm_training.learning.start.started", "network": "@network_def", "pretrained": "@pretrained", "device": "@place"},
        "inferer": {"_target_": "derm_training.learning.engine.TrainingInferer", "precision": "bfloat16"},
        "optimizer#rates": None,
    }


def _network(settings: Mapping[str, Any], name: str) -> nn.Module:
    parser = ConfigParser(dict(settings))
    if name != OWN:
        parser["network_def"] = COMMON[name]
    elif "auxiliary" in parser.get("network_def"):
        parser["network_def#auxiliary"] = False  # these classifiers are for training alone
    network: nn.Module = parser.get_parsed_content("network_def")
    return network


@torch.inference_mode()
def _logits(network: nn.Module, rows: Sequence[Row], own: Mapping[str, Any]) -> Values:
    """Return (N, classes): whole pictures at the network's size, as the training's validation sees them."""
    resize = ResizeAntialiased(own["height"], own["width"])
    mean, std = (torch.tensor(own[key]).view(-1, 1, 1) for key in ("mean", "std"))
    found = []
    for row in rows:
        picture = (resize(read_rgb(row.image).transpose(2, 0, 1)) / 255 - mean) / std
        found.append(network(picture[None])[0, : len(own["classes"])].double().numpy())
    return np.stack(found)


def _kinds(rows: Sequence[Row]) -> list[bool]:
    return sorted({synthetic(row) for row in rows})


def _judged(
    bundle: str, trained: Sequence[_Trained], rows: Sequence[Row], every: Sequence[str], tasks: Mapping[str, Sequence[str]], *, drawn: bool
) -> Comparison:
    classes = [name for name in every if name in tasks.get("synthetic" if drawn else "real", every)]
    chosen = [i for i, row in enumerate(rows) if synthetic(row) == drawn and row.label in classes]
    columns = [list(every).index(name) for name in classes]
    judged = [
        Judged(
            truth=np.array([classes.index(rows[i].label) for i in chosen]),
            probabilities=torch.from_numpy(one.logits[np.ix_(chosen, columns)]).softmax(dim=1).numpy(),
            groups=tuple(rows[i].group for i in chosen),
            positive=1 if len(classes) == 2 else None,
            threshold=0.5,
            baseline=None,
        )
        for one in trained
    ]
    return Comparison(
        title=f"{'SYNTHETIC: ' if drawn else ''}{bundle} beside common networks, one schedule",
        networks=tuple(
            Compared(
                name=one.name,
                weights=one.weights,
                minutes=one.minutes,
                figures=figures(mine),
                difference=None if one.name == OWN else _difference(mine, judged[0]),
            )
            for one, mine in zip(trained, judged, strict=True)
        ),
        notes=(f"{len(chosen)} images of {len(classes)} classes: {', '.join(classes)}.",),
    )


def _difference(one: Judged, other: Judged) -> Figure:
    right, beside = one.called == one.truth, other.called == other.truth

    def less(images: Indices) -> float:
        return share(right[images]) - share(beside[images])

    return summary(less, np.arange(len(one.truth)), one.samples())


def lines(found: Comparison) -> list[tuple[str, ...]]:
    """Return the rows of the table."""
    return [
        (
            one.name,
            f"{one.weights / 1e6:.1f}",
            f"{one.minutes:.1f}",
            str(one.figures["auc"].n),
            *(str(one.figures[name]) for name in FIGURES),
            "" if one.difference is None else one.difference.signed(),
        )
        for one in found.networks
    ]


def as_values(found: Sequence[Comparison]) -> dict[str, Any]:
    """Return the comparisons as JSON has them."""
    return {"use": RESEARCH_USE, "limits": list(LIMITS), "comparisons": [_values(one) for one in found]}


def _values(found: Comparison) -> dict[str, Any]:
    networks = []
    for one in found.networks:
        values: dict[str, Any] = {"network": one.name, "weights": one.weights, "minutes": one.minutes, "n": one.figures["auc"].n}
        named = {name: one.figures[name] for name in FIGURES} | ({} if one.difference is None else {"accuracy_difference": one.difference})
        for name, figure in named.items():
            value, low, high = (number if np.isfinite(number) else None for number in (figure.value, figure.low, figure.high))
            values |= {name: value, f"{name}_ci": [low, high]}
        networks.append(values)
    return {"title": found.title, "notes": list(found.notes), "networks": networks}


def write(found: Sequence[Comparison], folder: Path) -> None:
    """Write comparison.json and comparison.html."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps(as_values(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    parts = []
    for one in found:
        parts += [page.heading(one.title), *map(page.paragraph, one.notes), page.table(COLUMNS, lines(one))]
    title = "Networks under one schedule"
    (folder / "comparison.html").write_text(page.page(title, [*parts, *map(page.paragraph, LIMITS)]), encoding="utf-8")
