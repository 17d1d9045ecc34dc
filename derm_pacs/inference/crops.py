"""Crops of an image: searched by a bundle that finds skin and lesions, read by another as images of their own."""

from collections.abc import Sequence
from dataclasses import replace

from derm_networks.crops import find_crops
from derm_pacs.domain.bundle import ServingDescription
from derm_pacs.domain.findings import Crops, Outcome, Rectangle, Segmentation
from derm_pacs.inference.analyse import LoadedBundle, analyse_pixels
from derm_pacs.inference.messages import FrameCrops
from derm_pacs.inference.outcomes import FrameOutcome
from derm_pacs.inference.pixels import Undecoded, frames


def searched(description: ServingDescription, outcomes: Sequence[FrameOutcome]) -> tuple[FrameOutcome, ...]:
    """Return the outcomes with the crops of each analysed frame, where the description names a search."""
    if description.crops is None:
        return tuple(outcomes)
    return tuple(replace(one, outcomes=_with_crops(description, one.outcomes)) for one in outcomes)


def analyse_crops(
    bundle: LoadedBundle, part10: bytes, asked: Sequence[FrameCrops], *, max_pixels: int, max_frames: int
) -> tuple[FrameOutcome, ...]:
    """Analyse the crops of a Part 10 file that are asked for, frame by frame: every gate of an image holds for each of them.

    A frame that cannot be decoded gives one refusal for each of its crops, an image that cannot be opened one in all.
    """
    crops = {one.frame: one.crops for one in asked}
    found: list[FrameOutcome] = []
    read = 0
    for frame in frames(part10, max_pixels=max_pixels, max_frames=max_frames):
        read += 1
        for number, crop in enumerate(crops.get(frame.number, ())):
            said: tuple[Outcome, ...]
            if isinstance(frame, Undecoded):
                said = (frame.refusal,)
            else:
                part = frame.pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
                said = analyse_pixels(bundle, part)
            found.append(FrameOutcome(frame=frame.number, crop=number, outcomes=said))
    if read == 1 and isinstance(frame, Undecoded):
        return (FrameOutcome(frame=1, outcomes=(frame.refusal,)),)
    return tuple(found)


def _with_crops(description: ServingDescription, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    search = description.crops
    masks = {one.output: one.mask for one in outcomes if isinstance(one, Segmentation)}
    if search is None or not masks:  # the frame was refused
        return outcomes
    found = find_crops(
        masks[search.lesion], masks[search.skin],
        min_skin=search.min_skin, min_lesion=search.min_lesion, max_crops=search.max_crops,
    )  # fmt: skip
    rectangles = tuple(Rectangle(left=one.left, top=one.top, width=one.width, height=one.height) for one in found)
    return (*outcomes, Crops(output=search.lesion, rectangles=rectangles))
