"""What training makes small: cross-entropy, a teacher's advice, auxiliary classifiers, masks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Prediction = Tensor | tuple[Tensor, Sequence[Tensor]]
Targets = Mapping[str, Tensor]


class ClassificationLoss(nn.Module):
    """Cross-entropy with label smoothing, with everything that may be learnt beside it; shares of zero switch these off.

    The prediction is logits (N, classes), or these and a list of the logits of auxiliary classifiers, each of which adds
    `auxiliary_share` of its own cross-entropy. Targets:

    * `label` (N,) class numbers; `partner` (N,) and `weight` (N,): with mixup, picture n is a mixture of its own with weight
      and of a picture labelled partner with 1 - weight (Zhang et al., ICLR 2018).
    * `advice` (N, classes): a teacher's logits of the same pictures; `advice_share` of the loss is the divergence from them,
      both softened by `advice_temperature` (Hinton, Vinyals and Dean 2015).

    A picture labelled -1 teaches by advice alone. With `main_classes` the loss is that of these first classes, of the pictures labelled so, plus `other_share` of the
    cross-entropy over all classes: pictures of other diagnoses shape the features and leave no trace in the calls.
    """

    def __init__(
        self,
        *,
        smoothing: float = 0.0,
        auxiliary_share: float = 0.0,
        advice_share: float = 0.0,
        advice_temperature: float = 2.0,
        main_classes: int | None = None,
        other_share: float = 0.4,
    ) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.auxiliary_share = auxiliary_share
        self.advice_share = advice_share
        self.advice_temperature = advice_temperature
        self.main_classes = main_classes
        self.other_share = other_share

    def forward(self, prediction: Prediction, targets: Targets) -> Tensor:
        """Return the mean loss, a scalar."""
        logits, auxiliary = prediction if isinstance(prediction, tuple) else (prediction, ())
        loss = self._labels(logits.float(), targets)
        if "advice" in targets:
            soft = divergence(logits.float(), targets["advice"], self.advice_temperature)
            loss = self.advice_share * soft + (1 - self.advice_share) * loss
        for more in auxiliary:
            loss = loss + self.auxiliary_share * self._labels(more.float(), targets)
        return loss

    def _labels(self, logits: Tensor, targets: Targets) -> Tensor:
        known = targets["label"] >= 0
        if self.main_classes is None:
            return self._mixed(logits, targets, known)
        inside = self._mixed(logits[:, : self.main_classes], targets, known & (targets["label"] < self.main_classes))
        return inside + self.other_share * self._mixed(logits, targets, known)

    def _mixed(self, every: Tensor, all_targets: Targets, chosen: Tensor) -> Tensor:
        """Cross-entropy of the chosen (N,) pictures; zero where there are none."""
        if not bool(chosen.any()):
            return every.sum() * 0
        logits = every[chosen]
        targets = {name: all_targets[name][chosen] for name in ("label", "partner", "weight") if name in all_targets}
        own = functional.cross_entropy(logits, targets["label"], label_smoothing=self.smoothing, reduction="none")
        if "partner" not in targets:
            return own.mean()
        other = functional.cross_entropy(logits, targets["partner"], label_smoothing=self.smoothing, reduction="none")
        return (targets["weight"] * own + (1 - targets["weight"]) * other).mean()


def divergence(logits: Tensor, advice: Tensor, temperature: float) -> Tensor:
    """Return the divergence of `logits` from `advice` (both (N, classes)), softened, times the squared temperature."""
    soft = functional.kl_div(
        functional.log_softmax(logits / temperature, dim=1),
        functional.log_softmax(advice.float() / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * soft


class MaskLoss(nn.Module):
    """Binary cross-entropy plus one minus the soft Jaccard index of each map, over the maps whose truth is known.

    The prediction is logits (N, M, H, W); targets: `mask` (N, M, H, W) in 0..1 and `known` (N, M) bool.
    """

    def forward(self, logits: Tensor, targets: Targets) -> Tensor:
        """Return the mean loss over the known maps, a scalar; zero where none is known."""
        known = targets["known"]
        drawn, truth = logits.float()[known], targets["mask"].float()[known]  # (K, H, W)
        if not len(drawn):
            return logits.float().sum() * 0
        entropy = functional.binary_cross_entropy_with_logits(drawn, truth)
        probability = torch.sigmoid(drawn)
        both = (probability * truth).sum(dim=(1, 2))
        either = (probability + truth - probability * truth).sum(dim=(1, 2))
        return entropy + (1 - (both + 1) / (either + 1)).mean()
