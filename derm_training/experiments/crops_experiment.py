"""One classifier on whole images, on the network's crops of them and on crops by hand: what the crop search in front of it brings.

The experiment of Yanagisawa et al., J Dermatol Sci 2023;109(1):30-36, on any table with masks: the mask drawn by a person stands for
the hand, and both crops are laid by the same search (`derm_networks.crops`), so that they differ by the mask alone. An image
with several crops is read at that of its largest lesion, since a table has one label an image. Differences are paired: the same
images, the same draws of the bootstrap by lesion.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from PIL import Image

from derm_networks.crops import Crop, find_crops
from derm_networks.served import Picture, ServedBundle
from derm_training.measuring.statement import RESEARCH_USE
from derm_training.measuring.statistics import (
    Figure,
    Indices,
    Statistic,
    area_under_curve,
    resamples,
    share,
    summary,
    widened,
)
from derm_training.reporting import page
from derm_training.tables.manifest import read_mask, read_rgb
from derm_training.tables.rows import Row

WAYS = {"whole": "whole images", "network": "the network's crops", "hand": "crops by hand"}
"""What the classifier reads, in words."""

FIGURES = ("accuracy", "sensitivity", "specificity", "auc")

LIMITS = (
    "The hand is a mask drawn by a person, from which the crop is searched; a person who crops freely may choose otherwise.",
    "The figures hold for this classifier at its own threshold, and for images such as these: with few images the intervals say more than the values.",
)

_SQUARE = {"min_lesion": 0.1, "max_crops": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One image: the positive class's probability by each way, and the crops read; None where there is no crop."""

    row: Row
    positive: bool
    whole: float
    network: float | None
    hand: float | None
    network_crops: tuple[Crop, ...]
    hand_crops: tuple[Crop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The figures by way on the images that the way can read, and on those that all ways can read with paired differences."""

    title: str
    threshold: float
    positive: str
    readings: tuple[Reading, ...]
    each: Mapping[str, Mapping[str, Figure]]
    paired: Mapping[str, Mapping[str, Figure]]
    differences: Mapping[str, Mapping[str, Figure]]
    """Of `network` and `hand` less whole images, and of `network` less `hand`, by name such as "network - whole"."""
    notes: tuple[str, ...]

    def without(self, way: str) -> tuple[Reading, ...]:
        """Return the images that have no crop by this way."""
        return tuple(one for one in self.readings if getattr(one, way) is None)


def crops_of(segmenter: ServedBundle, picture: Picture) -> tuple[Crop, ...]:
    """Return the crops that the segmenter's description asks for; where it draws no skin, all of the image counts as skin."""
    search: dict[str, Any] = segmenter.description.get("crops") or {}
    masks = {
        one["id"]: segmenter.mask(picture, output=one["id"]) for one in segmenter.description["outputs"] if one["kind"] == "segmentation"
    }
    lesion = masks[search["lesion"]] if search else next(iter(masks.values()))
    skin = masks[search["skin"]] if search else np.ones_like(lesion)
    limits = {name: search[name] for name in ("min_skin", "min_lesion", "max_crops") if name in search}
    return find_crops(lesion, skin, **limits)


def crops_by_hand(mask: Path, size: tuple[int, int]) -> tuple[Crop, ...]:
    """Return the crops, of a picture with this width and height, around the lesions of a mask that a person drew, who takes care of the skin."""
    drawn = Image.fromarray(read_mask(mask)).resize(size, Image.Resampling.NEAREST)
    lesion = np.asarray(drawn) > 0
    return find_crops(lesion, np.ones_like(lesion), **_SQUARE)  # type: ignore[arg-type]


def read(row: Row, segmenter: ServedBundle, classifier: ServedBundle, *, positive: Sequence[str]) -> Reading:
    """Read one image with a mask in all three ways; `positive` are the labels that count as the classifier's positive class."""
    if row.mask is None:
        raise ValueError(f"{row.image} has no mask")
    picture = read_rgb(row.image)
    point = classifier.description["operating_points"][0]["positive"]

    def probability(crop: Crop | None) -> float:
        part = picture if crop is None else picture[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        return classifier.probabilities(np.ascontiguousarray(part))[point]

    network, hand = crops_of(segmenter, picture), crops_by_hand(row.mask, (picture.shape[1], picture.shape[0]))
    return Reading(
        row=row,
        positive=row.label in positive,
        whole=probability(None),
        network=probability(network[0]) if network else None,
        hand=probability(hand[0]) if hand else None,
        network_crops=network,
        hand_crops=hand,
    )


def judge(
    readings: Sequence[Reading], *, title: str, threshold: float, positive: str, notes: Sequence[str] = (), draws: int = 2000
) -> Experiment:
    """Return the figures; raises ValueError where the images are not of both classes or none can be read in all ways."""
    common = [one for one in readings if one.network is not None and one.hand is not None]
    for words, some in (("", readings), (" with a crop by network and hand", common)):
        if len({one.positive for one in some}) < 2:
            raise ValueError(f"the {len(some)} images{words} are not of both classes; take more images, or other labels by --positive and --negative")
    samples = resamples([one.row.group for one in common], draws=draws)
    statistics = {way: _statistics(common, way, threshold) for way in WAYS}
    everyone = np.arange(len(common))
    differences = {
        f"{one} - {other}": {
            name: summary(_difference(statistics[one][name], statistics[other][name]), everyone, samples) for name in FIGURES
        }
        for one, other in (("network", "whole"), ("hand", "whole"), ("network", "hand"))
    }
    return Experiment(
        title=title,
        threshold=threshold,
        positive=positive,
        readings=tuple(readings),
        each={way: _figures([one for one in readings if getattr(one, way) is not None], way, threshold, draws) for way in WAYS},
        paired={way: _figures(common, way, threshold, draws) for way in WAYS},
        differences=differences,
        notes=tuple(notes),
    )


def _statistics(readings: Sequence[Reading], way: str, threshold: float) -> dict[str, Statistic]:
    truth = np.array([one.positive for one in readings])
    scores = np.array([getattr(one, way) for one in readings], dtype=np.float64)
    called = scores >= threshold
    return {
        "accuracy": lambda i: share(called[i] == truth[i]),
        "sensitivity": lambda i: share(called[i][truth[i]]),
        "specificity": lambda i: share(~called[i][~truth[i]]),
        "auc": lambda i: area_under_curve(truth[i], scores[i]),
    }


def _figures(readings: Sequence[Reading], way: str, threshold: float, draws: int) -> dict[str, Figure]:
    groups = [one.row.group for one in readings]
    samples = resamples(groups, draws=draws)
    truth = np.array([one.positive for one in readings])
    found = {name: summary(one, np.arange(len(readings)), samples) for name, one in _statistics(readings, way, threshold).items()}
    chosen = {"accuracy": np.ones_like(truth), "sensitivity": truth, "specificity": ~truth}
    for name, mine in chosen.items():
        found[name] = widened(found[name], len({group for group, here in zip(groups, mine, strict=True) if here}))
    return found


def _difference(one: Statistic, other: Statistic) -> Statistic:
    def less(images: Indices) -> float:
        return one(images) - other(images)

    return less


def sentences(found: Experiment) -> list[str]:
    """Say what was read, what was left out and which images have no crop."""
    said = [
        f"{len(found.readings)} images, {sum(one.positive for one in found.readings)} positive ({found.positive}); threshold {found.threshold:g}.",
        *found.notes,
    ]
    for way in ("network", "hand"):
        missing = found.without(way)
        if missing:
            names = ", ".join(one.row.image.name for one in missing[:10]) + (", …" if len(missing) > 10 else "")
            said.append(f"{len(missing)} images have none of {WAYS[way]}: {names}. In the service they are not analysed.")
        several = sum(len(getattr(one, f"{way}_crops")) > 1 for one in found.readings)
        if several:
            said.append(f"{several} images have several of {WAYS[way]}; the largest lesion's is read.")
    return said


def lines(found: Experiment) -> list[tuple[str, ...]]:
    """Return the table: each way on its own images, then on those that all ways can read, then the paired differences."""
    rows: list[tuple[str, ...]] = []
    for title, figures in (("", found.each), ("paired: ", found.paired)):
        rows += [(f"{title}{WAYS[way]}", str(mine["accuracy"].n), *(str(mine[name]) for name in FIGURES)) for way, mine in figures.items()]
    for name, mine in found.differences.items():
        shown = (mine[one].signed() for one in FIGURES)
        rows.append((f"difference {name}", str(mine["accuracy"].n), *shown))
    return rows


COLUMNS = ("what is read", "n", *FIGURES)
"""Headers of `lines`."""


def as_values(found: Experiment) -> dict[str, Any]:
    """Return the experiment as JSON has it."""

    def block(figures: Mapping[str, Figure]) -> dict[str, Any]:
        values: dict[str, Any] = {"n": figures["accuracy"].n}
        for name, one in figures.items():
            value, low, high = (number if np.isfinite(number) else None for number in (one.value, one.low, one.high))
            values |= {name: value, f"{name}_ci": [low, high]}
        return values

    return {
        "title": found.title,
        "use": RESEARCH_USE,
        "n": len(found.readings),
        "threshold": found.threshold,
        "positive": found.positive,
        "notes": list(found.notes),
        "each": {way: block(one) for way, one in found.each.items()},
        "paired": {way: block(one) for way, one in found.paired.items()},
        "differences": {name: block(one) for name, one in found.differences.items()},
        "without_a_crop": {way: [one.row.image.name for one in found.without(way)] for way in ("network", "hand")},
    }


def write(found: Experiment, folder: Path) -> None:
    """Write crops.html, crops.json, crops.png, and crops.csv with a row an image."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "crops.json").write_text(json.dumps(as_values(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _plot(found, folder / "crops.png")
    with (folder / "crops.csv").open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["image", "label", "positive", *WAYS, "network_crop", "hand_crop"])
        for one in found.readings:
            crops = (" ".join(map(str, some[0])) if some else "none" for some in (one.network_crops, one.hand_crops))
            shares = ("" if value is None else f"{value:.4f}" for value in (one.whole, one.network, one.hand))
            out.writerow([one.row.image.name, one.row.label, int(one.positive), *shares, *crops])
    parts = [page.paragraph(sentence) for sentence in sentences(found)]
    parts += [page.picture("crops.png", "Accuracy, sensitivity and specificity of the three ways"), page.table(COLUMNS, lines(found))]
    parts += [page.paragraph(sentence) for sentence in LIMITS]
    (folder / "crops.html").write_text(page.page(found.title, parts), encoding="utf-8")


def _plot(found: Experiment, file: Path) -> None:
    canvas = Canvas(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    for number, (way, figures) in enumerate(found.paired.items()):
        places = [place + 0.18 * (number - 1) for place in range(len(FIGURES))]
        for place, name in zip(places, FIGURES, strict=True):
            axes.plot([place, place], [figures[name].low, figures[name].high], color=f"C{number}")
        axes.plot(places, [figures[name].value for name in FIGURES], "o", color=f"C{number}", label=WAYS[way])
    n = found.paired["whole"]["accuracy"].n
    axes.set(xticks=range(len(FIGURES)), xticklabels=list(FIGURES), ylim=(0, 1.02), title=f"{found.title}\nn {n}, intervals 95 %. {RESEARCH_USE}")
    axes.title.set_fontsize(10)
    axes.legend(fontsize=8)
    canvas.savefig(file, dpi=120, metadata={"Software": None})
