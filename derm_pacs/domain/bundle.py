"""What a bundle says of itself: `configs/serving.json`, declarative and closed.

Nothing in it is code: every operation, kind and filter is a literal of an allow-list, numbers are bounded,
file names are relative. What the description cannot say is refused by name.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from derm_pacs.domain.findings import Classification, Combine, Grade, LesionRule

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ".." in parts:
        raise ValueError(f"{path!r} is not a relative path inside the bundle")
    return path


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name of lower-case letters, digits and underscores")
    return value


def version_form(value: str) -> str:
    """Return the version; raises ValueError where it is not of the form 1.2.3."""
    if not _VERSION.fullmatch(value):
        raise ValueError(f"{value!r} is not a version of the form 1.2.3")
    return value


RelativeFile = Annotated[str, Field(max_length=200), AfterValidator(_inside)]
Name = Annotated[str, AfterValidator(_name)]
Version = Annotated[str, AfterValidator(version_form)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkDescription(_Closed):
    """A network by its name in the product's registry, and its arguments."""

    name: Name
    args: dict[str, int | float | str | bool | list[int] | list[str]] = {}


class WeightsDescription(_Closed):
    """The weights file; the tensors are brought to float32 when they are loaded.

    With `int8` every weight of two or more dimensions is held as 8-bit integers in -127..127, beside it `<name>.scale`, one float32
    for each output channel; all other tensors are float16.
    """

    file: RelativeFile
    sha256: Sha256
    dtype: Literal["float32", "float16", "int8"]


class InputDescription(_Closed):
    """What the bundle reads."""

    colour: Literal["RGB", "GREY"]
    sop_classes: Annotated[list[Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]], Field(max_length=64)] = []
    """SOP Class UIDs that the bundle was made for, for the reader of the description: routes decide what it gets."""
    min_short_side: Annotated[int, Field(ge=16, le=4096)]
    """Pixels of the shorter side below which the image is refused."""
    intended: Annotated[str, Field(max_length=300)]
    """The images that the bundle is meant for, in words."""


class Resize(_Closed):
    """Bring the image to a fixed size; the aspect ratio is not kept."""

    op: Literal["resize"]
    height: Annotated[int, Field(ge=16, le=4096)]
    width: Annotated[int, Field(ge=16, le=4096)]
    mode: Literal["bilinear", "bicubic"]
    antialias: bool


class Normalize(_Closed):
    """Subtract the mean and divide by the standard deviation, per channel; values are 0..1 before."""

    op: Literal["normalize"]
    mean: Annotated[list[float], Field(min_length=1, max_length=3)]
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, max_length=3)]


PreprocessingStep = Annotated[Resize | Normalize, Field(discriminator="op")]


class WholeImage(_Closed):
    """The network reads the whole image at once."""

    kind: Literal["whole"]
    average: Literal["none", "flips"] = "none"
    """`flips`: the mean of the logits of the image and its three mirror images, where validation showed that it helps."""


class Windows(_Closed):
    """The network reads a large image window by window, each brought to its size by the preprocessing.

    For each class, the image's probability is the mean of the `share` highest of its windows, at least one; the shares of all
    classes are then brought to the sum 1. Windows of which more than `max_empty` is empty (grey below 8) are left out.
    """

    kind: Literal["windows"]
    side: Annotated[int, Field(ge=16, le=2048)]
    """Side of a window in pixels of the image."""
    overlap: Annotated[float, Field(ge=0, le=0.75)]
    share: Annotated[float, Field(gt=0, le=1)]
    max_empty: Unit
    batch: Annotated[int, Field(ge=1, le=64)] = 8


InferenceDescription = Annotated[WholeImage | Windows, Field(discriminator="kind")]


class ClassDescription(_Closed):
    """One class of a classification output."""

    id: Name
    concept: Name


class ClassificationOutput(_Closed):
    """Logits of shape (1, classes)."""

    kind: Literal["classification"]
    id: Name
    activation: Literal["softmax"]
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    classes: Annotated[list[ClassDescription], Field(min_length=2, max_length=1000)]
    lesion_rule: Combine
    """How several images of one lesion give one call."""


