"""One bundle on one image: decode, quality gate, network, and what its outputs mean."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from monai.transforms.post.array import Activations, AsDiscrete, FillHoles, KeepLargestConnectedComponent
from torch import Tensor, nn
from torch.nn import functional

from derm_pacs.domain.bundle import ClassificationOutput, SegmentationOutput, ServingDescription
from derm_pacs.domain.findings import Classification, ClassProbability, Mask, Outcome, Refusal, Segmentation
from derm_pacs.domain.reasons import TOO_SMALL, WRONG_COLOUR
from derm_pacs.inference.explain import Explainer
from derm_pacs.inference.outcomes import FrameOutcome, refusal
from derm_pacs.inference.pixels import Pixels, Undecoded, frames
from derm_pacs.inference.preprocessing import prepare
from derm_pacs.inference.quality import gate, measure

_sigmoid = Activations(sigmoid=True)
_largest = KeepLargestConnectedComponent(applied_labels=[1], connectivity=2)
# The background joins through edges where the region joins through corners too.
_filled = FillHoles(applied_labels=[1], connectivity=1)


class WrongOutput(RuntimeError):
    """The network gave something else than its description says."""


class LoadedBundle:
    """A description with its network, in float32 and evaluation mode, and what explains it."""

    __slots__ = ("description", "explainer", "network")

    def __init__(self, *, description: ServingDescription, network: nn.Module) -> None:
        """Make it ready; raises `WrongExplanation` where the network cannot be explained as the description says."""
        self.description = description
        self.network = network
        self.explainer: Explainer | None = None
        if description.explanation is not None:
            self.explainer = Explainer(description, description.explanation, network)


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
    short = min(pixels.shape[:2])
    if short < description.input.min_short_side:
        return (refusal(TOO_SMALL, f"shorter side {short} pixels, at least {description.input.min_short_side}"),)
    refused = gate(measure(pixels), description.quality)
    if refused is not None:
        return (refused,)
    coloured = _in_colour(pixels, description)
    if isinstance(coloured, Refusal):
        return (coloured,)
    prepared = prepare(coloured, description.preprocessing)
    with torch.inference_mode():
        logits = bundle.network(prepared)
    found = outcomes(logits, description, rows=pixels.shape[0], columns=pixels.shape[1])
    return tuple(_explained(bundle.explainer, prepared, outcome) for outcome in found)


def outcomes(
    logits: Tensor | Sequence[Tensor], description: ServingDescription, *, rows: int, columns: int
) -> tuple[Outcome, ...]:
    """Read the network's outputs, one tensor an output in the description's order, for an image of this size."""
    tensors = (logits,) if isinstance(logits, Tensor) else tuple(logits)
    if len(tensors) != len(description.outputs):
        raise WrongOutput(f"{len(tensors)} outputs, described are {len(description.outputs)}")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise WrongOutput("an output holds values that are not finite")
    return tuple(
        _classification(tensor, output)
        if isinstance(output, ClassificationOutput)
        else _segmentation(tensor, output, rows=rows, columns=columns)
        for tensor, output in zip(tensors, description.outputs, strict=True)
    )


def _explained(explainer: Explainer | None, prepared: Tensor, outcome: Outcome) -> Outcome:
    if explainer is None or not isinstance(outcome, Classification):
        return outcome
    return replace(outcome, saliency=explainer.explain(prepared, outcome))


def _in_colour(pixels: Pixels, description: ServingDescription) -> Pixels | Refusal:
    """Return the pixels in the colour that the bundle reads; colour whose channels are equal everywhere is grey."""
    grey = pixels.ndim == 2 or bool((pixels == pixels[..., :1]).all())
    if description.input.colour == "RGB":
        return refusal(WRONG_COLOUR, "the image is grey, the bundle reads RGB") if grey else pixels
    if not grey:
        return refusal(WRONG_COLOUR, "the image is in colour, the bundle reads grey")
    return pixels if pixels.ndim == 2 else pixels[..., 0]


def _classification(logits: Tensor, output: ClassificationOutput) -> Classification:
    if logits.shape != (1, len(output.classes)):
        raise WrongOutput(f"{output.id}: logits of shape {tuple(logits.shape)} for {len(output.classes)} classes")
    shares = torch.softmax(logits[0].double() / output.temperature, dim=0)  # in float64, so that they sum to 1
    return Classification(
        output=output.id,
        probabilities=tuple(
            ClassProbability(class_id=one.id, concept=one.concept, probability=float(share))
            for one, share in zip(output.classes, shares, strict=True)
        ),
    )


def _segmentation(logits: Tensor, output: SegmentationOutput, *, rows: int, columns: int) -> Segmentation:
    if logits.ndim != 4 or logits.shape[:2] != (1, 1):
        raise WrongOutput(f"{output.id}: logits of shape {tuple(logits.shape)}, described as one map")
    full = functional.interpolate(logits.float(), size=(rows, columns), mode="bilinear", align_corners=False)
    inside = AsDiscrete(threshold=output.threshold)(_sigmoid(full[0]))
    region = np.asarray(_filled(_largest(inside)))[0].astype(np.bool_)
    return Segmentation(
        output=output.id,
        concept=output.concept,
        threshold=output.threshold,
        mask=region if region.mean() >= output.min_area_fraction and region.any() else np.zeros_like(region),
    )


def area_fraction(mask: Mask) -> float:
    """Return the share of the image that the mask covers."""
    return float(mask.mean())
