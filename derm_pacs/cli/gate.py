"""The service's gate for those who make bundles: training measures it and promises what it does, and does not know the service."""

from pathlib import Path
from typing import TYPE_CHECKING

from derm_pacs.bundles.description import SERVING, parse
from derm_pacs.domain.bundle import Energy, ServingDescription, WholeImage
from derm_pacs.domain.findings import Refusal

if TYPE_CHECKING:
    from derm_training.gate.quality_measured import Gate, Picture


def gate_of(folder: Path) -> "Gate":
    """Open the gate of the bundle in `folder`, with the network where a limit asks for it; the service takes the same way.

    Raises `NotDescribed`, and ValueError for weights or features that are not those described.
    """
    from derm_pacs.inference.analyse import accepted, analyse_pixels, load_bundle

    description = _without_what_refuses_nothing(parse((folder / SERVING).read_bytes()))
    loaded = load_bundle(folder, description) if _asks_the_network(description) else None

    def gate(picture: "Picture") -> str:
        found = accepted(description, picture) if loaded is None else analyse_pixels(loaded, picture)[0]
        return found.reason if isinstance(found, Refusal) else ""

    return gate


def _without_what_refuses_nothing(description: ServingDescription) -> ServingDescription:
    """Leave out the explanation and, unless logits are judged, the mirror images: they cost most of the time."""
    left_out: dict[str, object] = {"explanation": None}
    if isinstance(description.inference, WholeImage) and not isinstance(description.quality.novelty, Energy):
        left_out["inference"] = description.inference.model_copy(update={"average": "none"})
    return description.model_copy(update=left_out)


def _asks_the_network(description: ServingDescription) -> bool:
    return description.quality.novelty is not None or description.inference.kind == "windows"
