"""Views that come again, so that a teacher speaks once about each and its word is kept.

A teacher's word on a view costs many times a pupil's step, and a pupil gets better the longer it is taught (Beyer et al., CVPR
2022): with its words kept, the pupil sees many times as many views in the same time.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from derm_training.learning.augmentation import ViewSettings, random_views
from derm_training.learning.distillation import Teacher
from derm_training.learning.kept_array import kept_array
from derm_training.learning.loaders import Pictures


class RecurringViews:
    """Each of `pictures` has `count` random views of its own, which come again mirrored, turned by quarters, a little moved and relit.

    What the teacher says of a view as it was first drawn is kept in `folder`/cache, in a file named after all that decides it,
    so that a training that goes on asks nothing twice.
    """

    def __init__(self, *, pictures: Pictures, count: int, folder: str | Path) -> None:
        if count < 1:
            raise ValueError(f"count is {count}; each picture has at least one view")
        self.pictures = pictures
        self.count = count
        self.folder = Path(folder) / "cache"
        self._words: dict[tuple[str, ViewSettings], NDArray[np.float32]] = {}

    def __call__(
        self, images: Tensor, numbers: Tensor, teacher: Teacher, settings: ViewSettings, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return views (N, 3, H, W) of `images` (N, 3, h, w), both in 0..1, and the teacher's logits (N, classes) of them.

        `numbers` (N,) say which of the pictures they are; `generator` decides which of its views each picture shows.
        """
        drawn = torch.randint(self.count, (len(images),), generator=generator)
        own = torch.Generator()
        views = torch.empty(len(images), 3, settings.height, settings.width, device=images.device)
        for place, (number, view) in enumerate(zip(numbers.tolist(), drawn.tolist(), strict=True)):
            own.manual_seed(number * self.count + view)
            views[place], _ = random_views(images[place : place + 1], None, settings, own)
        advice = self._said(views, numbers.numpy(), drawn.numpy(), teacher, settings)
        return _again(views, settings, generator), advice

    def _said(
        self, views: Tensor, numbers: NDArray[np.int64], drawn: NDArray[np.int64], teacher: Teacher, settings: ViewSettings
    ) -> Tensor:
        words = self._words.get((teacher.identity, settings))
        if words is None:
            words = self._words[teacher.identity, settings] = self._opened(teacher, settings)
        _, each = np.unique(numbers * self.count + drawn, return_index=True)  # a batch may show a view twice
        unheard = each[np.isnan(words[numbers[each], drawn[each]]).any(axis=1)]
        if len(unheard):
            words[numbers[unheard], drawn[unheard]] = teacher(views[torch.from_numpy(unheard)]).cpu().numpy()
        return torch.from_numpy(words[numbers, drawn]).to(views.device)

    def _opened(self, teacher: Teacher, settings: ViewSettings) -> NDArray[np.float32]:
        """Return the words (pictures, count, classes) that the file keeps, NaN where none was said yet."""
        decides = [self.pictures.digest(), teacher.identity, self.count, repr(settings)]
        file = self.folder / f"words-{hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]}.npy"
        shape = (len(self.pictures), self.count, len(teacher.order))
        return kept_array(file, shape, np.float32, lambda words: words.fill(np.nan), mode="r+")


def mixed_advice(advice: Tensor, other: Tensor, weight: float) -> Tensor:
    """Return logits (N, classes) whose probabilities are `weight` of those of `advice` and the rest of those of `other`."""
    shares = torch.tensor([weight, 1 - weight], device=advice.device).log()
    return torch.logaddexp(functional.log_softmax(advice, dim=1) + shares[0], functional.log_softmax(other, dim=1) + shares[1])


def _again(views: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """Return `views` changed by what leaves a teacher's word standing."""
    quarters = int(torch.randint(4, (), generator=generator))
    if quarters % 2 == 0 or settings.height == settings.width:
        views = torch.rot90(views, quarters, dims=(2, 3))
    gently = ViewSettings(
        height=settings.height, width=settings.width, zoom=(1.0, 1.0), squash=1.0, shift=0.1,
        rotation_degrees=0.0, brightness=0.1, contrast=0.0, saturation=0.0, white_balance=0.05, blur_share=0.0,
    )
    return random_views(views, None, gently, generator)[0]