class SegmentationOutput(_Closed):
    """Logits of shape (1, maps, height, width) at the network's input size, of which `channel` is this output's.

    They are brought to the image's size bilinearly, then activated and compared with the threshold;
    the largest connected region, or those that `keep` names, are kept and their holes filled.
    """

    kind: Literal["segmentation"]
    id: Name
    activation: Literal["sigmoid"]
    threshold: Annotated[float, Field(gt=0, lt=1)]
    concept: Name
    channel: Annotated[int, Field(ge=0, le=63)] = 0
    """Outputs of different channels may share one tensor of the network."""
    keep: Literal["largest", "large", "inside"] = "largest"
    """`large`: every region of at least a fifth of the largest one's area. `inside`: of these none that the image's border
    cuts, where the largest lies whole in the image."""
    min_area_fraction: Unit
    """Share of the image below which nothing counts as found."""


OutputDescription = Annotated[ClassificationOutput | SegmentationOutput, Field(discriminator="kind")]


class OperatingPointDescription(_Closed):
    """The bundle's own default threshold."""

    id: Name
    output: Name
    positive: Name
    threshold: Unit


class ExplanationDescription(_Closed):
    """A map of what spoke for the class that an operating point watches.

    `grad_cam` is MONAI's and needs a layer; `cam` is its closed form for a network whose logits are the mean of class maps (Zhou
    et al., CVPR 2016), without a gradient; `windows` lays each window's probability where the window lies.
    """

    method: Literal["grad_cam", "cam", "windows"]
    output: Name
    """Id of a classification output."""
    layer: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$", max_length=100)] | None = None
    """The network's module whose activations are weighed; of `grad_cam` alone."""

    @model_validator(mode="after")
    def _layer_where_needed(self) -> "ExplanationDescription":
        if (self.layer is not None) != (self.method == "grad_cam"):
            raise ValueError("explanation.layer is given with grad_cam and with no other method")
        return self


class CropSearch(_Closed):
    """Which parts of the image another bundle may read: squares around lesions that show skin and lesion enough.

    Yanagisawa et al., J Dermatol Sci 2023;109(1):30-36: more than 80 % skin and more than 10 % lesion; lesion counts as skin.
    """

    lesion: Name
    """Id of the segmentation output of lesions."""
    skin: Name
    """Id of the segmentation output of skin."""
    min_skin: Unit = 0.8
    min_lesion: Unit = 0.1
    max_crops: Annotated[int, Field(ge=1, le=16)] = 4


class Energy(_Closed):
    """Out of distribution by minus the log-sum-exp of the first classification's logits (Liu et al., NeurIPS 2020)."""

    kind: Literal["energy"]
    maximum: float


class FeatureDistance(_Closed):
    """Out of distribution by the distance of the network's pooled features from those of the training images.

    The file holds `mean` (C,), `basis` (C, k), `scale` (k,) and `residual` (1,), all float32: the distance is the root of the sum
    of squares of the k whitened coordinates and of the rest's length divided by `residual` (after Lee et al., NeurIPS 2018).
    """

    kind: Literal["feature_distance"]
    file: RelativeFile
    sha256: Sha256
    maximum: Annotated[float, Field(gt=0)]


class QualityLimits(_Closed):
    """Limits of the quality gate; see `inference/quality.py` for how each figure is measured."""

    min_laplacian_variance: Annotated[float, Field(ge=0)]
    max_dark_fraction: Unit
    min_contrast: Annotated[float, Field(ge=0)]
    max_bright_fraction: Unit = 1.0
    min_skin_fraction: Unit = 0.0
    novelty: Annotated[Energy | FeatureDistance, Field(discriminator="kind")] | None = None
    """Beyond its maximum, a limit found on validation images, the image is unlike all that the bundle has learned from."""


class ValidationFigure(_Closed):
    """A measured figure with its data, n and 95 % interval."""

    dataset: Annotated[str, Field(max_length=200)]
    split: Annotated[str, Field(max_length=60)]
    metric: Name
    value: float
    low: float
    high: float
    n: Annotated[int, Field(gt=0)]


GateReason = Literal[
    "too_small", "poor_quality_dark", "poor_quality_bright", "poor_quality_contrast", "poor_quality_blur", "wrong_colour", "no_skin",
    "out_of_distribution",
]  # fmt: skip
"""Code of a reason for which the gate of a bundle refuses an image; see `domain/reasons.py`."""


