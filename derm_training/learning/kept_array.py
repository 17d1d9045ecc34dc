"""An array that is made once and kept in a file, which appears under its name only when it is whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray


def kept_array(
    file: Path, shape: tuple[int, ...], dtype: DTypeLike, fill: Callable[[NDArray[Any]], None], *, mode: Literal["r", "r+"] = "r"
) -> NDArray[Any]:
    """Return the array of `file` as a map of it; made in `shape` by `fill` where there is none. With `r+` it may be written to."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        growing = file.with_suffix(".part")
        array = np.lib.format.open_memmap(growing, mode="w+", dtype=dtype, shape=shape)
        fill(array)
        array.flush()
        growing.replace(file)
    return np.asarray(np.load(file, mmap_mode=mode))
