"""What a bundle says of images, by MONAI's own machinery: the workflow of its `configs/evaluate.json`, run and listened to.

The configuration gives the rows (`rows`, `split`, `left_out`), the network, the loader and the evaluator; this module starts it with other
data, weights and device, and collects. That these are the numbers of the service is held by a test.
"""

import json
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.bundle.workflows import ConfigWorkflow
from monai.engines.utils import IterationEvents
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray
from torch import Tensor

from derm_networks.pretrained import read_state
from derm_training.measuring.progress import shown
from derm_training.measuring.statistics import Values, dice, jaccard
from derm_training.measuring.trained_network import trained_arguments
from derm_training.tables.manifest import read_mask, read_rgb
from derm_training.tables.rows import Row
from derm_training.tables.selection import Selection

Device = Literal["auto", "cpu", "cuda"]
_LEAST = -100.0  # logit
_WORKERS = 4  # beside a GPU; on a CPU they would only take its cores from the network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classified:
    """The logits (N, classes) of the selected rows, in their order."""

    selection: Selection
    logits: Values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """How the drawn masks of the selected rows agree with the table's, in their order: each (N,)."""

    selection: Selection
    jaccard: Values
    dice: Values
    area: Values
    """The drawn region's share of the image."""


class ReadPictured(MapTransform):
    """Read the files that the keys name as RGB (3, height, width) float32 of 0..255; PNG, JPEG or DICOM."""

    def __call__(self, data: Any) -> dict[Any, Any]:
        """Return a copy of the dictionary with the pictures in place of the files' names."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            picture = read_rgb(Path(changed[key])).transpose(2, 0, 1)
            changed[key] = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))
        return changed


class ReadMaskd(MapTransform):
    """Read the files that the keys name as masks (1, height, width) float32 of 0 and 1."""

    def __call__(self, data: Any) -> dict[Any, Any]:
        """Return a copy of the dictionary with the masks in place of the files' names."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = torch.from_numpy(read_mask(Path(changed[key])).astype(np.float32))[None]
        return changed