class GoldenInput(_Closed):
    """A synthetic picture and what the bundle must do with it: either say these figures or refuse it for this reason."""

    file: RelativeFile
    expect: dict[str, float] = {}
    """Class id to probability; `<output>_area_fraction` to the mask's share of the image."""
    tolerance: Annotated[float, Field(gt=0, le=0.05)] | None = None
    """Of each figure; given with figures alone."""
    refused: GateReason | None = None

    @model_validator(mode="after")
    def _one_promise(self) -> "GoldenInput":
        if bool(self.expect) == (self.refused is not None):
            raise ValueError("a golden input promises either figures (expect) or a refusal (refused)")
        if bool(self.expect) != (self.tolerance is not None):
            raise ValueError("tolerance is given with expect, and with no refusal")
        return self


class ServingDescription(_Closed):
    """The whole of `configs/serving.json`."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    version: Version
    title: Annotated[str, Field(max_length=64)]
    grade: Grade
    licence: Annotated[str, Field(max_length=300)]
    network: NetworkDescription
    weights: WeightsDescription
    input: InputDescription
    preprocessing: Annotated[list[PreprocessingStep], Field(min_length=1, max_length=8)]
    inference: InferenceDescription
    outputs: Annotated[list[OutputDescription], Field(min_length=1, max_length=8)]
    operating_points: list[OperatingPointDescription] = []
    explanation: ExplanationDescription | None = None
    crops: CropSearch | None = None
    quality: QualityLimits
    validation: list[ValidationFigure] = []
    golden: Annotated[list[GoldenInput], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _kinds_agree(self) -> "ServingDescription":
        drawn = [output.id for output in self.outputs if isinstance(output, SegmentationOutput)]
        if self.inference.kind == "windows" and drawn:
            raise ValueError(f"inference.kind windows reads classifications; it gives no mask for {drawn[0]!r}")
        if isinstance(self.quality.novelty, Energy) and len(drawn) == len(self.outputs):
            raise ValueError("quality.novelty energy is that of a classification, and there is none")
        return self

    @model_validator(mode="after")
    def _figures_are_proven(self) -> "ServingDescription":
        if not any(one.expect for one in self.golden):
            raise ValueError("no golden input promises figures: nothing would prove what the network says")
        return self

    @model_validator(mode="after")
    def _names_agree(self) -> "ServingDescription":
        outputs = {output.id: output for output in self.outputs}
        if len(outputs) != len(self.outputs):
            raise ValueError("two outputs have one id")
        for point in self.operating_points:
            output = outputs.get(point.output)
            if not isinstance(output, ClassificationOutput):
                raise ValueError(f"operating point {point.id!r} names no classification output: {point.output!r}")
            if point.positive not in {one.id for one in output.classes}:
                raise ValueError(f"operating point {point.id!r} names no class of {point.output!r}: {point.positive!r}")
        if self.explanation is not None and not isinstance(outputs.get(self.explanation.output), ClassificationOutput):
            raise ValueError(f"explanation names no classification output: {self.explanation.output!r}")
        if self.explanation is not None and (self.explanation.method == "windows") != (self.inference.kind == "windows"):
            raise ValueError("explanation.method windows goes with inference.kind windows, and with no other")
        for name in (self.crops.lesion, self.crops.skin) if self.crops is not None else ():
            if not isinstance(outputs.get(name), SegmentationOutput):
                raise ValueError(f"crops names no segmentation output: {name!r}")
        return self


def lesion_rules(description: ServingDescription) -> tuple[LesionRule, ...]:
    """Return the stated rule of each classification output, in the description's order."""
    return tuple(
        LesionRule(output=output.id, combine=output.lesion_rule)
        for output in description.outputs
        if isinstance(output, ClassificationOutput)
    )


def explained_class(description: ServingDescription, classification: Classification) -> str:
    """Return the id of the class that an explanation of this classification is about.

    That which the first operating point of its output watches; without one, the most probable class, the first of equals.
    """
    for point in description.operating_points:
        if point.output == classification.output:
            return point.positive
    return max(classification.probabilities, key=lambda one: one.probability).class_id
