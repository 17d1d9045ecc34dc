"""Measure the shipped file: `python evaluate.py --data MELNEV_BALANCED.csv [--json] [--write]`.

Every picture of the val split goes the way of the service (serving.json, float16 weights). Intervals are bootstraps over
lesions. Beside each AUC stands the baseline: a logistic regression on a colour histogram, trained on the train split of
the same table, which says how much of the task colour alone solves. With --write the figures go into
configs/serving.json and docs/README.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from derm_networks.card import write_block
from derm_networks.figures import Figure, area_under_curve, bootstrap, share
from derm_networks.manifest import Row, labelled_rows, read_rgb
from derm_networks.served import open_bundle

BUNDLE = Path(__file__).resolve().parent.parent
CLASSES = ("nevus", "melanoma")
COLOUR_BINS = 6
METRICS = ("auc", "accuracy", "sensitivity", "specificity", "baseline_auc")

Values = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="table of images (MELNEV_BALANCED.csv)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="write the figures into serving.json and the model card")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bundle = open_bundle(BUNDLE)
    threshold = bundle.description["operating_points"][0]["threshold"]
    rows = labelled_rows(arguments.data, "val", CLASSES)
    scores = np.array([bundle.probabilities(read_rgb(row.image))["melanoma"] for row in rows])
    baseline = colour_baseline(labelled_rows(arguments.data, "train", CLASSES), rows)

    parts = {"all": rows}
    for name in sorted({row.dataset for row in rows}):
        parts[name] = [row for row in rows if row.dataset == name]
    for name in sorted({row.source for row in rows}):
        parts[f"source {name}"] = [row for row in rows if row.source == name]
    figures: dict[str, dict[str, Figure]] = {}
    for name, part in parts.items():
        chosen = np.array([row in part for row in rows])
        figures[name] = measure(part, scores[chosen], baseline[chosen], threshold)
    truth = np.array([row.label == "melanoma" for row in rows])
    error = calibration_error(truth, scores)
    if arguments.json:
        print(json.dumps(as_json(figures, threshold, error), indent=1))
    else:
        print(as_table(figures))
        print(f"expected calibration error, 10 bins: {error:.3f}")
    if arguments.write:
        write(figures, error)


def measure(rows: list[Row], scores: Values, baseline: Values, threshold: float) -> dict[str, Figure]:
    """All figures of one part of the pictures, with intervals."""
    groups = [row.group for row in rows]
    truth = np.array([row.label == "melanoma" for row in rows])
    called = scores >= threshold
    return {
        "auc": bootstrap(groups, lambda i: area_under_curve(truth[i], scores[i])),
        "accuracy": bootstrap(groups, lambda i: share(truth[i] == called[i])),
        "sensitivity": bootstrap(groups, lambda i: share(called[i][truth[i]])),
        "specificity": bootstrap(groups, lambda i: share(~called[i][~truth[i]])),
        "baseline_auc": bootstrap(groups, lambda i: area_under_curve(truth[i], baseline[i])),
    }


def colour_baseline(train: list[Row], val: list[Row]) -> Values:
    """Probability of melanoma (N,) of the val rows by logistic regression on colour histograms of the train rows."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))
    model.fit(np.stack([histogram(row) for row in train]), [row.label == "melanoma" for row in train])
    return np.asarray(model.predict_proba(np.stack([histogram(row) for row in val]))[:, 1])


def histogram(row: Row) -> Values:
    """Square roots of the shares of COLOUR_BINS cubed colours, after shrinking to 96 x 96 so that sharpness does not count."""
    small = np.asarray(Image.fromarray(read_rgb(row.image)).resize((96, 96), Image.Resampling.BOX))
    counts, _ = np.histogramdd(small.reshape(-1, 3), bins=COLOUR_BINS, range=[(0, 256)] * 3)
    return np.sqrt(counts.ravel() / counts.sum())


def calibration_error(truth: NDArray[np.bool_], scores: Values) -> float:
    """Return the expected calibration error of the probability of melanoma over 10 equal bins."""
    bins = np.minimum((scores * 10).astype(int), 9)
    return float(
        sum((bins == one).mean() * abs(truth[bins == one].mean() - scores[bins == one].mean()) for one in np.unique(bins))
    )


def as_json(figures: dict[str, dict[str, Figure]], threshold: float, error: float) -> dict[str, object]:
    """One object: the figures of the val split, and per_source and per_dataset with the same keys."""

    def one(part: dict[str, Figure]) -> dict[str, object]:
        found: dict[str, object] = {"n": part["auc"].n, "threshold": threshold}
        for metric in METRICS:
            found |= {metric: part[metric].value, f"{metric}_ci": [part[metric].low, part[metric].high]}
        return found

    sources = {name.removeprefix("source "): one(part) for name, part in figures.items() if name.startswith("source ")}
    sets = {name: one(part) for name, part in figures.items() if name != "all" and not name.startswith("source ")}
    return one(figures["all"]) | {"ece": error, "per_source": sources, "per_dataset": sets}


def as_table(figures: dict[str, dict[str, Figure]]) -> str:
    lines = [
        "| val images | n | AUC (95 % interval) | accuracy | sensitivity | specificity | AUC of the colour baseline |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, part in figures.items():
        cells = " | ".join(str(part[metric]) for metric in METRICS)
        lines.append(f"| {name} | {part['auc'].n} | {cells} |")
    return "\n".join(lines)


def write(figures: dict[str, dict[str, Figure]], error: float) -> None:
    serving = BUNDLE / "configs" / "serving.json"
    description = json.loads(serving.read_text(encoding="utf-8"))
    description["validation"] = [
        {
            "dataset": "MELNEV_BALANCED" if name == "all" else name,
            "split": "val",
            "metric": metric,
            "value": round(part[metric].value, 6),
            "low": round(part[metric].low, 6),
            "high": round(part[metric].high, 6),
            "n": part[metric].n,
        }
        for name, part in figures.items()
        for metric in METRICS
    ]
    serving.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    note = f"\n\nExpected calibration error over 10 bins, val split: {error:.3f}."
    write_block(BUNDLE / "docs" / "README.md", "figures", as_table(figures) + note)


if __name__ == "__main__":
    main()
