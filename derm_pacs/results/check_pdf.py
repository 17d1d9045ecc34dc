"""The last look at the PDF report: its text, read back by another library than wrote it, holds calls, figures and reasons."""

import io
from collections.abc import Iterator, Mapping

import pypdf
from pydicom import Dataset
from pypdf.errors import PyPdfError

from derm_pacs.domain.codes import code
from derm_pacs.domain.findings import Preview
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results.arrange import SKIN, Arrangement, Frame, LesionTold
from derm_pacs.results.identity import Naming
from derm_pacs.results.pdf_report import patient_rows, render
from derm_pacs.results.picture_figures import figure
from derm_pacs.results.picture_fonts import legible
from derm_pacs.results.wording import RESEARCH_USE


def pdf_faults(
    report: Dataset, arrangement: Arrangement, naming: Naming, previews: Mapping[tuple[str, int], Preview]
) -> Iterator[str]:
    """Yield what differs between the PDF report and the findings."""
    file = bytes(report.EncapsulatedDocument)[: int(report.get("EncapsulatedDocumentLength") or 0)]
    try:
        pages = [_bare(page.extract_text()) for page in pypdf.PdfReader(io.BytesIO(file)).pages]
    except PyPdfError:
        yield "the PDF report cannot be read"
        return
    if any(_bare(RESEARCH_USE.rstrip(".")) not in page for page in pages) or not pages:
        yield "a page of the PDF report does not say research use, not for primary diagnosis"
    said = "".join(pages)
    yield from (f"the PDF report does not say {what}" for what, words in _demanded(arrangement) if _bare(words) not in said)
    if file != render(arrangement, naming, previews):
        yield "the PDF report is not the one that the findings give"


def _demanded(arrangement: Arrangement) -> Iterator[tuple[str, str]]:
    """Yield what must be in the text, and in which words; what is named holds no patient's data."""
    for name, value in patient_rows(arrangement.images[0].dataset):
        yield f"the source's {name.lower()}", value
    for told in arrangement.lesions:
        yield from _of_lesion(told)
    for frame in arrangement.frames:
        yield from _of_frame(frame)
    for run in arrangement.runs:
        yield f"the content hash of {run.bundle.name}", run.bundle.content_hash
    for uid in arrangement.unreadable:
        yield f"that {uid} cannot be read", uid
    if arrangement.synthetic:
        yield "that the images are synthetic", "SYNTHETIC"
    if arrangement.demonstration:
        yield "that a demonstration bundle took part", "DEMONSTRATION"


def _of_lesion(told: LesionTold) -> Iterator[tuple[str, str]]:
    yield told.lesion.label, told.lesion.label
    for one in told.calls:
        concepts = {each.class_id: each.concept for each in one.classification.probabilities}
        for point in one.points:
            yield f"the call of {told.lesion.label}", code(concepts[call(one.classification, point)]).meaning
            share = figure(one.classification.probability_of(point.positive), point.threshold)
            yield f"the probability of {told.lesion.label}", share
            yield f"who set the threshold of {point.id}", point.set_by


def _of_frame(frame: Frame) -> Iterator[tuple[str, str]]:
    for refused in frame.refused:
        yield refused.refusal.reason, REASONS[refused.refusal.reason].sentence.rstrip(".")
    for crop in frame.crops:
        yield "on which crop it was read", f"column {crop.left + 1}, row {crop.top + 1}, {crop.width} x {crop.height} pixels"
    for region in frame.found:
        if region.segmentation.concept != SKIN and not region.measures.spacing:  # of skin the share alone is printed
            yield f"the area of {frame.lesion.label}", f"{region.measures.pixels} pixels"


def _bare(words: str) -> str:
    """Return the words without spaces and line breaks: where lines end is the layout's business."""
    return "".join(legible(words).split())
