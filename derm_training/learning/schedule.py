"""How fast a network learns: parameter groups of the optimizer, warm-up and cosine, bound on the gradient."""

import math
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from torch import nn


def adamw(
    network: nn.Module, *, rate: float, weight_decay: float, rates: dict[str, float] | None = None
) -> torch.optim.AdamW:
    """Return AdamW over the parameters of `network`.

    `rates` maps a beginning of parameter names, such as `classifier.`, to the learning rate of these parameters; all others
    learn at `rate`. Biases and the weights of normalisation (one axis) do not decay (He et al., CVPR 2019, section 3.1).
    """
    beginnings = rates or {}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, value in network.named_parameters():
        own = next((one for start, one in beginnings.items() if name.startswith(start)), rate)
        groups.setdefault((own, weight_decay if value.dim() > 1 else 0.0), []).append(value)
    return torch.optim.AdamW([{"params": values, "lr": own, "weight_decay": decay} for (own, decay), values in groups.items()])


class Schedule:
    """Handler of a trainer: each group's rate rises linearly for `warm_up_steps`, then falls to zero as a cosine.

    The gradient's norm is cut at `largest_gradient` before each step.
    """

    def __init__(
        self, *, network: nn.Module, optimizer: torch.optim.Optimizer, warm_up_steps: int, largest_gradient: float = 5.0
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.warm_up_steps = warm_up_steps
        self.largest_gradient = largest_gradient
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._set_rates)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._bound_gradient)

    def _set_rates(self, engine: Engine) -> None:
        step = engine.state.iteration - 1  # counted from 1
        total = (engine.state.max_epochs or 1) * (engine.state.epoch_length or 1)
        warm = min(1.0, (step + 1) / self.warm_up_steps)
        factor = warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def _bound_gradient(self) -> None:
        nn.utils.clip_grad_norm_(self.network.parameters(), self.largest_gradient)


def step_loss(engine: Engine) -> float:
    """Return the loss of the trainer's last step."""
    output: Any = engine.state.output
    return float(output["loss"].detach())
