"""One printed report a case: patient and study as the source has them, lesions, pictures, reasons, algorithms and limits."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

from pydicom import Dataset
from pydicom.valuerep import PersonName
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepTogether, SimpleDocTemplate, Spacer

from derm_pacs.domain.codes import code
from derm_pacs.domain.findings import Preview, Run
from derm_pacs.results import pdf_style as look
from derm_pacs.results.arrange import Arrangement, Frame, LesionCall, LesionTold
from derm_pacs.results.identity import Naming
from derm_pacs.results.picture_card import Panel
from derm_pacs.results.picture_change import change
from derm_pacs.results.picture_figures import figure, threshold
from derm_pacs.results.picture_fonts import HIDDEN, is_legible, legible
from derm_pacs.results.picture_paint import paint, shown_size
from derm_pacs.results.picture_words import HONESTY, marks, notes, panels, place, read_on, refusal, site, size, verdict

TITLE = "AI report on skin lesions"
NOT_SHOWN = f"{HIDDEN} stands for characters that this print cannot show; the DICOM header of the document holds them."
MOST_PICTURES = 12
"""Panels in a report; further frames have pictures of their own beside it."""
_LIMITS = (
    "No person has looked at this result before it was sent. What it means is for a clinician to say.",
    "A bundle names only the classes that it knows: another kind of lesion gets one of these names all the same.",
)
_PANEL_PIXELS = 720
_PANEL_HEIGHT = 620


def render(arrangement: Arrangement, naming: Naming, previews: Mapping[tuple[str, int], Preview]) -> bytes:
    """Return the report as a PDF file of A4 pages; the same values give the same bytes."""
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=(look.WIDTH, look.HEIGHT), leftMargin=look.MARGIN, rightMargin=look.MARGIN, topMargin=look.MARGIN,
        bottomMargin=look.MARGIN + 12, invariant=1, title=TITLE, author="derm-pacs", subject=HONESTY, lang="en",
    )

    def foot(canvas: Canvas, _: Any) -> None:
        canvas.setFont(look.face(), 8)
        canvas.setFillColor(look.DIM)
        canvas.drawString(look.MARGIN + look.INSET, look.MARGIN, HONESTY)
        canvas.drawRightString(look.WIDTH - look.MARGIN - look.INSET, look.MARGIN, f"Page {canvas.getPageNumber()}")

    document.build(list(_story(arrangement, naming, previews)), onFirstPage=foot, onLaterPages=foot)
    return buffer.getvalue()


def _story(arrangement: Arrangement, naming: Naming, previews: Mapping[tuple[str, int], Preview]) -> Iterator[Flowable]:
    yield look.text(TITLE, 18, bold=True)
    yield Spacer(1, 10)
    yield look.boxed([f"{HONESTY}.", *marks(arrangement), *notes(arrangement)])
    yield Spacer(1, 8)
    yield from _patient(arrangement, naming)
    yield look.heading("Lesions")
    yield look.grid(
        ("Lesion", "Call", "Probability", "Threshold, set by"), list(_call_rows(arrangement)), (0.24, 0.26, 0.22, 0.28)
    )
    yield from _lesions(arrangement)
    yield from _refusals(arrangement)
    yield from _pictures(arrangement, previews)
    yield look.heading("Algorithms")
    for run in arrangement.runs:
        yield from _algorithm(run)
    yield look.heading("Limits")
    for sentence in (f"{HONESTY}.", *notes(arrangement), *_LIMITS):
        yield look.text(sentence, before=2)


def _patient(arrangement: Arrangement, naming: Naming) -> Iterator[Flowable]:
    rows = patient_rows(arrangement.images[0].dataset)
    own = [
        ("Facility", naming.identity.facility), ("Made", naming.made_at.strftime("%Y-%m-%d %H:%M %z")),
        ("Revision", f"{naming.identity.revision}" + (", in place of the one before" if naming.identity.revision > 1 else "")),
        ("Images", f"{len(arrangement.images)}"),
    ]  # fmt: skip
    yield look.facts([*rows, *own])
    if not all(is_legible(value) for _, value in rows):
        yield look.text(NOT_SHOWN, 8, colour=look.DIM)


def patient_rows(dataset: Dataset) -> list[tuple[str, str]]:
    """Return patient and study as the source has them, empty where it says nothing."""
    issuer = str(dataset.get("IssuerOfPatientID") or "")
    number = str(dataset.get("PatientID") or "")
    return [
        ("Patient", _name(dataset.get("PatientName"))),
        ("Patient ID", f"{number} ({issuer})" if number and issuer else number),
        ("Birth date", _date(str(dataset.get("PatientBirthDate") or ""))),
        ("Sex", str(dataset.get("PatientSex") or "")),
        ("Accession number", str(dataset.get("AccessionNumber") or "")),
        ("Study date", _date(str(dataset.get("StudyDate") or ""))),
    ]


def _name(name: PersonName | str | None) -> str:
    """Return the groups of a name (letters, ideographs, sounds) that can be shown; where none can, the first, marked as hidden."""
    groups = [" ".join(group.replace("^", " ").split()) for group in str(name or "").split("=")]
    told = [group for group in groups if group]
    shown = [group for group in told if is_legible(group)]
    return " / ".join(dict.fromkeys(shown if shown else told[:1]))


def _date(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdigit() else value


def _call_rows(arrangement: Arrangement) -> Iterator[tuple[str, str, str, str]]:
    for told in arrangement.lesions:
        name = f"{told.lesion.label}, {len(told.frames)} {_frames(told)}"
        if not told.calls:
            yield name, _without_call(told), "", ""
        for one in told.calls:
            called = verdict(one.classification, one.points)
            by = f" ({one.rule} of {len(one.frames)})" if one.rule else ""
            watched = [point.positive for point in one.points] or [each.class_id for each in one.classification.probabilities]
            yield (
                name, called + by, "; ".join(_probability(one, class_id) for class_id in watched),
                "; ".join(f"{threshold(point.threshold)}, {point.set_by}" for point in one.points) or "none",
            )  # fmt: skip


def _without_call(told: LesionTold) -> str:
    if any(frame.classified for frame in told.frames):
        return "Each image's call stands alone"
    return "Not analysed" if all(frame.refused for frame in told.frames) else "No class given"


def _frames(told: LesionTold) -> str:
    word = "image" if all(frame.image.frames == 1 for frame in told.frames) else "frame"
    return word if len(told.frames) == 1 else f"{word}s"


def _probability(one: LesionCall, class_id: str) -> str:
    limits = [point.threshold for point in one.points if point.positive == class_id]
    return f"{_names(one)[class_id]} {figure(one.classification.probability_of(class_id), *limits)}"


def _names(one: LesionCall) -> dict[str, str]:
    return {each.class_id: code(each.concept).meaning for each in one.classification.probabilities}


def _lesions(arrangement: Arrangement) -> Iterator[Flowable]:
    """Yield, lesion by lesion, each image's own figures, its size, and the change since it was seen before."""
    for told in arrangement.lesions:
        where = site(told.frames[0])
        lines: list[Flowable] = [look.text(told.lesion.label + (f": {where}" if where else ""), 10, bold=True, before=8)]
        for frame in told.frames:
            said = [*_own_calls(frame), *(size(region) for region in frame.regions)]
            if said:
                lines.append(look.text(f"{place(frame)[:1].upper()}{place(frame)[1:]}: {' '.join(said)}", before=2))
        changed = change(told)
        if changed:
            lines.append(look.text(f"{changed.heading}: {'; '.join(changed.lines)}.", before=2))
        if len(lines) > 1:
            yield KeepTogether(lines[:3])
            yield from lines[3:]


