"""The closed set of messages between client and runner.

Client to runner: one `Order` at the start, then any number of `Question`; runner to client: one `Hello` (or `Failed`), then
one `Answer` a question. All are JSON; numbers are finite and bounded, unknown fields are refused.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from derm_pacs.domain.bundle import ServingDescription

MAX_GRID = 64
"""Rows and columns of a saliency grid at most."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Order(_Message):
    """What the runner is for."""

    folder: str
    """Absolute path of the verified bundle."""
    description: ServingDescription
    max_pixels: Annotated[int, Field(gt=0)]
    max_frames: Annotated[int, Field(gt=0)]
    threads: Annotated[int, Field(ge=1, le=64)]
    parent: int
    """Process id of the client."""


class Confinement(_Message):
    """What confines the runner; the values say what the kernel granted."""

    no_new_privileges: bool
    seccomp: bool
    landlock_abi: Annotated[int, Field(ge=0, le=1000)]
    """0: the kernel has no Landlock, so the runner could read files that its user may read."""

    @property
    def complete(self) -> bool:
        """Whether every layer is in force."""
        return self.no_new_privileges and self.seccomp and self.landlock_abi > 0


class Hello(_Message):
    """The runner is confined, has loaded the bundle, and listens."""

    kind: Literal["hello"] = "hello"
    confinement: Confinement


class Failed(_Message):
    """The runner cannot serve the bundle."""

    kind: Literal["failed"] = "failed"
    detail: Annotated[str, Field(max_length=2000)]


class RectangleMessage(_Message):
    """A part of a frame, in pixels."""

    left: Annotated[int, Field(ge=0)]
    top: Annotated[int, Field(ge=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


class FrameCrops(_Message):
    """The crops of one frame that are to be read."""

    frame: Annotated[int, Field(ge=1)]
    crops: Annotated[list[RectangleMessage], Field(min_length=1, max_length=16)]


class Question(_Message):
    """Analyse or make previews of the image whose Part 10 bytes are in the descriptor that comes along, or run the golden inputs.

    With an image, a second descriptor is the memory file for arrays; `answers.Expected` and `answers.ExpectedPreviews` say
    where each lies in it. With `crops` these parts of the image are read, each as an image of its own, and nothing else.
    """

    id: Annotated[int, Field(ge=0)]
    about: Literal["image", "preview", "golden"]
    crops: Annotated[list[FrameCrops], Field(max_length=10_000)] = []


class SaliencyAnswer(_Message):
    """The class that the grid in the memory file is about, and the grid's size."""

    class_id: Annotated[str, Field(max_length=64)]
    rows: Annotated[int, Field(gt=0, le=MAX_GRID)]
    columns: Annotated[int, Field(gt=0, le=MAX_GRID)]


class ClassificationAnswer(_Message):
    """The probabilities in the bundle's order of classes."""

    kind: Literal["classification"] = "classification"
    probabilities: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(max_length=1000)]
    saliency: SaliencyAnswer | None = None


class SegmentationAnswer(_Message):
    """The size of the mask that lies in the memory file."""

    kind: Literal["segmentation"] = "segmentation"
    rows: Annotated[int, Field(gt=0)]
    columns: Annotated[int, Field(gt=0)]


class RefusalAnswer(_Message):
    """The frame was not analysed."""

    kind: Literal["refusal"] = "refusal"
    reason: Annotated[str, Field(max_length=40)]
    detail: Annotated[str, Field(max_length=300)]


class CropsAnswer(_Message):
    """The crops that another bundle may read."""

    kind: Literal["crops"] = "crops"
    rectangles: Annotated[list[RectangleMessage], Field(max_length=16)]


OutcomeAnswer = Annotated[
    ClassificationAnswer | SegmentationAnswer | CropsAnswer | RefusalAnswer, Field(discriminator="kind")
]


class FrameAnswer(_Message):
    """One frame's outcomes in the bundle's order of outputs, the crops last, or one refusal."""

    frame: Annotated[int, Field(ge=1)]
    crop: Annotated[int, Field(ge=0)] | None = None
    """Which of the crops that were asked for this is about, from 0; None where the whole frame was read."""
    outcomes: Annotated[list[OutcomeAnswer], Field(min_length=1, max_length=9)]


class ImageAnswer(_Message):
    """What the bundle says of an image."""

    kind: Literal["image"] = "image"
    id: int
    frames: Annotated[list[FrameAnswer], Field(min_length=1)]


class PreviewAnswer(_Message):
    """The frames whose previews lie in the memory file, in order, and the size that all of them have."""

    kind: Literal["preview"] = "preview"
    id: int
    frames: Annotated[list[Annotated[int, Field(ge=1)]], Field(max_length=10_000)]
    rows: Annotated[int, Field(ge=0)]
    columns: Annotated[int, Field(ge=0)]


class GoldenFigures(_Message):
    """The figures of one golden input by their names, or the refusal where there are none."""

    file: Annotated[str, Field(max_length=200)]
    figures: dict[str, Annotated[float, Field(ge=0, le=1)]]
    refusal: RefusalAnswer | None = None


class GoldenAnswer(_Message):
    """The figures of all golden inputs, in the description's order."""

    kind: Literal["golden"] = "golden"
    id: int
    inputs: list[GoldenFigures]


class Broken(_Message):
    """The analysis met an error of its own: its type and place, without its message, which could quote a header."""

    kind: Literal["broken"] = "broken"
    id: int
    where: Annotated[str, Field(max_length=400)]


GREETING: TypeAdapter[Hello | Failed] = TypeAdapter(Annotated[Hello | Failed, Field(discriminator="kind")])
Answer = ImageAnswer | PreviewAnswer | GoldenAnswer | Broken
ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])
