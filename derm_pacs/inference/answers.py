"""Findings to answers in the runner, and back in the client, which believes nothing that it has not checked."""

import math
from collections.abc import Sequence

import numpy as np

from derm_pacs.domain import reasons
from derm_pacs.domain.bundle import ClassificationOutput, SegmentationOutput, ServingDescription
from derm_pacs.domain.findings import Classification, ClassProbability, Mask, Outcome, Refusal, Segmentation
from derm_pacs.inference.messages import (
    ClassificationAnswer,
    FrameAnswer,
    ImageAnswer,
    OutcomeAnswer,
    RefusalAnswer,
    SegmentationAnswer,
)
from derm_pacs.inference.outcomes import FrameOutcome

REFUSALS = frozenset(
    reason.code
    for reason in (
        reasons.UNDECODABLE, reasons.EMPTY_PIXELS, reasons.IMAGE_TOO_LARGE, reasons.TOO_MANY_FRAMES, reasons.BURNED_IN,
        reasons.WRONG_COLOUR, reasons.TOO_SMALL, reasons.POOR_QUALITY_BLUR, reasons.POOR_QUALITY_DARK,
        reasons.POOR_QUALITY_CONTRAST,
    )
)  # fmt: skip
"""The reasons that a runner may give; it cannot, say, call a case confirmed."""

_SUM_TOLERANCE = 1e-6


class Unbelievable(ValueError):
    """The answer contradicts the question, the description or the image's header."""


class Expected:
    """What an answer must fit: the description, and the image's size as the client read it."""

    __slots__ = ("columns", "description", "frames", "rows")

    def __init__(self, description: ServingDescription, size: tuple[int, int, int] | None) -> None:
        """`size` is (frames, rows, columns), or None where the image can only be refused."""
        self.description = description
        self.frames, self.rows, self.columns = size or (0, 0, 0)

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
        """Bytes of the memory file for masks."""
        return self.frames * self.masks_a_frame * self.bitmap_bytes

    def place(self, frame: int, mask: int) -> int:
        """Return the first byte of the mask with index `mask` of the frame (1-based)."""
        return ((frame - 1) * self.masks_a_frame + mask) * self.bitmap_bytes


def encode(outcomes: Sequence[FrameOutcome], number: int) -> tuple[ImageAnswer, list[tuple[int, int, Mask]]]:
    """Return the answer to question `number`, and its masks as (frame, index among the frame's masks, mask)."""
    frames: list[FrameAnswer] = []
    masks: list[tuple[int, int, Mask]] = []
    for one in outcomes:
        answers: list[OutcomeAnswer] = []
        found = 0
        for outcome in one.outcomes:
            answers.append(_answer(outcome))
            if isinstance(outcome, Segmentation):
                masks.append((one.frame, found, outcome.mask))
                found += 1
        frames.append(FrameAnswer(frame=one.frame, outcomes=answers))
    return ImageAnswer(id=number, frames=frames), masks


def accept(answer: ImageAnswer, expected: Expected, masks: bytes) -> tuple[FrameOutcome, ...]:
    """Return the outcomes, or raise `Unbelievable` naming what does not fit.

    `masks` is the content of the memory file, `expected.memory` bytes long.
    """
    numbers = [one.frame for one in answer.frames]
    whole_refused = len(answer.frames) == 1 and isinstance(answer.frames[0].outcomes[0], RefusalAnswer)
    if numbers != list(range(1, len(numbers) + 1)) or not (len(numbers) == expected.frames or whole_refused):
        raise Unbelievable(f"frames {numbers[:20]} of an image with {expected.frames}")
    return tuple(_frame(one, expected, masks) for one in answer.frames)


def _answer(outcome: Outcome) -> OutcomeAnswer:
    if isinstance(outcome, Classification):
        return ClassificationAnswer(probabilities=[one.probability for one in outcome.probabilities])
    if isinstance(outcome, Segmentation):
        return SegmentationAnswer(rows=outcome.mask.shape[0], columns=outcome.mask.shape[1])
    return RefusalAnswer(reason=outcome.reason, detail=outcome.detail)


def _frame(answer: FrameAnswer, expected: Expected, masks: bytes) -> FrameOutcome:
    first = answer.outcomes[0]
    if isinstance(first, RefusalAnswer):
        if len(answer.outcomes) != 1 or first.reason not in REFUSALS or not first.detail.isprintable():
            raise Unbelievable(f"frame {answer.frame} has a refusal that the runner cannot give")
        return FrameOutcome(frame=answer.frame, outcomes=(Refusal(reason=first.reason, detail=first.detail),))
    outputs = expected.description.outputs
    if len(answer.outcomes) != len(outputs):
        raise Unbelievable(f"frame {answer.frame} has {len(answer.outcomes)} outcomes of {len(outputs)} outputs")
    outcomes: list[Outcome] = []
    found = 0
    for output, one in zip(outputs, answer.outcomes, strict=True):
        if isinstance(output, ClassificationOutput):
            outcomes.append(_classification(output, one))
        else:
            outcomes.append(_segmentation(output, one, expected, masks, expected.place(answer.frame, found)))
            found += 1
    return FrameOutcome(frame=answer.frame, outcomes=tuple(outcomes))


def _classification(output: ClassificationOutput, answer: OutcomeAnswer) -> Classification:
    if not isinstance(answer, ClassificationAnswer) or len(answer.probabilities) != len(output.classes):
        raise Unbelievable(f"output {output.id} has not one probability a class")
    if not math.isclose(math.fsum(answer.probabilities), 1.0, abs_tol=_SUM_TOLERANCE):
        raise Unbelievable(f"the probabilities of output {output.id} sum to {math.fsum(answer.probabilities)!r}")
    return Classification(
        output=output.id,
        probabilities=tuple(
            ClassProbability(class_id=one.id, concept=one.concept, probability=probability)
            for one, probability in zip(output.classes, answer.probabilities, strict=True)
        ),
    )


def _segmentation(
    output: SegmentationOutput, answer: OutcomeAnswer, expected: Expected, masks: bytes, place: int
) -> Segmentation:
    if not isinstance(answer, SegmentationAnswer) or (answer.rows, answer.columns) != (expected.rows, expected.columns):
        raise Unbelievable(f"output {output.id} has no mask of {expected.rows} rows and {expected.columns} columns")
    bitmap = np.frombuffer(masks, dtype=np.uint8, count=expected.bitmap_bytes, offset=place)
    bits = np.unpackbits(bitmap, count=expected.rows * expected.columns)
    return Segmentation(
        output=output.id,
        concept=output.concept,
        threshold=output.threshold,
        mask=bits.reshape(expected.rows, expected.columns).astype(np.bool_),
    )
