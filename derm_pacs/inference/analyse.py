"""One bundle on one image: decode, quality gate, network, and what its outputs mean."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.transforms.post.array import Activations, AsDiscrete
from torch import Tensor, nn
from torch.nn import functional

from derm_networks.novelty import FeatureSpace
from derm_networks.regions import filled
from derm_pacs.domain.bundle import (
    ClassificationOutput,
    FeatureDistance,
    SegmentationOutput,
    ServingDescription,
    Windows,
)
from derm_pacs.domain.findings import Classification, Mask, Outcome, Refusal, Segmentation
from derm_pacs.domain.reasons import TOO_SMALL, WRONG_COLOUR
from derm_pacs.inference import weights
from derm_pacs.inference.explain import Explainer, explainer
from derm_pacs.inference.logits import WrongOutput, assigned, classification, forward, probabilities
from derm_pacs.inference.networks import build
from derm_pacs.inference.novelty import Novelty, read_space
from derm_pacs.inference.outcomes import FrameOutcome, refusal
from derm_pacs.inference.pixels import Pixels, Undecoded, frames
from derm_pacs.inference.preprocessing import prepare
from derm_pacs.inference.quality import gate, measure, skin_gate
from derm_pacs.inference.windows import analyse_windows

_sigmoid = Activations(sigmoid=True)
_ROWS_AT_ONCE = 512


class LoadedBundle:
    """A description with its network, in float32 and evaluation mode, what explains it, and what it calls unlike all it knows."""

    __slots__ = ("description", "explainer", "network", "novelty")

    def __init__(
        self, *, description: ServingDescription, network: nn.Module, space: FeatureSpace | None = None
    ) -> None:
        """Make it ready; `space` is what the file of the description's feature distance holds.

        Raises `WrongExplanation` and `WrongNovelty` where the network cannot do what the description says.
        """
        self.description = description
        self.network = network
        self.explainer: Explainer | None = explainer(description, network)
        limit = description.quality.novelty
        self.novelty: Novelty | None = None if limit is None else Novelty(description, limit, network, space)


def load_bundle(folder: Path, description: ServingDescription) -> LoadedBundle:
    """Build the network of the bundle in `folder` and read all that it is served with.

    Raises `UnknownNetwork`, `WrongWeights`, `WrongExplanation` and `WrongNovelty`.
    """
    network = build(description.network)
    weights.load(folder, description.weights, network)
    limit = description.quality.novelty
    space = read_space(folder, limit) if isinstance(limit, FeatureDistance) else None
    return LoadedBundle(description=description, network=network, space=space)


def analyse_image(bundle: LoadedBundle, part10: bytes, *, max_pixels: int, max_frames: int) -> tuple[FrameOutcome, ...]:
    """Analyse all frames of a Part 10 file; an image that is not analysed gives a refusal, never an exception."""
    return tuple(
        FrameOutcome(
            frame=one.number,
            outcomes=(one.refusal,) if isinstance(one, Undecoded) else analyse_pixels(bundle, one.pixels),
        )
        for one in frames(part10, max_pixels=max_pixels, max_frames=max_frames)
    )


def analyse_pixels(bundle: LoadedBundle, pixels: Pixels) -> tuple[Outcome, ...]:
    """Analyse (rows, columns, 3) RGB or (rows, columns) grey pixels: one outcome an output, or one refusal.

    Raises `WrongOutput` when the network's outputs are not those of the description.
    """
    description = bundle.description
    read = accepted(description, pixels)
    if isinstance(read, Refusal):
        return (read,)
    if isinstance(description.inference, Windows):
        return analyse_windows(description, description.inference, bundle.network, bundle.novelty, read)
    prepared = prepare(read, description.preprocessing)
    with torch.inference_mode():
        logits = forward(
            bundle.network, prepared, description.outputs, flips=description.inference.average == "flips"
        )
    if bundle.novelty is not None:
        refused = bundle.novelty.judge(bundle.novelty.figures(prepared, logits))
        if refused is not None:
            return (refused,)
    found = outcomes(logits, description, rows=pixels.shape[0], columns=pixels.shape[1])
    return tuple(_explained(bundle.explainer, prepared, outcome) for outcome in found)


def accepted(description: ServingDescription, pixels: Pixels) -> Pixels | Refusal:
    """Return the pixels in the colour that the bundle reads, or the refusal by all of the gate that needs no network.

    Size comes first, then light, contrast and sharpness, then colour, and skin last: what is black is not called colourless, and
    what is grey not skinless.
    """
    short = min(pixels.shape[:2])
    if short < description.input.min_short_side:
        return refusal(TOO_SMALL, f"shorter side {short} pixels, at least {description.input.min_short_side}")
    figures = measure(pixels)
    refused = gate(figures, description.quality)
    if refused is not None:
        return refused
    grey = _is_grey(pixels)
    if description.input.colour == "RGB" and grey:
        return refusal(WRONG_COLOUR, "the image is grey, the bundle reads RGB")
    if description.input.colour == "GREY" and not grey:
        return refusal(WRONG_COLOUR, "the image is in colour, the bundle reads grey")
    return skin_gate(figures, description.quality) or (pixels if description.input.colour == "RGB" or pixels.ndim == 2 else pixels[..., 0])


def outcomes(
    logits: Tensor | Sequence[Tensor], description: ServingDescription, *, rows: int, columns: int
) -> tuple[Outcome, ...]:
    """Read the network's outputs in the description's order, for an image of this size; see `logits.assigned` for their number."""
    return tuple(
        _classification(tensor, output)
        if isinstance(output, ClassificationOutput)
        else _segmentation(tensor, output, rows=rows, columns=columns)
        for tensor, output in zip(assigned(logits, description.outputs), description.outputs, strict=True)
    )


def area_fraction(mask: Mask) -> float:
    """Return the share of the image that the mask covers."""
    return float(mask.mean())


def _explained(explainer: Explainer | None, prepared: Tensor, outcome: Outcome) -> Outcome:
    if explainer is None or not isinstance(outcome, Classification):
        return outcome
    return replace(outcome, saliency=explainer.explain(prepared, outcome))


def _is_grey(pixels: Pixels) -> bool:
    """Return whether the pixels are grey, coded as such or as colour whose channels are equal everywhere."""
    return pixels.ndim == 2 or all(
        bool((rows == rows[..., :1]).all())
        for rows in (pixels[first : first + _ROWS_AT_ONCE] for first in range(0, len(pixels), _ROWS_AT_ONCE))
    )


def _classification(logits: Tensor, output: ClassificationOutput) -> Classification:
    shares = probabilities(logits, output)
    if len(shares) != 1:
        raise WrongOutput(f"{output.id}: logits of shape {tuple(logits.shape)} for one image")
    return classification(shares[0], output)


def _segmentation(logits: Tensor, output: SegmentationOutput, *, rows: int, columns: int) -> Segmentation:
    if logits.ndim != 4 or logits.shape[0] != 1 or logits.shape[1] <= output.channel:
        raise WrongOutput(f"{output.id}: logits of shape {tuple(logits.shape)}, described as map {output.channel} of one image")
    own = logits[:, output.channel : output.channel + 1].float()
    full = functional.interpolate(own, size=(rows, columns), mode="bilinear", align_corners=False)
    inside = AsDiscrete(threshold=output.threshold)(_sigmoid(full[0]))
    region = filled(torch.as_tensor(inside), output.keep)[0]
    return Segmentation(
        output=output.id,
        concept=output.concept,
        threshold=output.threshold,
        mask=region if region.mean() >= output.min_area_fraction and region.any() else np.zeros_like(region),
    )
