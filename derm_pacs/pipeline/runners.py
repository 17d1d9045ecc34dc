"""The warm runners of a worker: one confined process for each bundle version that it has used."""

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from derm_pacs.bundles.verify import verify
from derm_pacs.domain.bundle import lesion_rules
from derm_pacs.domain.findings import LesionRule, Outcome, Preview, Rectangle
from derm_pacs.inference.client import Runner
from derm_pacs.settings.model import AnalysisSettings


class Runners:
    """Starts a runner at its first use, after the bundle's files are verified, and keeps it warm."""

    def __init__(self, limits: AnalysisSettings) -> None:
        """`limits` bound time, size and threads of every runner."""
        self._limits = limits
        self._runners: dict[str, Runner] = {}
        self._lock = threading.Lock()

    def analyse(
        self,
        folder: Path,
        content_hash: str,
        part10: bytes,
        crops: Mapping[int, Sequence[Rectangle]] | None = None,
    ) -> tuple[tuple[int, tuple[Outcome, ...]], ...]:
        """Return (frame, outcomes) of an image by the bundle in `folder`; of several crops of a frame, one after another.

        One image at a time: a runner has one inference thread, and the worker's other threads wait here.
        Raises `Defect` when the runner died, hung or lied, or when the bundle's files are not those of the hash.
        """
        with self._lock:
            runner = self._runner(folder, content_hash)
            return tuple((one.frame, one.outcomes) for one in runner.analyse(part10, crops))

    def previews(self, folder: Path, content_hash: str, part10: bytes) -> Mapping[int, Preview]:
        """Return a preview of each frame of an image that can be decoded (1-based), made by the runner of the bundle.

        Waits and raises as `analyse`.
        """
        with self._lock:
            return self._runner(folder, content_hash).previews(part10)

    def lesion_rules(self, folder: Path, content_hash: str) -> tuple[LesionRule, ...]:
        """Return the rules of the bundle in `folder`, by which its run gives several images of a lesion one call.

        Raises `Defect` when the bundle's files are not those of the hash.
        """
        with self._lock:
            return lesion_rules(self._runner(folder, content_hash).description)

    def finds_crops(self, folder: Path, content_hash: str) -> bool:
        """Return whether the bundle in `folder` finds crops for others; raises as `lesion_rules`."""
        with self._lock:
            return self._runner(folder, content_hash).description.crops is not None

    def _runner(self, folder: Path, content_hash: str) -> Runner:
        runner = self._runners.get(content_hash)
        if runner is None:
            runner = Runner(
                folder,
                verify(folder, content_hash),
                timeout_seconds=self._limits.timeout_seconds,
                max_pixels=int(self._limits.max_megapixels * 1_000_000),
                max_frames=self._limits.max_frames,
                threads=self._limits.threads,
                before_start=partial(_verify_again, folder, content_hash),
            )
            self._runners[content_hash] = runner
        return runner

    def close(self) -> None:
        """End all runners."""
        with self._lock:
            for runner in self._runners.values():
                runner.close()
            self._runners.clear()


def _verify_again(folder: Path, content_hash: str) -> None:
    # A runner that is started anew after it died must not pick up files that were changed meanwhile.
    verify(folder, content_hash)
