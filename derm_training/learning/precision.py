"""In which numbers a network is computed."""

from dataclasses import dataclass

import torch

_NAMES = ("bfloat16", "float32")


@dataclass(frozen=True, slots=True)
class Precision:
    """`bfloat16`: products in bfloat16, sums and weights staying float32; or `float32` throughout.

    Raises ValueError for another name.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _NAMES:
            raise ValueError(f"precision is {self.name!r}; it can be {' or '.join(_NAMES)}")

    def on(self, device: torch.device) -> torch.autocast:
        """Return the context in which to compute on `device`."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.name == "bfloat16")
