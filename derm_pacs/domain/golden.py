"""What a bundle said of its golden inputs, held against what it promises."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenResult:
    """One promised figure of one golden input."""

    file: str
    """Path of the golden input inside the bundle."""
    name: str
    """Class id, or `<output>_area_fraction`."""
    expected: float
    measured: float | None
    """None where the bundle refused the input or has no such figure; `detail` says which."""
    tolerance: float
    detail: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the measured figure lies within the tolerance of the promised one."""
        return (
            self.measured is not None
            and math.isfinite(self.measured)
            and (abs(self.measured - self.expected) <= self.tolerance)
        )

    def __str__(self) -> str:
        said = self.detail if self.measured is None else f"{self.measured:.6f}"
        return f"{self.file}: {self.name} is {said}, promised {self.expected:.6f} ± {self.tolerance:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRefusal:
    """The promised refusal of one golden input."""

    file: str
    """Path of the golden input inside the bundle."""
    promised: str
    """Code of the reason."""
    reason: str
    """Code of the reason for which the bundle refused it; empty where it let it through."""
    detail: str = ""

    @property
    def agrees(self) -> bool:
        """Whether it was refused for the promised reason."""
        return self.reason == self.promised

    def __str__(self) -> str:
        said = f"refused as {self.reason} ({self.detail})" if self.reason else "let through"
        return f"{self.file} is {said}, promised is its refusal as {self.promised}"


Proof = GoldenResult | GoldenRefusal
"""What became of one promise."""
