"""t-SNE of a network's features: which pictures it sees as alike, as a plot, a table, and words on what it does not show.

van der Maaten and Hinton, J Mach Learn Res 2008;9:2579-2605, as Zhu et al., Front Med 2021;8:626369, show theirs. The features are
the means of the network's last maps, before the classifier. What the plane distorts is measured beside it in the feature space:
how often the nearest neighbour of a picture bears its label, of photographs and of drawn pictures each by themselves.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_limits

from derm_networks.served import Picture, ServedBundle
from derm_training.measuring.statement import RESEARCH_USE
from derm_training.reporting import page
from derm_training.tables.selection import SYNTHETIC

_MARK = SYNTHETIC.upper()
Features = NDArray[np.float32]
"""(N, C): one row a picture."""

LEAST = 5
"""Pictures below which there is nothing to lay out."""

LIMITS = (
    "The axes have no meaning and no unit: distances between clusters, their sizes and densities are no measure of how alike diseases are.",
    "Another perplexity, or other pictures among them, give another plane.",
    "Clusters can be of cameras, clinics, magnifications or skin tones instead of diseases: look at the column source of the table too.",
    "A picture beside others of its label is no proof that the network calls it rightly; pictures that are not in it are not spoken of.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One picture of the plot: what names it in the table, and the label that colours it."""

    name: str
    label: str
    about: tuple[tuple[str, str], ...] = ()
    """Further columns of the table."""
    drawn: bool = False
    """Whether a program drew it, in whole or in part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """How many pictures of one kind bear each label, and how often the nearest of that kind has the same; None of one picture alone."""

    drawn: bool
    labels: dict[str, int]
    same_label: float | None
    by_chance: float | None

    @property
    def n(self) -> int:
        """How many pictures are of the kind."""
        return sum(self.labels.values())

    def sentences(self, coloured_by: str) -> tuple[str, ...]:
        """Say what was laid out of the kind, and what its features say."""
        mark = f"{_MARK}: " if self.drawn else ""
        labels = ", ".join(f"{label} {n}" for label, n in self.labels.items())
        first = f"{mark}{self.n} pictures, coloured by {coloured_by}: {labels}."
        if self.same_label is None:
            return (first,)
        return (
            first,
            f"{mark}In the feature space {self.same_label:.1%} of the pictures have a nearest neighbour of the same label; by chance {self.by_chance:.1%}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedding:
    """Pictures and their places (N, 2); beside them what is true in the feature space, of photographs first, then of drawn pictures."""

    title: str
    coloured_by: str
    shown: tuple[Shown, ...]
    places: NDArray[np.float32]
    neighbours: tuple[Neighbours, ...]
    notes: tuple[str, ...]

    def sentences(self) -> tuple[str, ...]:
        """Say what was laid out and what the feature space says without the plane."""
        return (*(said for one in self.neighbours for said in one.sentences(self.coloured_by)), *self.notes)


def pooled_features(bundle: ServedBundle, picture: Picture) -> Features:
    """Return the features (C,) of (height, width, 3) RGB; of a mosaic, all of whose channels are alike, the mean over its windows.

    Raises ValueError where the bundle's network has no pooled features, where every window of a mosaic is empty, or for colour where it reads grey.
    """
    description = bundle.description
    if not hasattr(bundle.network, "pooled_features"):
        raise ValueError(f"the network {description['network']['name']} of {description['name']} has no pooled features; t-SNE is for classifiers of derm_networks")
    found = bundle.by_parts(picture, cast(Any, bundle.network).pooled_features)
    return np.asarray(found.mean(dim=0).numpy(), dtype=np.float32)


def embed(
    shown: Sequence[Shown],
    features: Iterable[Features],
    *,
    title: str,
    coloured_by: str,
    notes: Sequence[str] = (),
    perplexity: float = 30.0,
) -> Embedding:
    """Lay the pictures out; the same pictures give the same plane in any order. Perplexity shrinks where pictures are few.

    Raises ValueError for fewer than `LEAST` pictures, or where the network sees all of them as the same.
    """
    rows = np.stack(list(features)) if shown else np.empty((0, 0), dtype=np.float32)
    if len(shown) < LEAST:
        raise ValueError(" ".join([f"{len(shown)} pictures are too few to lay out; {LEAST} are needed.", *notes]))
    order = sorted(range(len(shown)), key=lambda index: shown[index].name)
    ordered = tuple(shown[index] for index in order)
    rows = rows[order]
    if (np.ptp(rows, axis=0) > 0).sum() < 2:
        raise ValueError("the network's features are the same for all pictures; there is nothing to lay out")
    layout = TSNE(
        perplexity=min(perplexity, (len(order) - 1) / 3), init="pca", learning_rate="auto", random_state=0,
        method="exact" if len(order) < 500 else "barnes_hut",
    )  # fmt: skip
    with threadpool_limits(1):  # sums in another order give another plane
        places = np.asarray(layout.fit_transform(_standardised(rows)), dtype=np.float32)
    kinds = sorted({one.drawn for one in ordered})
    return Embedding(
        title=f"Photographs and {_MARK} pictures: {title}" if len(kinds) > 1 else f"{_MARK}: {title}" if kinds[0] else title,
        coloured_by=coloured_by,
        shown=ordered,
        places=places,
        neighbours=tuple(_neighbours(ordered, rows, drawn=drawn) for drawn in kinds),
        notes=tuple(notes),
    )


def _standardised(rows: Features) -> NDArray[np.float64]:
    values = rows.astype(np.float64)
    told = np.ptp(values, axis=0) > 0
    return np.asarray((values - values.mean(axis=0)) / np.where(told, values.std(axis=0), 1.0))


def _neighbours(shown: Sequence[Shown], rows: Features, *, drawn: bool) -> Neighbours:
    """Return how often the nearest picture of that kind has the same label, and how often a random other one has."""
    mine = [index for index, one in enumerate(shown) if one.drawn == drawn]
    names = np.asarray([shown[index].label for index in mine])
    labels = dict(sorted(Counter(names.tolist()).items()))
    total = len(mine)
    if total < 2:
        return Neighbours(drawn=drawn, labels=labels, same_label=None, by_chance=None)
    distances = pairwise_distances(_standardised(rows[mine]))
    np.fill_diagonal(distances, np.inf)
    same = float((names == names[distances.argmin(axis=1)]).mean())
    chance = sum(count * (count - 1) for count in labels.values()) / (total * (total - 1))
    return Neighbours(drawn=drawn, labels=labels, same_label=same, by_chance=chance)


def write(found: Embedding, folder: Path) -> None:
    """Write embedding.png, embedding.csv (a row a picture with its place), embedding.json and embedding.html."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    plot(found, folder / "embedding.png")
    columns = [name for name, _ in found.shown[0].about]
    with (folder / "embedding.csv").open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["picture", found.coloured_by, *columns, "x", "y"])
        for one, (x, y) in zip(found.shown, found.places, strict=True):
            out.writerow([one.name, one.label, *(value for _, value in one.about), f"{x:.4f}", f"{y:.4f}"])
    (folder / "embedding.json").write_text(json.dumps(as_values(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    parts = [page.paragraph(sentence) for sentence in found.sentences()]
    parts += [page.picture("embedding.png", f"t-SNE coloured by {found.coloured_by}"), page.heading("What it does not show")]
    parts += [page.paragraph(sentence) for sentence in LIMITS]
    (folder / "embedding.html").write_text(page.page(found.title, parts), encoding="utf-8")


def as_values(found: Embedding) -> dict[str, Any]:
    """Return the figures as JSON has them; the places are in the table."""
    return {
        "title": found.title,
        "use": RESEARCH_USE,
        "n": len(found.shown),
        "coloured_by": found.coloured_by,
        "kinds": [
            {"synthetic": one.drawn, "n": one.n, "labels": one.labels, "nearest_neighbour_same_label": one.same_label, "by_chance": one.by_chance}
            for one in found.neighbours
        ],
        "notes": list(found.notes),
        "does_not_show": list(LIMITS),
    }


def plot(found: Embedding, file: Path) -> None:
    """Draw the plane as PNG, a colour and a mark for each label; the points of drawn pictures are hollow."""
    canvas = Canvas(figsize=(8, 8.4), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    numbers = {label: number for number, label in enumerate(sorted({one.label for one in found.shown}))}
    for drawn, label in sorted({(one.drawn, one.label) for one in found.shown}):
        mine = found.places[[(one.drawn, one.label) == (drawn, label) for one in found.shown]]
        colour = f"C{numbers[label] % 10}"
        axes.scatter(
            mine[:, 0], mine[:, 1], s=14, alpha=0.75, edgecolors=colour, facecolors="none" if drawn else colour,
            marker="os^vDPX"[numbers[label] // 10 % 7], label=f"{f'{_MARK}: ' if drawn else ''}{label} ({len(mine)})",
        )  # fmt: skip
    axes.set(xticks=[], yticks=[], title=found.title)
    axes.title.set_fontsize(10)
    axes.set_xlabel(f"t-SNE: axes, distances between clusters and their sizes have no meaning.\n{RESEARCH_USE}", fontsize=8)
    axes.legend(fontsize=8)
    canvas.savefig(file, dpi=120, metadata={"Software": None})
