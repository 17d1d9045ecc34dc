"""A bundle that reads the crops of another: asked in their order, for what was found, and told why where nothing was."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from derm_pacs.domain.findings import (
    Classification,
    ClassProbability,
    Crops,
    Outcome,
    Rectangle,
    Refusal,
    Segmentation,
)
from derm_pacs.domain.study import SpoolPlace, StoredInstance
from derm_pacs.pipeline import analyse, chain
from derm_pacs.pipeline.analyse import Given, PlannedRun, ToRead
from derm_pacs.pipeline.site import Site

LEFT, RIGHT = (Rectangle(left=left, top=2, width=10, height=10) for left in (0, 20))
MASK = Segmentation(output="lesion", concept="skin_lesion", threshold=0.5, mask=np.ones((4, 4), dtype=np.bool_))


def called(region: Rectangle | None) -> Classification:
    one = ClassProbability(class_id="a", concept="melanoma", probability=1.0)
    return Classification(output="class", probabilities=(one,), region=region)


def found(*rectangles: Rectangle) -> tuple[Outcome, ...]:
    return MASK, Crops(output="lesion", rectangles=rectangles)


class Recording:
    """Stands in for the runners: what the finder says is given, the reader calls every crop, and all questions are kept."""

    def __init__(self, finder_says: Mapping[int, tuple[Outcome, ...]]) -> None:
        self.finder_says = finder_says
        self.asked: list[tuple[str, Any]] = []

    def finds_crops(self, folder: Path, content_hash: str) -> bool:
        return content_hash == "finder"

    def lesion_rules(self, folder: Path, content_hash: str) -> tuple[()]:
        return ()

    def analyse(
        self, folder: Path, content_hash: str, part10: bytes, crops: Mapping[int, Sequence[Rectangle]] | None = None
    ) -> tuple[tuple[int, tuple[Outcome, ...]], ...]:
        self.asked.append((content_hash, crops))
        if content_hash == "finder":
            return tuple(self.finder_says.items())
        if crops is None:
            return ((1, (called(None),)),)
        return tuple((frame, (called(one),)) for frame, several in crops.items() for one in several)


def planned(
    name: str, run_id: int, crops_of: int | None = None, known: Mapping[int, tuple[Outcome, ...]] | None = None
) -> PlannedRun:
    image = StoredInstance(
        sop_class_uid="1.2", sop_instance_uid="1.2.3", series_instance_uid="1.2", study_instance_uid="1.2",
        transfer_syntax_uid="1.2", sha256="0" * 64, pixel_sha256=None,
        place=SpoolPlace(listener="listener-0", segment=1, offset=64, length=1),
    )  # fmt: skip
    return PlannedRun(
        run_id=run_id, name=name, folder=Path("/nowhere"), content_hash=name, reused_from=7 if known else None,
        images=(ToRead(instance_id=5, image=image, known=known, crops_of=crops_of),),
    )  # fmt: skip


def work(monkeypatch: pytest.MonkeyPatch, runners: Recording, *planned_runs: PlannedRun) -> analyse.Made:
    monkeypatch.setattr("derm_pacs.spool.read.payload", lambda *_: b"")
    site = cast(Site, SimpleNamespace(runners=runners, settings=SimpleNamespace(spool_dir=Path("/nowhere"))))
    return analyse.work(Given(revision_id=1, runs=planned_runs), site)


def test_the_reader_is_asked_for_the_crops_after_they_were_found_whatever_the_order_of_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runners = Recording({1: found(LEFT, RIGHT)})
    made = work(monkeypatch, runners, planned("reader", 2, crops_of=1), planned("finder", 1))
    assert runners.asked == [("finder", None), ("reader", {1: (LEFT, RIGHT)})]
    assert made.findings[2] == ((5, 1, (called(LEFT), called(RIGHT))),)
    assert made.findings[1] == ((5, 1, found(LEFT, RIGHT)),)
    assert made.taken_over == frozenset()


def test_a_frame_without_a_crop_is_refused_and_the_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    blurred = Refusal(reason="poor_quality_blur", detail="0.4, at least 8")
    runners = Recording({1: found(), 2: found(RIGHT), 3: (blurred,)})
    made = work(monkeypatch, runners, planned("finder", 1), planned("reader", 2, crops_of=1))
    assert runners.asked[1] == ("reader", {2: (RIGHT,)})
    no_crop, read, refused = made.findings[2]
    assert no_crop == (5, 1, (Refusal(reason="no_crop", detail="searched by finder"),))
    assert read == (5, 2, (called(RIGHT),))
    detail = "finder, whose crops were to be read, refused it: 0.4, at least 8"
    assert refused == (5, 3, (Refusal(reason="poor_quality_blur", detail=detail),))


def test_where_no_frame_has_a_crop_the_reader_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    runners = Recording({1: found()})
    made = work(monkeypatch, runners, planned("finder", 1), planned("reader", 2, crops_of=1))
    assert runners.asked == [("finder", None)]
    assert made.findings[2] == ((5, 1, (Refusal(reason="no_crop", detail="searched by finder"),)),)


def test_what_is_known_of_the_same_crops_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runners = Recording({})
    known = {1: (called(LEFT), called(RIGHT))}
    finder = planned("finder", 1, known={1: found(LEFT, RIGHT)})
    made = work(monkeypatch, runners, finder, planned("reader", 2, crops_of=1, known=known))
    assert runners.asked == []
    assert made.taken_over == {1, 2}
    assert made.findings[2] == ((5, 1, known[1]),)


@pytest.mark.parametrize(
    "known", [(called(None),), (called(LEFT),), (called(RIGHT), called(LEFT))], ids=["whole", "fewer", "another order"]
)
def test_what_is_known_of_other_parts_of_the_image_is_read_anew(
    monkeypatch: pytest.MonkeyPatch, known: tuple[Outcome, ...]
) -> None:
    runners = Recording({1: found(LEFT, RIGHT)})
    made = work(monkeypatch, runners, planned("finder", 1), planned("reader", 2, crops_of=1, known={1: known}))
    assert runners.asked[1] == ("reader", {1: (LEFT, RIGHT)})
    assert made.taken_over == frozenset()


def test_masks_that_are_known_without_their_crops_are_made_anew() -> None:
    assert not chain.still_holds({1: (MASK,)}, None, finds_crops=True)
    assert chain.still_holds({1: (MASK,)}, None, finds_crops=False)
    assert chain.still_holds({1: found(LEFT)}, None, finds_crops=True)


def test_a_reader_of_whole_images_does_not_take_over_what_it_said_of_crops() -> None:
    assert not chain.still_holds({1: (called(LEFT),)}, None, finds_crops=False)
    assert chain.still_holds({1: (called(None),)}, None, finds_crops=False)
