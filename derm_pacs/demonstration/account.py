"""What came back of a study: the ledger's findings beside the objects that the PACS gives back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

from derm_pacs.domain.case import State
from derm_pacs.domain.codes import code
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.findings import Classification, ClassProbability, Mask, OperatingPoint
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS
from derm_pacs.ledger.reading import CaseStory, FindingLine, RunLine
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

    @property
    def is_positive(self) -> bool:
        """Whether the probability reaches the threshold."""
        return self.probability >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A segmented region of an image."""

    bundle: str
    pixels: int
    share: float
    """Of the whole image, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageAccount:
    """What was said of one image."""

    sop_instance_uid: str
    kind: str
    """Name of its SOP class."""
    calls: tuple[Call, ...]
    areas: tuple[Area, ...]
    refusals: tuple[str, ...]
    """Why a bundle did not analyse it: sentences."""
    image: Dataset
    """The image itself, as the PACS gives it back."""
    mask: Mask | None
    """Union of what the SEGs that came back mark in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultAccount:
    """One result object."""

    form: str
    sop_class_uid: str
    sop_instance_uid: str
    file: bytes | None
    """As the PACS gives it back; None where it does not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseAccount:
    """What came back of one study."""

    study: Study
    case_id: int
    state: State
    reason: str
    """Code and sentence, empty where the case went the straight way."""
    committed: bool
    """Whether every destination has proven that it keeps the results."""
    images: tuple[ImageAccount, ...]
    results: tuple[ResultAccount, ...]

    def shortcomings(self) -> tuple[str, ...]:
        """Say what of this case is not as it must be, in sentences; nothing where all is well."""
        wrong = [f"{one.form} {one.sop_instance_uid} is not in the PACS" for one in self.results if one.file is None]
        if self.study.expected is not None and self.state is not self.study.expected:
            wrong.append(f"the case is {self.state} and not {self.study.expected}: {self.reason or 'no reason'}")
        elif self.state is State.HELD:
            wrong.append(f"the case is held: {self.reason}")
        return tuple(wrong)


def account(study: Study, story: CaseStory, stored: Mapping[str, bytes]) -> CaseAccount:
    """Put together what the ledger says of a case and what the PACS has of its study (files by SOP Instance UID)."""
    revision = story.revisions[-1]
    results = tuple(
        ResultAccount(
            form=one.form, sop_class_uid=one.sop_class_uid, sop_instance_uid=one.sop_instance_uid,
            file=stored.get(one.sop_instance_uid),
        )
        for one in revision.results
    )  # fmt: skip
    segs = [
        dcmread(BytesIO(one.file)) for one in results if one.file is not None and one.sop_class_uid == SegmentationStorage
    ]
    sent = [dcmread(BytesIO(data)) for data in study.files]
    ours = {one.sop_instance_uid for one in results}
    return CaseAccount(
        study=study,
        case_id=story.case_id,
        state=revision.state,
        reason=_sentence(revision.reason_code, revision.reason_detail),
        committed=bool(revision.deliveries) and all(one.state is DeliveryState.PROVEN for one in revision.deliveries),
        images=tuple(
            _image(dcmread(BytesIO(stored[ds.SOPInstanceUID])), revision.runs, segs)
            for ds in sent
            if ds.SOPInstanceUID in stored and ds.SOPInstanceUID not in ours
        ),
        results=results,
    )


def _image(image: Dataset, runs: Sequence[RunLine], segs: Sequence[Dataset]) -> ImageAccount:
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
        sop_instance_uid=uid, kind=image.SOPClassUID.name.removesuffix(" Storage"), calls=tuple(calls), areas=tuple(areas),
        refusals=tuple(refusals), image=image, mask=mask_of(image, segs),
    )  # fmt: skip


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
    )


def _area(run: RunLine, finding: FindingLine) -> Area:
    data = finding.data
    return Area(
        bundle=f"{run.bundle.name} {run.bundle.version}", pixels=data["pixels"], share=data["pixels"] / (data["rows"] * data["columns"])
    )


def mask_of(image: Dataset, segs: Sequence[Dataset]) -> Mask | None:
    """Return what the SEGs mark in the image, None where none of them refers to it."""
    marked = [
        np.asarray(seg.pixel_array, dtype=np.bool_).reshape(-1, seg.Rows, seg.Columns)
        for seg in segs
        if _source_of(seg) == image.SOPInstanceUID
    ]
    return np.asarray(np.concatenate(marked).any(axis=0), dtype=np.bool_) if marked else None


def _source_of(seg: Dataset) -> str:
    """Return the SOP Instance UID that a SEG of ours was made from (Derivation Image, PS3.3 C.7.6.16.2.6)."""
    for groups in (*seg.get("SharedFunctionalGroupsSequence", ()), *seg.get("PerFrameFunctionalGroupsSequence", ())):
        for derivation in groups.get("DerivationImageSequence", ()):
            for source in derivation.get("SourceImageSequence", ()):
                return str(source.ReferencedSOPInstanceUID)
    return ""


def _sentence(reason_code: str | None, detail: str | None) -> str:
    if reason_code is None:
        return ""
    reason = REASONS.get(reason_code)
    return " ".join(
        part for part in (f"{reason_code}:", reason.sentence if reason else "", f"({detail})" if detail else "") if part
    )
