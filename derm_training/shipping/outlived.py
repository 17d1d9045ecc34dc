"""What a bundle says of its weights alone, and cannot say of others: its limit of novelty, measured figures, fitted temperature."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derm_training.gate.novelty import features_file
from derm_training.reporting.card import forget_figures, forget_gate
from derm_training.reporting.report import remove_report

_STOCK = ("evaluate.json", "inference.json")
"""What stock MONAI runs, which has the temperature of serving.json too."""
_TEMPERATURE = re.compile(r'("temperature"\s*:\s*)[-+.\deE]+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlived:
    """What was taken out, since it was that of other weights."""

    limit: bool = False
    """Whether there was a limit of novelty."""
    figures: bool = False
    """Whether figures stood in the description, the card or docs/report."""
    temperatures: tuple[float, ...] = ()
    """Those that scaled the probabilities; each is 1 now."""


def take_out(folder: Path, description: dict[str, Any]) -> Outlived:
    """Take what does not outlive the former weights out of `description`, and out of the other files of the bundle in `folder`.

    Raises ValueError, before anything is deleted, where the file of the limit would lie outside the bundle.
    """
    features = features_file(folder, description)
    limit = description["quality"].pop("novelty", None)
    if features is not None:
        features.unlink(missing_ok=True)
    figures = [
        bool(description.pop("validation", None)), remove_report(folder / "docs" / "report"), forget_figures(folder), forget_gate(folder),
    ]  # fmt: skip
    temperatures = []
    for output in description["outputs"]:
        if output.get("temperature", 1.0) != 1.0:
            temperatures.append(output["temperature"])
            output["temperature"] = 1.0
    for file in (folder / "configs" / name for name in _STOCK):
        if file.is_file():
            file.write_text(_TEMPERATURE.sub(r"\g<1>1.0", file.read_text(encoding="utf-8")), encoding="utf-8")
    return Outlived(limit=limit is not None, figures=any(figures), temperatures=tuple(temperatures))
