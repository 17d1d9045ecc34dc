"""The parts that a training configuration puts into MONAI's engines: device, random views, precision, seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.inferers.inferer import Inferer
from torch import Tensor
from torch.nn import functional

from derm_training.learning.augmentation import ViewSettings, random_views
from derm_training.learning.distillation import Teacher
from derm_training.learning.precision import Precision
from derm_training.learning.recurring_views import RecurringViews, mixed_advice
from derm_training.learning.skin_labels import composed_batch


def torch_device(name: str) -> torch.device:
    """Return the device called `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:1`.

    Raises ValueError if there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device is {name}, and torch sees no such GPU; set device to auto or cpu")
    return torch.device(name)


class PrepareViews:
    """A `prepare_batch` for training: random views of `image` (N, 3, H, W) uint8, normalised, and their targets.

    Targets are `label`, or `mask` and `known`, as the losses want them. With `mixup` above zero each view of a batch (of the
    share `mixup_batches` of the batches) is mixed with another one by a share drawn from Beta(mixup, mixup); pictures of the
    first `main_classes` mix among themselves. `teacher` adds its `advice` on the views, by `recurring` on views that come again. `composed` is the share of the
    views that are laid, with their lesion, on a background that is no skin, where lesion and skin are the network's maps
    (see `skin_labels`): then all views teach both. `small` is (epochs, height, width): the first epochs run at this size.
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        mean: Sequence[float],
        std: Sequence[float],
        zoom: Sequence[float] = (0.8, 1.6),
        squash: float = 1.3,
        shift: float = 0.2,
        mixup: float = 0.0,
        mixup_batches: float = 1.0,
        main_classes: int | None = None,
        teacher: Teacher | None = None,
        recurring: RecurringViews | None = None,
        composed: float | None = None,
        small: Sequence[int] | None = None,
    ) -> None:
        low, high = zoom
        self.settings = ViewSettings(height=height, width=width, zoom=(low, high), squash=squash, shift=shift)
        self.small = small
        self.normalise = _Normalise(mean, std)
        self.mixup = mixup
        self.mixup_batches = mixup_batches
        self.composed = composed
        self.main_classes = main_classes
        self.teacher = teacher
        self.recurring = recurring
        self.generator = torch.Generator()
        self.random = np.random.default_rng(0)
        self.epoch = 1

    def begin_epoch(self, epoch: int, seed: int) -> None:
        """Draw from `seed` from now on."""
        self.epoch = epoch
        self.random = np.random.default_rng(seed)
        self.generator.manual_seed(seed)

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, *_: object, **__: object
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return network input and targets on `device`."""
        images = batch["image"].to(device).float() / 255
        if "mask" in batch:
            masks, known = batch["mask"].to(device).float() / 255, batch["known"].to(device)
            views, moved = random_views(images, masks, self._settings(), self.generator)
            if self.composed is not None and moved is not None:
                views, moved = composed_batch(views, moved[:, :1], self.generator, share=self.composed)
                known = torch.ones_like(known)
            return self.normalise(views), {"mask": moved, "known": known}
        return self._taught(images, batch, device)

    def _taught(self, images: Tensor, batch: Mapping[str, Any], device: torch.device) -> tuple[Tensor, dict[str, Any]]:
        advice = None
        if self.teacher is not None and self.recurring is not None:
            views, advice = self.recurring(images, batch["number"], self.teacher, self._settings(), self.generator)
        else:
            views, _nothing = random_views(images, None, self._settings(), self.generator)
        targets: dict[str, Any] = {"label": batch["label"].to(device)}
        if self.mixup and self.random.random() < self.mixup_batches:
            partners, weight = self._partners(batch["label"])
            partners = partners.to(device)
            views = weight * views + (1 - weight) * views[partners]
            targets |= {"partner": targets["label"][partners], "weight": torch.full((len(views),), weight, device=device)}
            if advice is not None:
                advice = mixed_advice(advice, advice[partners], weight)
        if self.teacher is not None:
            targets["advice"] = self.teacher(views) if advice is None else advice
        return self.normalise(views), targets

    def _settings(self) -> ViewSettings:
        if self.small is None or self.epoch > self.small[0]:
            return self.settings
        return ViewSettings(
            height=self.small[1], width=self.small[2],
            zoom=self.settings.zoom, squash=self.settings.squash, shift=self.settings.shift,
        )

    def _partners(self, labels: Tensor) -> tuple[Tensor, float]:
        share = float(self.random.beta(self.mixup, self.mixup))
        partners = torch.arange(len(labels))
        main = labels < (self.main_classes or int(labels.max()) + 1)
        for chosen in (labels < 0, (labels >= 0) & main, ~main):
            members = torch.nonzero(chosen)[:, 0]
            partners[members] = members[torch.randperm(len(members), generator=self.generator)]
        return partners, max(share, 1 - share)


