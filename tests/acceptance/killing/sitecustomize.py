"""Ends a process of the service by SIGKILL at a chosen point of its code; for tests, and known to nothing else.

Python loads this file by its name where the folder is on PYTHONPATH. Each point is a function of the product; its call
ends the process when the file KILL_DIR/POINT exists, once: the file is taken away first.
"""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# module, attribute, name of the point; "before" and "after" the call are two points.
FUNCTIONS = (
    ("derm_pacs.spool.journal", "Journal.append", "listener-append"),
    ("derm_pacs.pipeline.file", "_file_one", "filing-record"),
    ("derm_pacs.pipeline.file", "file_new", "filing-batch"),
    ("derm_pacs.ledger.cases", "close", "clock-close"),
    ("derm_pacs.pipeline.analyse", "STAGE.claim", "analyse-claim"),
    ("derm_pacs.pipeline.analyse", "STAGE.work", "analyse-work"),
    ("derm_pacs.pipeline.analyse", "STAGE.settle", "analyse-settle"),
    ("derm_pacs.pipeline.compose", "STAGE.claim", "compose-claim"),
    ("derm_pacs.pipeline.editions", "_write", "compose-write"),
    ("derm_pacs.pipeline.compose", "STAGE.work", "compose-work"),
    ("derm_pacs.pipeline.compose", "STAGE.settle", "compose-settle"),
    ("derm_pacs.pipeline.deliver", "STAGE.claim", "deliver-claim"),
    ("derm_pacs.pipeline.deliver", "accepted", "deliver-negotiate"),
    ("derm_pacs.pipeline.deliver", "_send", "deliver-send"),
    ("derm_pacs.pipeline.deliver", "STAGE.settle", "deliver-settle"),
    ("derm_pacs.pipeline.compose_edition", "STAGE.claim", "edition-claim"),
    ("derm_pacs.pipeline.compose_edition", "STAGE.work", "edition-work"),
    ("derm_pacs.pipeline.compose_edition", "STAGE.settle", "edition-settle"),
    ("derm_pacs.pipeline.confirm", "STAGE.claim", "confirm-claim"),
    ("derm_pacs.pipeline.confirm", "ask", "confirm-ask"),
    ("derm_pacs.pipeline.confirm", "STAGE.settle", "confirm-settle"),
    ("derm_pacs.pipeline.conclude", "conclude", "conclude"),
)


def _end_here(point: str) -> None:
    try:
        (Path(os.environ["KILL_DIR"]) / point).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _deadly(function: Callable[..., Any], point: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        _end_here(f"{point}-before")
        value = function(*arguments, **named)
        _end_here(f"{point}-after")
        return value

    return call


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, name: str) -> None:
        self._loader, self._name = loader, name

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for name, path, point in FUNCTIONS:
            if name == self._name:
                *owners, last = path.split(".")
                owner: Any = module
                for one in owners:
                    owner = getattr(owner, one)
                # Stages are frozen values; this is the one place that gets round it.
                setter = type.__setattr__ if isinstance(owner, type) else object.__setattr__
                setter(owner, last, _deadly(getattr(owner, last), point))


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in {name for name, _, _ in FUNCTIONS}:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, fullname)
        return spec


if "KILL_DIR" in os.environ:
    sys.meta_path.insert(0, _Finder())
