"""The last look at pictures: the pixels of each are those of a fresh drawing, and its words hold the findings' figures."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydicom import Dataset

from derm_pacs.domain.codes import code
from derm_pacs.domain.findings import Preview
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results.arrange import SKIN, Arrangement, Classified, Frame, LesionCall, LesionTold
from derm_pacs.results.identity import Naming
from derm_pacs.results.picture import draw
from derm_pacs.results.picture_words import lesion_of, runs_of
from derm_pacs.results.secondary_capture import card_of, laterality, modality, words_of
from derm_pacs.results.wording import RESEARCH_USE

_TOLERANCE = 0.0501
"""Half of the one decimal of a figure in per cent."""


def picture_faults(
    pictures: Sequence[Dataset], arrangement: Arrangement, naming: Naming, previews: Mapping[tuple[str, int], Preview]
) -> Iterator[str]:
    """Yield what differs between the pictures and the findings."""
    shown = {_source_of(one): one for one in pictures}
    expected = {(frame.image.uid, frame.number): frame for frame in arrangement.frames}
    if set(shown) != set(expected) or len(pictures) != len(expected):
        yield "the pictures are not those of the frames that are told"
        return
    for key, frame in expected.items():
        words = str(shown[key].get("ImageComments") or "")
        about = f"the picture of {key[0]} frame {key[1]}"
        yield from (f"{about} {fault}" for fault in _header_faults(shown[key], frame))
        yield from (f"{about} {fault}" for fault in _word_faults(words, frame, lesion_of(frame, arrangement)))
        card = card_of(frame, arrangement, naming, previews)
        if words.splitlines() != words_of(card).splitlines():
            yield f"{about} has other words than the findings give"
        if not np.array_equal(shown[key].pixel_array, draw(card)):
            yield f"{about} does not show what the findings give"


def _header_faults(picture: Dataset, frame: Frame) -> Iterator[str]:
    if picture.get("BurnedInAnnotation") != "YES":
        yield "does not say that text is burned in"
    if picture.get("Modality") != modality(frame.image) or picture.Modality == "OT":
        yield "has another modality than its source"
    if str(picture.get("Laterality") or "") != laterality(frame.image):
        yield "names another side than its source"
    if frame.image.dataset.get("LossyImageCompression") == "01" and picture.get("LossyImageCompression") != "01":
        yield "hides that its source was compressed with loss"


def _word_faults(words: str, frame: Frame, told: LesionTold) -> Iterator[str]:
    """Look for each figure in the words, made from the findings without the code that makes the words."""
    if RESEARCH_USE.rstrip(".") not in words:
        yield "does not say research use, not for primary diagnosis"
    said: list[Classified | LesionCall] = [*frame.classified, *told.calls]
    for one in said:
        yield from _class_faults(words, one)
    for run in {run.bundle.content_hash: run for run in runs_of(frame)}.values():
        if not all(part in words for part in (run.bundle.name, run.bundle.version, run.bundle.content_hash[:12])):
            yield f"does not name {run.bundle.name}"
    if told.earlier is not None and told.earlier.study_date is not None and told.earlier.study_date.isoformat() not in words:
        yield "does not say since when the lesion changed"
    for refused in frame.refused:
        if "Not analysed" not in words or REASONS[refused.refusal.reason].sentence.rstrip(".") not in words:
            yield f"does not say {refused.refusal.reason}"
    places = [f"column {one.left + 1}, row {one.top + 1}, {one.width} x {one.height} pixels" for one in frame.crops]
    yield from ("does not say on which crop it was read" for one in places if one not in words)
    for region in frame.found:
        if region.segmentation.concept != SKIN and not _says_unit(words, calibrated=region.measures.spacing is not None):
            yield "does not say in what unit the lesion is measured"


def _class_faults(words: str, one: Classified | LesionCall) -> Iterator[str]:
    concepts = {each.class_id: code(each.concept).meaning for each in one.classification.probabilities}
    lines = words.splitlines()
    for point in one.points:
        name, value = concepts[point.positive], one.classification.probability_of(point.positive)
        if not any(line.startswith(f"{name} ") and _reads(line.removeprefix(f"{name} "), 100 * value) for line in lines):
            yield f"does not say the probability of {point.positive}"
        if " ".join(point.set_by.split()) not in words:
            yield f"does not say who set the threshold of {point.positive}"
        if not any(concepts[call(one.classification, point)] in line for line in lines):
            yield f"does not say the call at {point.id}"


def _reads(said: str, percent: float) -> bool:
    """Say whether a figure such as "87.3 %", "<0.1 %" or ">99.9 %" is that of a value in per cent."""
    number = said.removesuffix(" %")
    if number in ("<0.1", ">99.9"):
        return percent < 0.0501 if number[0] == "<" else percent >= 99.9499
    try:
        return abs(float(number) - percent) <= _TOLERANCE
    except ValueError:
        return False


def _says_unit(words: str, *, calibrated: bool) -> bool:
    return " mm," in words if calibrated else " pixels" in words and "pixel size is unknown" in words


def _source_of(picture: Dataset) -> tuple[str, int]:
    items = picture.get("SourceImageSequence")
    if not items:
        return "", 0
    return str(items[0].ReferencedSOPInstanceUID), int(items[0].get("ReferencedFrameNumber") or 1)
