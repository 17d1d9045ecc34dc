"""Findings to answers in the runner, and back in the client, which believes nothing that it has not checked."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from derm_pacs.domain import reasons
from derm_pacs.domain.bundle import ClassificationOutput, SegmentationOutput, ServingDescription, explained_class
from derm_pacs.domain.findings import (
    Classification,
    ClassProbability,
    Crops,
    Outcome,
    Preview,
    Rectangle,
    Refusal,
    Saliency,
    Segmentation,
)
from derm_pacs.inference.messages import (
    MAX_GRID,
    ClassificationAnswer,
    CropsAnswer,
    FrameAnswer,
    ImageAnswer,
    OutcomeAnswer,
    PreviewAnswer,
    RectangleMessage,
    RefusalAnswer,
    SaliencyAnswer,
    SegmentationAnswer,
)
from derm_pacs.inference.outcomes import FrameOutcome
from derm_pacs.inference.previews import preview_shape

REFUSALS = frozenset(
    reason.code
    for reason in (
        reasons.UNDECODABLE, reasons.EMPTY_PIXELS, reasons.IMAGE_TOO_LARGE, reasons.TOO_MANY_FRAMES, reasons.BURNED_IN,
        reasons.WRONG_COLOUR, reasons.TOO_SMALL, reasons.POOR_QUALITY_BLUR, reasons.POOR_QUALITY_DARK,
        reasons.POOR_QUALITY_CONTRAST, reasons.POOR_QUALITY_BRIGHT, reasons.NO_SKIN, reasons.OUT_OF_DISTRIBUTION,
    )
)  # fmt: skip
"""The reasons that a runner may give; it cannot, say, call a case confirmed."""

_SUM_TOLERANCE = 1e-6


class Unbelievable(ValueError):
    """The answer contradicts the question, the description or the image's header."""


