"""Ensembles joined into one: `python -m derm_training.learning.joined_members FILE FILE … --out FILE.safetensors`.

The members of the files follow each other; `bundles export` takes the result where serving.json names as many `variants` in that order.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from derm_networks.ensemble import joined
from derm_networks.pretrained import read_state
from derm_networks.served import save_weights

_PREFIX = "members."


def join(files: Sequence[Path]) -> dict[str, Tensor]:
    """Return the state of one ensemble of the members of all files (safetensors, or state dicts by torch.save).

    Raises ValueError naming a file that holds no ensemble.
    """
    members: list[dict[str, Tensor]] = []
    for file in files:
        state = read_state(file)
        if not all(key.startswith(_PREFIX) for key in state):
            raise ValueError(f"{file} holds no ensemble; train one with `bundles train melanoma_nevus_lite`")
        own: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            number, rest = key.removeprefix(_PREFIX).split(".", 1)
            own.setdefault(int(number), {})[rest] = value
        members += [own[number] for number in sorted(own)]
    return joined(members)


def main() -> None:
    """Write the ensemble."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    arguments = parser.parse_args()
    save_weights(join(arguments.files), arguments.out, "float32")


if __name__ == "__main__":
    main()