class PrepareWhole:
    """A `prepare_batch` for validation: whole pictures at the network's size, normalised; targets with their `dataset`."""

    def __init__(self, *, height: int, width: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self.size = (height, width)
        self.normalise = _Normalise(mean, std)

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, *_: object, **__: object
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return network input and targets on `device`."""
        inputs = self.normalise(self._resized(batch["image"].to(device).float() / 255))
        targets = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items() if name != "image"}
        if "mask" in targets:
            targets["mask"] = self._resized(targets["mask"].float() / 255)
        return inputs, targets

    def _resized(self, images: Tensor) -> Tensor:
        return functional.interpolate(images, size=self.size, mode="bilinear", antialias=True)


class _Normalise:
    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = torch.tensor(mean).view(1, -1, 1, 1)
        self.std = torch.tensor(std).view(1, -1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        normal = (images - self.mean.to(images.device)) / self.std.to(images.device)
        return normal.contiguous(memory_format=torch.channels_last)


class TrainingInferer(Inferer):
    """Runs the network in the numbers that `precision` names (see `Precision`).

    From epoch `kept_after` + 1 on, the modules called `kept` keep their weights and running statistics, of a module that has a
    method `keep_early_layers` (the encoder of EfficientNet-Lite) its layers up to stride 4: a third of a step's time saved.
    """

    def __init__(self, *, precision: str = "bfloat16", kept: Sequence[str] = (), kept_after: int = 0) -> None:
        super().__init__()
        self.precision = Precision(precision)
        self.kept = kept
        self.kept_after = kept_after
        self.epoch = 1

    def begin_epoch(self, epoch: int, seed: int) -> None:  # noqa: ARG002 - draws nothing
        """Keep or train the layers as the epoch demands."""
        self.epoch = epoch

    def __call__(self, inputs: Tensor, network: Any, *_: object, **__: object) -> Any:
        """Return what the network says of `inputs` (N, 3, H, W)."""
        for name in self.kept if self.epoch > self.kept_after else ():
            self._keep(network.get_submodule(name))
        with self.precision.on(inputs.device):
            return network(inputs)

    def _keep(self, module: Any) -> None:
        # before every step, because the trainer puts all layers into training mode before it
        if hasattr(module, "keep_early_layers"):
            module.keep_early_layers()
        else:
            module.eval().requires_grad_(requires_grad=False)


class _Seeded(Protocol):
    def begin_epoch(self, epoch: int, seed: int) -> None: ...


class Seeds:
    """Handler of a trainer: seeds torch and the `parts` anew for each epoch, so that a resumed run draws what an unbroken one draws."""

    def __init__(self, seed: int, parts: Sequence[_Seeded]) -> None:
        self.seed = seed
        self.parts = parts

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)

    def _begin(self, engine: Engine) -> None:
        seed = self.seed * 1000 + engine.state.epoch
        torch.manual_seed(seed)
        for part in self.parts:
            part.begin_epoch(engine.state.epoch, seed)