class Expected:
    """What an answer must fit: the description, and the image's size as the client read it.

    The memory file holds the masks first: frames x segmentation outputs bit maps, each of ceil(rows x columns / 8) bytes,
    rows first, most significant bit first. Where the bundle explains, a saliency grid of each frame, or of each crop that was
    asked for, follows, bytes with rows first, with room for 64 x 64.
    """

    __slots__ = ("columns", "description", "frames", "parts", "rows")

    def __init__(
        self,
        description: ServingDescription,
        size: tuple[int, int, int] | None,
        crops: Mapping[int, Sequence[Rectangle]] | None = None,
    ) -> None:
        """`size` is (frames, rows, columns), or None where the image can only be refused; `crops` are those asked for, by frame."""
        self.description = description
        self.frames, self.rows, self.columns = size or (0, 0, 0)
        self.parts: tuple[tuple[int, int | None, Rectangle | None], ...] = (
            tuple((frame, None, None) for frame in range(1, self.frames + 1))
            if crops is None
            else tuple((frame, number, one) for frame in sorted(crops) for number, one in enumerate(crops[frame]))
        )

    @property
    def bitmap_bytes(self) -> int:
        """Bytes of one mask in the memory file."""
        return -(-self.rows * self.columns // 8)

    @property
    def masks_a_frame(self) -> int:
        """Masks that each frame has room for."""
        return sum(isinstance(output, SegmentationOutput) for output in self.description.outputs)

    @property
    def memory(self) -> int:
        """Bytes of the memory file."""
        return self.place_of_grid(len(self.parts))

    def place(self, frame: int, mask: int) -> int:
        """Return the first byte of the mask with index `mask` of the frame (1-based)."""
        return ((frame - 1) * self.masks_a_frame + mask) * self.bitmap_bytes

    def place_of_grid(self, part: int) -> int:
        """Return the first byte of the saliency grid of the part of the image with this index."""
        room = MAX_GRID * MAX_GRID if self.description.explanation is not None else 0
        return self.place(self.frames + 1, 0) + part * room


def encode(outcomes: Sequence[FrameOutcome], number: int) -> ImageAnswer:
    """Return the answer to question `number`."""
    return ImageAnswer(
        id=number,
        frames=[
            FrameAnswer(frame=one.frame, crop=one.crop, outcomes=[_answer(each) for each in one.outcomes])
            for one in outcomes
        ],
    )


def arrays(outcomes: Sequence[FrameOutcome], description: ServingDescription) -> Iterator[tuple[int, bytes]]:
    """Give what belongs into the memory file as (first byte, content)."""
    masks = [each.mask for one in outcomes for each in one.outcomes if isinstance(each, Segmentation)]
    size = masks[0].shape if masks else (0, 0)
    layout = Expected(description, (len(outcomes), size[0], size[1]))
    for part, one in enumerate(outcomes):
        found = 0
        for outcome in one.outcomes:
            if isinstance(outcome, Segmentation):
                yield layout.place(one.frame, found), np.packbits(outcome.mask).tobytes()
                found += 1
            elif isinstance(outcome, Classification) and outcome.saliency is not None:
                yield layout.place_of_grid(part), outcome.saliency.grid.tobytes()


def accept(answer: ImageAnswer, expected: Expected, memory: bytes) -> tuple[FrameOutcome, ...]:
    """Return the outcomes, or raise `Unbelievable` naming what does not fit.

    `memory` is the content of the memory file, `expected.memory` bytes long.
    """
    told = [(one.frame, one.crop) for one in answer.frames]
    if told == [(1, None)] and isinstance(answer.frames[0].outcomes[0], RefusalAnswer):
        return (_frame(answer.frames[0], expected, memory, 0, None),)
    if told != [(frame, number) for frame, number, _ in expected.parts]:
        asked = f"{len(expected.parts)} crops" if any(crop for _, _, crop in expected.parts) else f"{expected.frames}"
        raise Unbelievable(f"frames {[frame for frame, _ in told[:20]]} of an image with {asked}")
    return tuple(
        _frame(one, expected, memory, part, region)
        for part, (one, (_, _, region)) in enumerate(zip(answer.frames, expected.parts, strict=True))
    )


def _answer(outcome: Outcome) -> OutcomeAnswer:
    if isinstance(outcome, Classification):
        return ClassificationAnswer(
            probabilities=[one.probability for one in outcome.probabilities],
            saliency=_saliency_answer(outcome.saliency),
        )
    if isinstance(outcome, Segmentation):
        return SegmentationAnswer(rows=outcome.mask.shape[0], columns=outcome.mask.shape[1])
    if isinstance(outcome, Crops):
        return CropsAnswer(rectangles=[message_of(one) for one in outcome.rectangles])
    return RefusalAnswer(reason=outcome.reason, detail=outcome.detail)


def message_of(rectangle: Rectangle) -> RectangleMessage:
    """Return a rectangle as it is sent."""
    return RectangleMessage(left=rectangle.left, top=rectangle.top, width=rectangle.width, height=rectangle.height)


def rectangle_of(message: RectangleMessage) -> Rectangle:
    """Return a rectangle that was sent; whether it lies in the image is for the caller to look at."""
    return Rectangle(left=message.left, top=message.top, width=message.width, height=message.height)


def _saliency_answer(saliency: Saliency | None) -> SaliencyAnswer | None:
    if saliency is None:
        return None
    rows, columns = saliency.grid.shape
    return SaliencyAnswer(class_id=saliency.class_id, rows=rows, columns=columns)


def _frame(
    answer: FrameAnswer, expected: Expected, memory: bytes, part: int, region: Rectangle | None
) -> FrameOutcome:
    first = answer.outcomes[0]
    if isinstance(first, RefusalAnswer):
        if len(answer.outcomes) != 1 or first.reason not in REFUSALS or not first.detail.isprintable():
            raise Unbelievable(f"frame {answer.frame} has a refusal that the runner cannot give")
        refused = Refusal(reason=first.reason, detail=first.detail, region=region)
        return FrameOutcome(frame=answer.frame, crop=answer.crop, outcomes=(refused,))
    outputs = expected.description.outputs
    searched = expected.description.crops is not None and region is None
    if len(answer.outcomes) != len(outputs) + searched:
        raise Unbelievable(f"frame {answer.frame} has {len(answer.outcomes)} outcomes of {len(outputs)} outputs")
    outcomes: list[Outcome] = []
    found = 0
    for output, one in zip(outputs, answer.outcomes[: len(outputs)], strict=True):
        if isinstance(output, ClassificationOutput):
            found_here = _classification(output, one, expected, memory, expected.place_of_grid(part))
            outcomes.append(replace(found_here, region=region))
        else:
            outcomes.append(_segmentation(output, one, expected, memory, expected.place(answer.frame, found)))
            found += 1
    if searched:
        outcomes.append(_crops(answer.outcomes[-1], expected))
    return FrameOutcome(frame=answer.frame, crop=answer.crop, outcomes=tuple(outcomes))


def _crops(answer: OutcomeAnswer, expected: Expected) -> Crops:
    search = expected.description.crops
    if search is None or not isinstance(answer, CropsAnswer):
        raise Unbelievable("the crops that the description promises are not told")
    rectangles = tuple(rectangle_of(one) for one in answer.rectangles)
    if len(rectangles) > search.max_crops or len(set(rectangles)) != len(rectangles):
        raise Unbelievable(f"{len(rectangles)} crops, at most {search.max_crops} different ones are promised")
    if not all(one.lies_in(expected.rows, expected.columns) for one in rectangles):
        raise Unbelievable(f"a crop lies outside of {expected.rows} rows and {expected.columns} columns")
    return Crops(output=search.lesion, rectangles=rectangles)


def _classification(
    output: ClassificationOutput, answer: OutcomeAnswer, expected: Expected, memory: bytes, place: int
) -> Classification:
    if not isinstance(answer, ClassificationAnswer) or len(answer.probabilities) != len(output.classes):
        raise Unbelievable(f"output {output.id} has not one probability a class")
    if not math.isclose(math.fsum(answer.probabilities), 1.0, abs_tol=_SUM_TOLERANCE):
        raise Unbelievable(f"the probabilities of output {output.id} sum to {math.fsum(answer.probabilities)!r}")
    found = Classification(
        output=output.id,
        probabilities=tuple(
            ClassProbability(class_id=one.id, concept=one.concept, probability=probability)
            for one, probability in zip(output.classes, answer.probabilities, strict=True)
        ),
    )
    if answer.saliency is None:
        return found
    return replace(found, saliency=_saliency(found, answer.saliency, expected.description, memory, place))


def _saliency(
    found: Classification, answer: SaliencyAnswer, description: ServingDescription, memory: bytes, place: int
) -> Saliency:
    explanation = description.explanation
    if explanation is None or explanation.output != found.output:
        raise Unbelievable(f"output {found.output} comes with a saliency map that the description does not name")
    if answer.class_id != explained_class(description, found):
        raise Unbelievable(f"the saliency map of output {found.output} is about another class")
    grid = np.frombuffer(memory, dtype=np.uint8, count=answer.rows * answer.columns, offset=place)
    if grid.max() != 255 or grid.min() == 255:
        raise Unbelievable(f"the saliency map of output {found.output} has no strongest place")
    return Saliency(
        method=explanation.method, class_id=answer.class_id, grid=grid.reshape(answer.rows, answer.columns).copy()
    )


def _segmentation(
    output: SegmentationOutput, answer: OutcomeAnswer, expected: Expected, memory: bytes, place: int
) -> Segmentation:
    if not isinstance(answer, SegmentationAnswer) or (answer.rows, answer.columns) != (expected.rows, expected.columns):
        raise Unbelievable(f"output {output.id} has no mask of {expected.rows} rows and {expected.columns} columns")
    bitmap = np.frombuffer(memory, dtype=np.uint8, count=expected.bitmap_bytes, offset=place)
    bits = np.unpackbits(bitmap, count=expected.rows * expected.columns)
    return Segmentation(
        output=output.id,
        concept=output.concept,
        threshold=output.threshold,
        mask=bits.reshape(expected.rows, expected.columns).astype(np.bool_),
    )


class ExpectedPreviews:
    """What the previews of an image must fit; the memory file has room for one of each frame, RGB bytes, rows first."""

    __slots__ = ("columns", "frames", "rows")

    def __init__(self, size: tuple[int, int, int]) -> None:
        """`size` is (frames, rows, columns) of the image."""
        self.frames, rows, columns = size
        self.rows, self.columns = preview_shape(rows, columns)

    @property
    def bytes_each(self) -> int:
        """Bytes of one preview."""
        return 3 * self.rows * self.columns

    @property
    def memory(self) -> int:
        """Bytes of the memory file."""
        return self.frames * self.bytes_each


def accept_previews(answer: PreviewAnswer, expected: ExpectedPreviews, memory: bytes) -> dict[int, Preview]:
    """Return the previews by frame, views of `memory`, or raise `Unbelievable` naming what does not fit."""
    size = (expected.rows, expected.columns)
    if answer.frames and (answer.rows, answer.columns) != size:
        raise Unbelievable(
            f"previews of {answer.rows} rows and {answer.columns} columns, they have {size[0]} and {size[1]}"
        )
    if answer.frames != sorted(set(answer.frames)) or any(frame > expected.frames for frame in answer.frames):
        raise Unbelievable(f"previews of frames {answer.frames[:20]} of an image with {expected.frames}")
    return {
        frame: np.frombuffer(
            memory, dtype=np.uint8, count=expected.bytes_each, offset=(frame - 1) * expected.bytes_each
        ).reshape(*size, 3)
        for frame in answer.frames
    }