def _own_calls(frame: Frame) -> Iterator[str]:
    for one in frame.classified:
        shares = ", ".join(
            f"{code(each.concept).meaning} {figure(each.probability, *(p.threshold for p in one.points if p.positive == each.class_id))}"
            for each in one.classification.probabilities
        )
        yield f"{read_on(one.classification.region)}{verdict(one.classification, one.points)} by {one.run.bundle.name} ({shares})."


def _refusals(arrangement: Arrangement) -> Iterator[Flowable]:
    told = [
        (f"{frame.lesion.label}, {place(frame)}", *refusal(one)) for frame in arrangement.frames for one in frame.refused
    ]
    told += [(f"Object {uid}", "It cannot be read.", "Repair it at its source and send it again.") for uid in arrangement.unreadable]
    if told:
        yield look.heading("Not analysed")
        yield look.grid(("What", "Why", "What to do"), told, (0.27, 0.45, 0.28))


def _pictures(arrangement: Arrangement, previews: Mapping[tuple[str, int], Preview]) -> Iterator[Flowable]:
    shown = [
        (frame, panel)
        for frame in arrangement.frames
        for panel in panels(frame, previews.get((frame.image.uid, frame.number)))
    ]
    if not shown:
        return
    yield look.heading("Pictures")
    cells = [_picture(frame, panel) for frame, panel in shown[:MOST_PICTURES]]
    for number in range(0, len(cells), 2):
        yield look.side_by_side([*cells[number : number + 2], *([""] * (2 - len(cells[number : number + 2])))])
    if len(shown) > MOST_PICTURES:
        yield look.text(f"{len(shown) - MOST_PICTURES} more are not printed; each frame has a picture of its own in the study.", 8.5)


def _picture(frame: Frame, panel: Panel) -> list[Flowable]:
    pixels = shown_size(panel, _PANEL_PIXELS, _PANEL_HEIGHT)
    room = look.ROOM / 2 - 14
    said = [frame.lesion.label, panel.caption.rstrip("."), "; ".join(one.name for one in panel.outlines)]
    return [
        look.photograph(paint(panel, pixels), room * pixels[0] / _PANEL_PIXELS),
        look.text(". ".join(one for one in said if one) + ".", 8, colour=look.DIM),
    ]


def _algorithm(run: Run) -> Iterator[Flowable]:
    bundle = run.bundle
    yield look.text(f"{bundle.title}: {bundle.name} {bundle.version}, {bundle.grade} grade, content hash {bundle.content_hash}", before=2)
    for point in run.operating_points:
        yield look.text(
            f"Operating point {legible(point.id)}: {point.positive} at or above {threshold(point.threshold)}, set by {point.set_by}", 8.5
        )
