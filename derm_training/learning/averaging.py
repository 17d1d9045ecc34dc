"""A running average of a network's weights: smoother than the last step's, and what the bundles ship."""

from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged_model(network: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of `network`, buffers included; call `update_parameters` after each step.

    The decay grows from 0.1 to `decay` as (1 + n) / (10 + n) with the number n of steps, so that the random start is
    soon forgotten.
    """

    def average(old: Tensor, new: Tensor, steps: Tensor | int) -> Tensor:
        present = min(decay, (1 + float(steps)) / (10 + float(steps)))
        if not old.is_floating_point():
            return new
        return old.lerp(new.to(old.dtype), 1 - present)

    return AveragedModel(network, avg_fn=average, use_buffers=True)


class Averaging:
    """Handler of a trainer: takes the network into its average after each step."""

    def __init__(self, network: nn.Module, averaged: AveragedModel) -> None:
        self.network = network
        self.averaged = averaged

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)

    def _update(self) -> None:
        self.averaged.update_parameters(self.network)
