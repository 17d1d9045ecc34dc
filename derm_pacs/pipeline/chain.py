"""A bundle that reads the crops of another: what it is asked for, and what it says where there is nothing to read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from derm_pacs.domain.findings import Crops, Outcome, Rectangle, Refusal, Segmentation
from derm_pacs.domain.reasons import NO_CROP

Outcomes = Mapping[int, tuple[Outcome, ...]]
"""Outcomes of an image by its frame (1-based)."""

Asked = Mapping[int, tuple[Rectangle, ...]]
"""Crops of an image by its frame; every one has at least one."""


def asked(found: Outcomes, finder: str) -> tuple[Asked, Outcomes]:
    """Return the crops that are to be read of an image, and what is said of its frames of which none is.

    A frame that `finder` refused is refused for the same reason.
    """
    crops: dict[int, tuple[Rectangle, ...]] = {}
    refused: dict[int, tuple[Outcome, ...]] = {}
    for frame, outcomes in found.items():
        rectangles = tuple(each for one in outcomes if isinstance(one, Crops) for each in one.rectangles)
        why = next((one for one in outcomes if isinstance(one, Refusal)), None)
        if rectangles:
            crops[frame] = rectangles
        elif why is not None:
            detail = f"{finder}, whose crops were to be read, refused it" + (f": {why.detail}" if why.detail else "")
            refused[frame] = (Refusal(reason=why.reason, detail=detail[:300]),)
        else:
            refused[frame] = (Refusal(reason=NO_CROP.code, detail=f"searched by {finder}"),)
    return crops, refused


def still_holds(known: Outcomes, crops: Asked | None, *, finds_crops: bool) -> bool:
    """Return whether what an earlier run said is what this one would: of the same parts of the image, crops told or not."""
    if crops is not None and set(known) != set(crops):
        return False
    return all(
        _parts(outcomes) == ((None,) if crops is None else crops[frame])
        and any(isinstance(one, Crops) for one in outcomes) == finds_crops
        for frame, outcomes in known.items()
    )


def merged(said: Iterable[tuple[int, Sequence[Outcome]]]) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
    """Yield the outcomes of each frame once, in the order of frames."""
    frames: dict[int, list[Outcome]] = {}
    for frame, outcomes in said:
        frames.setdefault(frame, []).extend(outcomes)
    yield from ((frame, tuple(frames[frame])) for frame in sorted(frames))


def _parts(outcomes: Iterable[Outcome]) -> tuple[Rectangle | None, ...]:
    """Return the parts of a frame that the outcomes speak of, each once, in order; None is the whole."""
    parts = [None if isinstance(one, Segmentation | Crops) else one.region for one in outcomes]
    return tuple(dict.fromkeys(parts))
