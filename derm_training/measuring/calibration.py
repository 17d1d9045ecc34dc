"""Whether a probability means what it says: reliability, expected calibration error, temperature scaling.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017. A temperature is fitted on one half of the lesions and measured
on the other, both ways round: fitted and measured on the same images it would flatter itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derm_training.measuring.statistics import Truth, Values, group_members

BINS = 10
_HALVINGS = 10
BOUNDS = (0.05, 20.0)
"""Between which a temperature is searched."""
_PRECISION = 1e-6  # of its logarithm, and of how well it fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Images whose confidence lies in one of the equal parts of 0..1."""

    confidence: float
    """Their mean confidence."""
    observed: float
    """The share of them that the confidence is about: positives, or right calls."""
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far confidences are from what is observed, before and after temperature scaling."""

    ece: float
    ece_by_chance: float
    """What a network of perfectly calibrated confidences would show on so many images, in the mean: the error is never 0."""
    ece_by_chance_most: float
    """The 95th percentile of that."""
    ece_scaled: float | None
    """After scaling by a temperature that was fitted on the other half of the lesions; mean of ten halvings."""
    fits: int
    """How many temperatures were fitted on halves for `ece_scaled`."""
    fits_open: int
    """How many of them are `without_best`: `ece_scaled` then tells of the bound and not of the network."""
    temperature: float | None
    """Fitted on all the images, by which the present temperature would be multiplied; None where one class is absent."""
    open: bool
    """Whether that one is `without_best`."""
    bins: tuple[Bin, ...]
    bins_scaled: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossfitted:
    """Logits (N, classes), each half scaled by what was fitted on the other, and how many of both fits are `without_best`."""

    logits: Values
    open_fits: int


def calibration(logits: Values, truth: NDArray[np.intp], groups: Sequence[str], positive: int | None) -> Calibration:
    """Measure logits (N, classes) against class numbers `truth` (N,).

    With `positive` the confidence is that class's probability and the observed is its presence; without, the confidence is that of
    the most probable class and the observed is whether it is right.
    """
    confidence, observed = confidences(logits, truth, positive)
    by_chance = errors_by_chance(confidence)
    fittable = len(np.unique(truth)) > 1 and len(set(groups)) > 3
    scaled: list[tuple[Values, Truth]] = []
    open_fits = 0
    if fittable:
        for seed in range(_HALVINGS):
            halved = crossfitted(logits, truth, groups, seed)
            if halved is not None:
                scaled.append(confidences(halved.logits, truth, positive))
                open_fits += halved.open_fits
    temperature = fit_temperature(logits, truth) if fittable else None
    return Calibration(
        ece=calibration_error(confidence, observed),
        ece_by_chance=float(by_chance.mean()),
        ece_by_chance_most=float(np.percentile(by_chance, 95)),
        ece_scaled=float(np.mean([calibration_error(*one) for one in scaled])) if scaled else None,
        fits=2 * len(scaled),
        fits_open=open_fits,
        temperature=temperature,
        open=temperature is not None and without_best(logits, truth, temperature),
        bins=reliability(confidence, observed),
        bins_scaled=reliability(*scaled[0]) if scaled else (),
    )


def softmax(logits: Values) -> Values:
    """Return probabilities (N, classes)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def confidences(logits: Values, truth: NDArray[np.intp], positive: int | None) -> tuple[Values, Truth]:
    """Return the confidence (N,) and whether what it is about is so (N,); see `calibration`."""
    probabilities = softmax(logits)
    if positive is not None:
        return probabilities[:, positive], truth == positive
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == truth


def fit_temperature(logits: Values, truth: NDArray[np.intp]) -> float:
    """Return the temperature in 0.05..20 by which dividing logits (N, classes) gives the truth (N,) the highest likelihood.

    The mean log-likelihood is concave in the inverse of the temperature; found by golden sections of its logarithm.
    """
    ratio = (math.sqrt(5) - 1) / 2
    low, high = (math.log(bound) for bound in BOUNDS)
    while high - low > _PRECISION:
        first, second = high - ratio * (high - low), low + ratio * (high - low)
        if _surprise(logits / math.exp(first), truth) < _surprise(logits / math.exp(second), truth):
            high = second
        else:
            low = first
    return math.exp((low + high) / 2)


def without_best(logits: Values, truth: NDArray[np.intp], temperature: float) -> bool:
    """Return whether a bound of the search fits as well as the fitted temperature, so that none is best.

    It is so where every call is right and any sharpening helps, or where nothing is in order and any flattening does.
    """
    reached = _surprise(logits / temperature, truth)
    return any(_surprise(logits / bound, truth) <= reached + _PRECISION for bound in BOUNDS)


def _surprise(logits: Values, truth: NDArray[np.intp]) -> float:
    """Mean negative log-likelihood."""
    highest = logits.max(axis=1)
    total = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return float(np.mean(total - logits[np.arange(len(truth)), truth]))


def crossfitted(logits: Values, truth: NDArray[np.intp], groups: Sequence[str], seed: int) -> Crossfitted | None:
    """Divide the logits of each half of the groups by the other's temperature; None where a half holds one class alone."""
    members = group_members(groups)
    order = np.random.default_rng(seed).permutation(len(members))
    halves = [np.concatenate([members[i] for i in order[start::2]]) for start in (0, 1)]
    if any(len(np.unique(truth[half])) < 2 for half in halves):
        return None
    scaled = np.empty_like(logits)
    temperatures = [fit_temperature(logits[half], truth[half]) for half in halves]
    for half, others in zip(halves, temperatures[::-1], strict=True):
        scaled[half] = logits[half] / others
    open_fits = sum(without_best(logits[half], truth[half], own) for half, own in zip(halves, temperatures, strict=True))
    return Crossfitted(logits=scaled, open_fits=open_fits)


def reliability(confidence: Values, observed: Truth) -> tuple[Bin, ...]:
    """Return the bins of 0..1 that hold images, in order."""
    numbers = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(
            confidence=float(confidence[numbers == one].mean()),
            observed=float(observed[numbers == one].mean()),
            n=int((numbers == one).sum()),
        )
        for one in np.unique(numbers)
    )


def calibration_error(confidence: Values, observed: Truth) -> float:
    """Return the expected calibration error: the mean gap between confidence and observed share, weighted by the bins' images."""
    return sum(one.n * abs(one.confidence - one.observed) for one in reliability(confidence, observed)) / len(confidence)


def errors_by_chance(confidence: Values, *, draws: int = 300, seed: int = 0) -> Values:
    """Return calibration errors (draws,) where what is observed is drawn with just these probabilities."""
    random = np.random.default_rng(seed)
    return np.array([calibration_error(confidence, random.random(len(confidence)) < confidence) for _ in range(draws)])
