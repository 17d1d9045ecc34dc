"""Figures of a picture's sharpness, darkness and contrast, and how they are spread over a table of pictures.

`python -m derm_training.gate.picture_quality MANIFEST.csv` prints the percentiles from which the bundles' limits are taken.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derm_training.tables.manifest import read_manifest, read_rgb

_PERCENTILES = (0.0, 0.1, 0.5, 1.0, 5.0, 50.0, 95.0, 99.0, 99.5, 99.9, 100.0)


def measure(picture: NDArray[np.uint8]) -> dict[str, float]:
    """Measure (height, width, 3) RGB.

    All on grey = 0.299 R + 0.587 G + 0.114 B (0..255), averaged over areas down to a longer side of at most 256:
    variance of the 4-neighbour Laplacian, share of grey below 20, standard deviation.
    """
    grey = picture @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    scale = 256 / max(grey.shape)
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    grey = grey.astype(np.float64)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return {
        "laplacian_variance": float(laplacian.var()),
        "dark_fraction": float((grey < 20).mean()),
        "contrast": float(grey.std()),
    }


def main() -> None:
    """Print one JSON object: the figure's name to its percentiles over all pictures of the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    rows = read_manifest(parser.parse_args().table)
    measured = [measure(read_rgb(row.image)) for row in rows]
    spread = {
        name: {f"p{p:g}": round(float(np.percentile([one[name] for one in measured], p)), 4) for p in _PERCENTILES}
        for name in measured[0]
    }
    print(json.dumps({"n": len(rows)} | spread, indent=1))  # noqa: T201 - the command's answer


if __name__ == "__main__":
    main()
