"""Ship a trained network: `python export.py --checkpoint DIR/best.pt`.

Writes models/model.safetensors (rounded to float16), draws the golden pictures, and writes the weights' SHA-256 and what
the shipped weights say of the golden pictures into configs/serving.json. Run evaluate.py --write afterwards.
The golden pictures are drawn by arithmetic alone: they show no skin and stand for no diagnosis.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from derm_networks.served import open_bundle, save_weights

BUNDLE = Path(__file__).resolve().parent.parent
# width, height, centre x, centre y, radius x, radius y (shares of the picture), seed
GOLDEN = ((400, 300, 0.52, 0.47, 0.22, 0.27, 1), (360, 270, 0.40, 0.55, 0.12, 0.14, 2), (300, 340, 0.55, 0.50, 0.30, 0.26, 3))
TOLERANCE = 0.001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="best.pt of train.py, or a bare state dict of MONAI")
    arguments = parser.parse_args()
    state = torch.load(arguments.checkpoint, weights_only=True)
    serving = BUNDLE / "configs" / "serving.json"
    description = json.loads(serving.read_text(encoding="utf-8"))
    description["weights"]["sha256"] = save_weights(state.get("model", state), BUNDLE / description["weights"]["file"])
    serving.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")

    torch.set_num_threads(1)
    bundle = open_bundle(BUNDLE)
    description["golden"] = []
    for index, shape in enumerate(GOLDEN):
        name = f"golden/{index}.png"
        picture = drawn_lesion(*shape)
        (BUNDLE / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(BUNDLE / name)
        fraction = float(bundle.mask(picture).mean())
        expect = {"lesion_area_fraction": round(fraction, 6)}
        description["golden"].append({"file": name, "expect": expect, "tolerance": TOLERANCE})
        print(name, expect)
    serving.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def drawn_lesion(
    width: int, height: int, x: float, y: float, radius_x: float, radius_y: float, seed: int
) -> NDArray[np.uint8]:
    """Draw a brown wavy blob on a pinkish ground with grain: (height, width, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    across = (columns / width - x) / radius_x
    down = (rows / height - y) / radius_y
    angle = np.arctan2(down, across)
    edge = 1 + 0.08 * np.sin(3 * angle + seed) + 0.05 * np.sin(7 * angle + 2 * seed)
    inside = 1 / (1 + np.exp(30 * (np.hypot(across, down) / edge - 1)))  # soft border
    net = 0.5 + 0.5 * np.sin(columns / 5.0 + seed) * np.sin(rows / 6.0)
    skin = np.array([222.0, 178.0, 160.0])
    brown = np.array([128.0, 82.0, 62.0]) - 35.0 * net[..., None]
    picture = skin + (brown - skin) * inside[..., None] + random.normal(0, 5, (height, width, 1))
    return np.asarray(picture.clip(0, 255).round(), dtype=np.uint8)


if __name__ == "__main__":
    main()
