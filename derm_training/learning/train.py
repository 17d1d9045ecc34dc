"""Train a bundle by its own configs/train.json, through MONAI's bundle machinery, with a few settings changed."""

import json
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle.workflows import ConfigWorkflow

from derm_training.learning.beginning import keep_settings
from derm_training.learning.checkpoints import best_epoch
from derm_training.learning.loaders import ClassesMissing
from derm_training.tables.manifest import read_table
from derm_training.tables.selection import synthetic

_COMPONENT = re.compile(r"component '([^']+)'")
"""How an error of MONAI's `instantiate` names the class or function that it could not call."""

_JOINED = re.compile(r"\bjoined\(@data, *@(\w+)")
"""How a configuration names the setting whose table `joined_tables.joined` adds to `data`."""

_SAID = (ValueError, FileNotFoundError, ModuleNotFoundError)
"""What the parts of a training raise with a sentence for the person; its own cause is for whoever mends the part."""


class TrainingError(Exception):
    """A training that cannot run: what is wrong and what to change, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training left: the weights, and the figures of the epoch they are of, by their names in the log."""

    weights: Path
    table: Path
    epochs: int
    epoch: int
    seconds: float
    """What all epochs took, those before a stop too."""
    figures: Mapping[str, float]
    judged_on: Mapping[str, int]
    """How many `photographs` and how many `synthetic` images, drawn by a program, the figures are of."""


def train(bundle: Path, out: Path, settings: Mapping[str, Any]) -> Trained:
    """Run the training of `bundle` with `settings` in the place of its own, into the folder `out`.

    Where `out` holds a training that began with the same images and settings it is taken up; one that began with others stays as
    it is, and TrainingError is raised, as for data, settings or a machine that it cannot work with. The configuration is code:
    train only bundles whose files you trust.
    """
    config = bundle / "configs" / "train.json"
    own = json.loads(config.read_text(encoding="utf-8"))
    if unknown := sorted(key for key in settings if key.split("#")[0] not in own):
        raise TrainingError(f"{config} has no setting {', '.join(unknown)}; it has {', '.join(_plain(own))}")
    for key, value in settings.items():
        if isinstance(own.get(key), int | float) and isinstance(value, str) and not value.startswith(("$", "@")):
            raise TrainingError(f"{key} is {value!r}, which is no number; {config} has {json.dumps(own[key])}")
    workflow = _workflow(config, {"bundle_root": str(bundle), "output_dir": str(out.resolve())} | dict(settings))
    try:
        keep_settings(out, dict(workflow.parser.get()))
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    except (RuntimeError, ValueError) as error:
        raise _told(error, own, settings) from error
    return trained(out, next(iter(own["evaluator"]["key_val_metric"])) if settings.get("split") != "paper" else "")


def trained(out: Path, metric: str) -> Trained:
    """Read what a training left in `out`, its best epoch by `metric`; raises TrainingError if no epoch of it is finished."""
    log = out / "log.jsonl"
    if not log.is_file():
        raise TrainingError(f"{log} does not exist; no epoch was finished")
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    epoch = best_epoch(records, metric)
    seconds = sum(one["seconds"] for one in records)
    figures = {name: value for name, value in records[epoch - 1].items() if name not in {"epoch", "seconds"}}
    table = out / "table.csv"
    return Trained(
        weights=out / "best.pt", table=table, epochs=len(records), epoch=epoch, seconds=seconds, figures=figures, judged_on=_judged_on(table)
    )


def _judged_on(table: Path) -> dict[str, int]:
    """Count the images of either kind on the judging side of a training's table."""
    rows = read_table(table).rows if table.is_file() else ()  # a configuration of one's own may write none
    drawn = Counter(synthetic(row) for row in rows if row.split in {"val", "test"})
    return {"photographs": drawn[False], "synthetic": drawn[True]}


def _plain(own: Mapping[str, Any]) -> list[str]:
    """Return the settings that are values; the others are parts made from them."""
    return sorted(key for key, value in own.items() if not isinstance(value, dict | list) or key == "classes")


def _workflow(config: Path, settings: dict[str, Any]) -> ConfigWorkflow:
    # MONAI remarks at warning level that there is no logging.conf, which is on purpose: it would be code
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ConfigWorkflow(
            config_file=str(config),
            meta_file=str(config.with_name("metadata.json")),
            logging_file=False,
            workflow_type="train",
            **settings,
        )


def _told(error: Exception, own: Mapping[str, Any], settings: Mapping[str, Any]) -> Exception:
    """MONAI wraps what a part raises in its own errors: the first that is none of these says what is wrong, the one around it of which part."""
    inner: BaseException = error
    part = None
    while inner.__cause__ is not None and not isinstance(inner, _SAID):
        part = _COMPONENT.search(str(inner)) or part
        inner = inner.__cause__
    wrong_settings = isinstance(inner, TypeError) and part is not None
    if wrong_settings or isinstance(inner, _SAID):
        places = sorted(_made_as(part[1].rpartition(".")[2], own)) if part else []
        what, semicolon, remedy = str(inner).partition("; ")
        joining = _joining(own, settings) if isinstance(inner, ClassesMissing) else ""
        return TrainingError(f"{what}{' (' + ', '.join(places) + ' in train.json)' if places else ''}{semicolon}{remedy}{joining}")
    return error


def _joining(own: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Say how a table with the missing classes is joined, where the configuration has a setting for one and none is named."""
    named = _JOINED.search(json.dumps(own))
    if named is None or {**own, **settings}.get(named[1]) is not None:
        return ""
    return f"; join a table that has the others with --set {named[1]}=TABLE, such as DIR/MANIFEST.csv of `derm-pacs samples dermatoses --out DIR`"


def _made_as(target: str, config: Mapping[str, Any] | list[Any]) -> Iterator[str]:
    """Give the settings, as `--set` writes them, whose part is of the class or function `target`, named without its module.

    Not the part that reads `data`: what is wrong there is the table, which the message names.
    """
    for key, value in config.items() if isinstance(config, Mapping) else enumerate(config):
        if isinstance(value, Mapping) and str(value.get("_target_")).rpartition(".")[2] == target and "data" not in value:
            yield str(key)
        if isinstance(value, Mapping | list):
            yield from (f"{key}#{below}" for below in _made_as(target, value))
