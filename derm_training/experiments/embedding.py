"""t-SNE of a network's features: which pictures it sees as alike, as a plot, a table, and words on what it does not show.

van der Maaten and Hinton, J Mach Learn Res 2008;9:2579-2605, as Zhu et al., Front Med 2021;8:626369, show theirs. The features are
the means of the network's last maps, before the classifier. What the plane distorts is measured beside it in the feature space:
how often the nearest neighbour of a picture bears its label.
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
from derm_training.reporting import page

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedding:
    """Pictures and their places (N, 2); `same_label` of nearest neighbours beside what chance alone would give."""

    title: str
    coloured_by: str
    shown: tuple[Shown, ...]
    places: NDArray[np.float32]
    same_label: float
    by_chance: float
    notes: tuple[str, ...]

    def sentences(self) -> tuple[str, ...]:
        """Say what was laid out and what the feature space says without the plane."""
        counts = Counter(one.label for one in self.shown)
        labels = ", ".join(f"{label} {n}" for label, n in sorted(counts.items()))
        return (
            f"{len(self.shown)} pictures, coloured by {self.coloured_by}: {labels}.",
            f"In the feature space {self.same_label:.1%} of the pictures have a nearest neighbour of the same label; by chance {self.by_chance:.1%}.",
            *self.notes,
        )


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
    standard = _standardised(rows[order])
    layout = TSNE(
        perplexity=min(perplexity, (len(order) - 1) / 3), init="pca", learning_rate="auto", random_state=0,
        method="exact" if len(order) < 500 else "barnes_hut",
    )  # fmt: skip
    with threadpool_limits(1):  # sums in another order give another plane
        places = np.asarray(layout.fit_transform(standard), dtype=np.float32)
    labels = [one.label for one in ordered]
    same, chance = _neighbours(standard, labels)
    return Embedding(
        title=title,
        coloured_by=coloured_by,
        shown=ordered,
        places=places,
        same_label=same,
        by_chance=chance,
        notes=tuple(notes),
    )


def _standardised(rows: Features) -> NDArray[np.float64]:
    values = rows.astype(np.float64)
    spread = values.std(axis=0)
    told = spread > 0
    if told.sum() < 2:
        raise ValueError("the network's features are the same for all pictures; there is nothing to lay out")
    return np.asarray((values[:, told] - values[:, told].mean(axis=0)) / spread[told])


def _neighbours(values: NDArray[np.float64], labels: Sequence[str]) -> tuple[float, float]:
    """Return how often the nearest neighbour has the same label, and how often a random other picture has."""
    distances = pairwise_distances(values)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    names = np.asarray(labels)
    counts = np.array(list(Counter(labels).values()))
    total = len(names)
    return float((names == names[nearest]).mean()), float((counts * (counts - 1)).sum() / (total * (total - 1)))


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
        "use": page.RESEARCH_USE,
        "n": len(found.shown),
        "coloured_by": found.coloured_by,
        "labels": dict(sorted(Counter(one.label for one in found.shown).items())),
        "nearest_neighbour_same_label": found.same_label,
        "by_chance": found.by_chance,
        "notes": list(found.notes),
        "does_not_show": list(LIMITS),
    }


def plot(found: Embedding, file: Path) -> None:
    """Draw the plane as PNG, a colour and a mark for each label."""
    canvas = Canvas(figsize=(8, 8.4), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    labels = np.asarray([one.label for one in found.shown])
    for number, label in enumerate(sorted(set(labels.tolist()))):
        mine = found.places[labels == label]
        axes.scatter(
            mine[:, 0], mine[:, 1], s=14, alpha=0.75, color=f"C{number % 10}", marker="os^vDPX"[number // 10 % 7], label=f"{label} ({len(mine)})"
        )
    axes.set(xticks=[], yticks=[], title=found.title)
    axes.title.set_fontsize(10)
    axes.set_xlabel(f"t-SNE: axes, distances between clusters and their sizes have no meaning.\n{page.RESEARCH_USE}", fontsize=8)
    axes.legend(fontsize=8)
    canvas.savefig(file, dpi=120, metadata={"Software": None})