def weights_of(file: str | Path, network: torch.nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of a training's `best.pt`, that `network` has, for `load_state_dict`.

    A checkpoint may hold more than what is served: the auxiliary classifiers of a training are left behind.
    """
    state = read_state(Path(file))
    if Path(file).suffix == ".safetensors":
        return state
    wanted = network.state_dict()
    return {name: value for name, value in state.items() if name in wanted}


@dataclass(slots=True)
class _Collected:
    """What the evaluator said, batch by batch."""

    logits: list[Values] = field(default_factory=list)
    overlaps: list[tuple[float, float, float]] = field(default_factory=list)
    finite: list[bool] = field(default_factory=list)
    """Of each image, whether all that the network gives are numbers."""

    def take_finite(self, engine: Engine) -> None:
        pred: Tensor = engine.state.output["pred"]  # type: ignore[index]
        self.finite += (pred.isfinite() | pred.isneginf()).flatten(1).all(dim=1).tolist()

    def take_logits(self, engine: Engine) -> None:
        pred: Tensor = engine.state.output["pred"]  # type: ignore[index]
        # a probability of 0, of an image read by windows, has no logarithm
        self.logits.append(np.nan_to_num(pred.detach().double().cpu().numpy(), nan=np.nan, posinf=np.inf, neginf=_LEAST))

    def take_masks(self, engine: Engine) -> None:
        for one in engine.state.output:  # type: ignore[union-attr]
            drawn, truth = (_region(one[key]) for key in ("pred", "label"))
            self.overlaps.append((jaccard(drawn, truth), dice(drawn, truth), float(drawn.mean())))


def _region(mask: Tensor) -> NDArray[np.bool_]:
    return np.asarray(mask[0].detach().cpu().numpy() > 0.5)


def predict(
    bundle: Path,
    table: Path,
    *,
    split: str = "",
    datasets: Sequence[str] = (),
    weights: Path | None = None,
    device: Device = "auto",
) -> Classified | Drawn:
    """Run the bundle's evaluation on a table; see `selection.select` for `split` and `datasets`.

    Raises ValueError where the table has nothing to measure, for `cuda` without a GPU, and where the network gives no numbers.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no GPU here that torch can use; take --device cpu, or auto")
    chosen = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    overrides: dict[str, Any] = {
        "bundle_root": str(bundle),
        "data": str(table),
        "split": split,
        "datasets": list(datasets),
        "mixed": True,  # whoever asks for predictions keeps the kinds apart
        "device": f"$torch.device('{chosen}')",
    }
    if weights is not None:
        overrides["weights"] = str(weights)
        own = json.loads((bundle / "configs" / "evaluate.json").read_text(encoding="utf-8"))["network_def"]
        overrides |= {f"network_def#{name}": value for name, value in trained_arguments(weights, own).items()}
    if chosen == "cuda":
        overrides["dataloader#num_workers"] = _WORKERS
    for name in ("monai.bundle.workflows", "ignite.engine.engine.SupervisedEvaluator"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they tell that there are no settings for logging, and repeat errors
    workflow = ConfigWorkflow(
        config_file=str(bundle / "configs" / "evaluate.json"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        workflow_type="evaluation",
        logging_file=False,
        **overrides,
    )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="y values can not be all")  # one class alone: the figure is None
            return _run(workflow, table)
    except RuntimeError as error:
        raise _cause(error, weights) from error


def _cause(error: BaseException, weights: Path | None) -> BaseException:
    """Return the error of the table, file or weights that MONAI wrapped; the error itself where there is none."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, ValueError):
            return at
        if isinstance(at, OSError):
            return ValueError(str(at))
        if str(at).startswith("Error(s) in loading state_dict"):
            file = weights or "the bundle's own file"
            first = shorten(str(at), 200, placeholder=" …")  # torch names every key
            return ValueError(
                f"{file} is no state of the network of evaluate.json: {first}; name weights that this bundle's train.json trained, "
                "or set network_def (such as its rank) in evaluate.json to what the weights were trained with"
            )
        at = at.__cause__
    return error


def _run(workflow: ConfigWorkflow, table: Path) -> Classified | Drawn:
    collected = _Collected()
    with redirect_stdout(StringIO()):  # handlers of the configuration print; the command's answer stands alone on stdout
        workflow.initialize()
        selection: Selection = workflow.parser.get_parsed_content("selection")
        evaluator = workflow.parser.get_parsed_content("evaluator")
        classifies = bool(workflow.parser.get_parsed_content("labels"))
        evaluator.add_event_handler(IterationEvents.FORWARD_COMPLETED, collected.take_finite)
        if classifies:
            evaluator.add_event_handler(IterationEvents.FORWARD_COMPLETED, collected.take_logits)
        else:
            evaluator.add_event_handler(Events.ITERATION_COMPLETED, collected.take_masks)
        with shown(evaluator, f"measuring {table.name}", collected.finite, len(selection.rows)):
            workflow.run()
    _refuse_what_is_no_number(selection.rows, collected.finite)
    if classifies:
        return Classified(selection=selection, logits=np.concatenate(collected.logits))
    overlaps = np.array(collected.overlaps, dtype=np.float64)
    return Drawn(selection=selection, jaccard=overlaps[:, 0], dice=overlaps[:, 1], area=overlaps[:, 2])


def _refuse_what_is_no_number(rows: Sequence[Row], finite: Sequence[bool]) -> None:
    """Raise ValueError for the first image without an answer: no comparison with NaN holds, so it would count as called negative."""
    if all(finite):
        return
    first = rows[finite.index(False)].image
    raise ValueError(
        f"{first}: the network gives NaN or infinity, as for {finite.count(False)} of {len(finite)} images, and no figure can be made from that; "
        "its weights are broken, or the image is: take other weights, or take the image out of the table"
    )


def rows_of(selection: Selection, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the configuration's data set holds of each row: the picture's file, and the class number or the mask's file."""
    return [{"image": str(row.image), "label": _target(row, labels)} for row in selection.rows]


def _target(row: Row, labels: Sequence[str]) -> int | str:
    return list(labels).index(row.label) if labels else str(row.mask)
