"""What came back of a study: the ledger's findings beside the objects that the PACS gives back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import UID

from derm_pacs.domain.case import State
from derm_pacs.domain.codes import code
from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.domain.findings import Classification, ClassProbability, Grade, OperatingPoint, Rectangle
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS
from derm_pacs.ledger.reading import CaseStory, FindingLine, RevisionStory, RunLine
from derm_pacs.samples.studies import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A classification of an image: what was called, and why."""

    bundle: str
    called: str
    """Meaning of the class that was called."""
    positive: str
    """Meaning of the class whose probability is held against the threshold."""
    probability: float
    threshold: float
    threshold_set_by: str
    grade: Grade
    """Of the bundle: what one of demonstration grade says means nothing for a patient."""
    crop: Rectangle | None = None
    """The part of the image that was read; None where the whole was."""

    @property
    def is_positive(self) -> bool:
        """Whether the probability reaches the threshold."""
        return self.probability >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A segmented region of an image."""

    bundle: str
    output: str
    """Id of the bundle's output, such as `lesion` or `skin`."""
    pixels: int
    share: float
    """Of the whole image, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAccount:
    """What was said of one image."""

    sop_instance_uid: str
    kind: str
    """Name of its SOP class."""
    calls: tuple[Call, ...]
    areas: tuple[Area, ...]
    refusals: tuple[str, ...]
    """Why a bundle did not analyse it: sentences."""


@dataclass(frozen=True, kw_only=True)  # no slots: what is read of the file is kept beside
class ResultAccount:
    """One result object that the PACS was to get."""

    form: Form
    sop_class_uid: str
    sop_instance_uid: str
    file: bytes | None
    """As the PACS gives it back; None where it does not have it."""

    @cached_property
    def document(self) -> Dataset | None:
        """The object, None where the PACS does not have it."""
        return None if self.file is None else dcmread(BytesIO(self.file))

    @property
    def series(self) -> str:
        """Description of its series, by which a person finds it in a viewer."""
        return "" if self.document is None else str(self.document.get("SeriesDescription", ""))

    @property
    def words(self) -> tuple[str, ...]:
        """What a picture says, line by line."""
        if self.document is None or self.form is not Form.PICTURE:
            return ()
        return tuple(str(self.document.get("ImageComments", "")).splitlines())


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseAccount:
    """What came back of one study."""

    study: Study
    case_id: int
    state: State
    reason: str
    """Code and sentence, empty where the case went the straight way."""
    proof: tuple[Proof, ...]
    """How each destination has shown that it has everything; empty unless every one has."""
    left_out: tuple[str, ...]
    """What a destination was to get and does not take, in words."""
    images: tuple[ImageAccount, ...]
    results: tuple[ResultAccount, ...]
    holds: Mapping[str, int]
    """What the PACS has of the study: objects by the name of their SOP class."""

    @property
    def pictures(self) -> tuple[ResultAccount, ...]:
        """The pictures that came back."""
        return tuple(one for one in self.results if one.form is Form.PICTURE and one.file is not None)

    @property
    def since(self) -> tuple[str, ...]:
        """What the pictures say of the change since an earlier visit, with the line that names the visit; else empty."""
        return tuple(line for one in self.pictures for line in _since(one.words))


def account(study: Study, story: CaseStory, stored: Mapping[str, bytes]) -> CaseAccount:
    """Put together what the ledger says of a case and what the PACS has of its study (files by SOP Instance UID)."""
    revision = story.revisions[-1]
    proven = all(one.state is DeliveryState.PROVEN for one in revision.deliveries)
    return CaseAccount(
        study=study,
        case_id=story.case_id,
        state=revision.state,
        reason=_sentence(revision.reason_code, revision.reason_detail),
        proof=tuple(one.proof for one in revision.deliveries if one.proof is not None) if proven else (),
        left_out=tuple(f"{form} by {one.destination}" for one in revision.deliveries for form in one.left_out),
        images=tuple(_image(dcmread(BytesIO(data), stop_before_pixels=True), revision.runs) for data in study.files),
        results=_results(revision, stored),
        holds=_holds(stored),
    )


def _results(revision: RevisionStory, stored: Mapping[str, bytes]) -> tuple[ResultAccount, ...]:
    """Return the objects of the editions that the destinations get; another may have been composed before they were asked."""
    got = {one.edition for one in revision.deliveries}
    return tuple(
        ResultAccount(
            form=one.form, sop_class_uid=one.sop_class_uid, sop_instance_uid=one.sop_instance_uid,
            file=stored.get(one.sop_instance_uid),
        )
        for one in revision.results
        if got & set(one.editions)
    )  # fmt: skip


def _holds(stored: Mapping[str, bytes]) -> Mapping[str, int]:
    headers = (dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=["SOPClassUID"]) for data in stored.values())
    return Counter(_name(UID(one.SOPClassUID)) for one in headers)


def _since(words: Sequence[str]) -> Sequence[str]:
    start = next((number for number, line in enumerate(words) if line.startswith("Since the visit of")), None)
    if start is None:
        return ()
    end = next((number for number, line in enumerate(words) if line == "Algorithms"), len(words))
    return words[start:end]


def _name(sop_class: UID) -> str:
    return sop_class.name.removesuffix(" Storage")


def _image(image: Dataset, runs: Sequence[RunLine]) -> ImageAccount:
    uid = str(image.SOPInstanceUID)
    calls: list[Call] = []
    areas: list[Area] = []
    refusals: list[str] = []
    for run in runs:
        for finding in (one for one in run.findings if one.sop_instance_uid == uid):
            match finding.kind:
                case "classification":
                    calls += [_call(run, finding, one) for one in run.operating_points if one.output == finding.output]
                case "segmentation":
                    areas.append(_area(run, finding))
                case "refusal":
                    refusals.append(f"{run.bundle.name}: {_sentence(finding.data['reason'], finding.data['detail'])}")
    return ImageAccount(
        sop_instance_uid=uid, kind=_name(image.SOPClassUID), calls=tuple(calls), areas=tuple(areas), refusals=tuple(refusals)
    )


def _call(run: RunLine, finding: FindingLine, point: OperatingPoint) -> Call:
    classification = Classification(
        output=finding.output, probabilities=tuple(ClassProbability(**one) for one in finding.data["probabilities"])
    )
    meaning = {one.class_id: code(one.concept).meaning for one in classification.probabilities}
    return Call(
        bundle=f"{run.bundle.name} {run.bundle.version}",
        called=meaning[call(classification, point)],
        positive=meaning[point.positive],
        probability=classification.probability_of(point.positive),
        threshold=point.threshold,
        threshold_set_by=point.set_by,
        grade=run.bundle.grade,
        crop=Rectangle(**finding.data["region"]) if "region" in finding.data else None,
    )


def _area(run: RunLine, finding: FindingLine) -> Area:
    data = finding.data
    return Area(
        bundle=f"{run.bundle.name} {run.bundle.version}", output=finding.output, pixels=data["pixels"],
        share=data["pixels"] / (data["rows"] * data["columns"]),
    )


def _sentence(reason_code: str | None, detail: str | None) -> str:
    if reason_code is None:
        return ""
    reason = REASONS.get(reason_code)
    return " ".join(
        part for part in (f"{reason_code}:", reason.sentence if reason else "", f"({detail})" if detail else "") if part
    )
