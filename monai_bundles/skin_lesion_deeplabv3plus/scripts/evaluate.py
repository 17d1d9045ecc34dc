"""Measure the shipped file: `python evaluate.py --data MANIFEST.csv [--json] [--write]`.

Every picture of the val split goes the way of the service (serving.json, float16 weights, logits enlarged to the
picture, threshold, largest region, holes filled) and is compared with its mask at the picture's own size. Intervals are
bootstraps over lesions. With --write the figures go into configs/serving.json and docs/README.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from derm_networks.card import write_block
from derm_networks.figures import Figure, bootstrap
from derm_networks.manifest import Row, masked_rows, read_manifest, read_mask, read_rgb
from derm_networks.served import ServedBundle, open_bundle

BUNDLE = Path(__file__).resolve().parent.parent
FULL_SET = "ISIC2017-val-full"  # full resolution, never trained on: training leaves out full/, and the set is not in img/


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="table of images with masks (MANIFEST.csv)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="write the figures into serving.json and the model card")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bundle = open_bundle(BUNDLE)
    val = masked_rows(arguments.data, "val")
    full = [row for row in read_manifest(arguments.data) if row.dataset == FULL_SET and row.mask]
    measured = [compare(bundle, row) for row in val + full]

    parts = {"all": [row in val for row in val + full]}
    for name in [*sorted({row.dataset for row in val}), FULL_SET]:
        rows = full if name == FULL_SET else [row for row in val if row.dataset == name]
        parts[name] = [row in rows for row in val + full]
    figures: dict[str, dict[str, Figure]] = {}
    for name, chosen in parts.items():
        kept = [one for one, take in zip(measured, chosen, strict=True) if take]
        groups = [row.group for row, take in zip(val + full, chosen, strict=True) if take]
        figures[name] = {
            metric: mean_figure([one[metric] for one in kept], groups)
            for metric in ("jaccard", "dice", "jaccard_uncleaned", "found")
        }
    if arguments.json:
        print(json.dumps(as_json(figures), indent=1))
    else:
        print(as_table(figures))
    if arguments.write:
        write(figures)


def compare(bundle: ServedBundle, row: Row) -> dict[str, float]:
    """Jaccard and Dice of the mask as the service draws it and as the network alone draws it."""
    if row.mask is None:
        raise ValueError(f"{row.image} has no mask")
    picture, truth = read_rgb(row.image), read_mask(row.mask) > 0
    drawn, alone = bundle.mask(picture), bundle.mask(picture, cleaned=False)
    jaccard = overlap(drawn, truth)
    return {
        "jaccard": jaccard,
        "dice": 2 * jaccard / (1 + jaccard),
        "jaccard_uncleaned": overlap(alone, truth),
        "found": float(drawn.any()),
    }


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 where both are empty."""
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


def mean_figure(values: list[float], groups: list[str]) -> Figure:
    array = np.array(values)
    return bootstrap(groups, lambda indices: float(array[indices].mean()))


def as_json(figures: dict[str, dict[str, Figure]]) -> dict[str, object]:
    """One object: jaccard, dice, n of the val split, their intervals, and per_dataset with the same keys."""

    def one(part: dict[str, Figure]) -> dict[str, object]:
        found: dict[str, object] = {"n": part["jaccard"].n}
        for metric, figure in part.items():
            found |= {metric: figure.value, f"{metric}_ci": [figure.low, figure.high]}
        return found

    return one(figures["all"]) | {"per_dataset": {name: one(part) for name, part in figures.items() if name != "all"}}


def as_table(figures: dict[str, dict[str, Figure]]) -> str:
    lines = [
        "| images | n | Jaccard (95 % interval) | Dice | Jaccard of the network alone | a lesion was drawn |",
        "|---|---|---|---|---|---|",
    ]
    for name, part in figures.items():
        title = {"all": "val split, all", FULL_SET: f"{FULL_SET} (not trained on)"}.get(name, f"val split, {name}")
        lines.append(
            f"| {title} | {part['jaccard'].n} | {part['jaccard']} | {part['dice']} | {part['jaccard_uncleaned']} "
            f"| {part['found'].value:.1%} |"
        )
    return "\n".join(lines)


def write(figures: dict[str, dict[str, Figure]]) -> None:
    serving = BUNDLE / "configs" / "serving.json"
    description = json.loads(serving.read_text(encoding="utf-8"))
    description["validation"] = [
        {
            "dataset": "HAM10000 and PAD-UFES-20" if name == "all" else name,
            "split": "not trained on" if name == FULL_SET else "val",
            "metric": metric,
            "value": round(part[metric].value, 6),
            "low": round(part[metric].low, 6),
            "high": round(part[metric].high, 6),
            "n": part[metric].n,
        }
        for name, part in figures.items()
        for metric in ("jaccard", "dice")
    ]
    serving.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    write_block(BUNDLE / "docs" / "README.md", "figures", as_table(figures))


if __name__ == "__main__":
    main()
