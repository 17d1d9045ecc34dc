"""The last look at a message: read back by hl7apy, held against the version's grammar, the findings and the patient."""

import math
import re
from collections.abc import Iterator

import numpy as np
from hl7apy.core import Field, Message, Segment, SubComponent
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from derm_pacs.domain.codes import code
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results.arrange import SKIN, Arrangement, Classified, Frame, LesionCall, LesionTold, Region, place_of
from derm_pacs.results.message import control_id, text_of
from derm_pacs.results.source import SourceImage
from derm_pacs.results.visits import change_since
from derm_pacs.results.wording import RESEARCH_USE

Fact = tuple[str, str, str | float, str]
"""Sub-identifier, name, value and unit of an observation."""
Texts = tuple[tuple[str, ...], ...]
"""Components of a repetition, each with its subcomponents, unescaped."""

_ESCAPE = re.compile(r"\\(?:([FSTRE])|X([0-9A-F]{2}))\\")
_MEANING = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}
RELATIVE_TOLERANCE = 6e-6
"""Half of the last of six written significant digits."""
ABSOLUTE_TOLERANCE = {"1": 6e-7, "%": 6e-5}
"""Half of the last of six written decimals of a probability, also of one in per cent; other units have none."""
_TOLD = ("NM", "CWE", "ST")
"""Types whose values are compared one by one; the sentences (TX) are for a person."""


def message_faults(message: Composed, arrangement: Arrangement) -> Iterator[str]:
    """Yield what a message says wrongly, leaves out or says too much; no value of the patient is quoted."""
    try:
        text = message.data.decode("utf-8")
        read = parse_message(text, find_groups=True)
        if text_of(arrangement.images[0].dataset, "PatientID"):
            read.validate()
        else:  # the grammar wants one: whether it takes such a message, the receiver says
            parse_message(text.replace("\rPID|1||", "\rPID|1||none", 1), find_groups=True).validate()
    except (UnicodeDecodeError, HL7apyException) as error:
        yield f"the message is no HL7 v2.5.1 ORU_R01: {type(error).__name__}"
        return
    result = read.ORU_R01_PATIENT_RESULT
    yield from _header_faults(read, message)
    yield from _patient_faults(result.ORU_R01_PATIENT.PID, arrangement.images[0])
    order = result.ORU_R01_ORDER_OBSERVATION
    if _text(order.OBR, "obr_25") != "P":
        yield "the message does not say that its results are preliminary"
    yield from _observation_faults([group.OBX for group in order.ORU_R01_OBSERVATION], arrangement)


def _header_faults(read: Message, message: Composed) -> Iterator[str]:
    if _text(read.MSH, "msh_10") != control_id(message.sop_instance_uid):
        yield "the message's control identifier is not that of its UID"
    if _text(read.MSH, "msh_18") != "UNICODE UTF-8":
        yield "the message does not say that it is UTF-8"


def _patient_faults(segment: Segment, image: SourceImage) -> Iterator[str]:
    theirs = image.dataset
    identifier = _repetitions(segment, "pid_3")
    said = [_at(identifier[0], 1), _at(identifier[0], 4)] if identifier else ["", ""]
    if said != [text_of(theirs, "PatientID"), text_of(theirs, "IssuerOfPatientID")]:
        yield "the message's patient identifier or its issuer is not the source's"
    groups = [group.split("^") for group in text_of(theirs, "PatientName").split("=")[:3] if group.strip("^ ")]
    expected = [[*group[:4], " ".join(one for one in group[4:] if one)] for group in groups]
    names = [[_at(one, number) for number in (1, 2, 3, 5, 4)] for one in _repetitions(segment, "pid_5") if _at(one, 8)]
    if names != [[*one, "", "", "", ""][:5] for one in expected]:
        yield "the message's patient name is not the source's"
    born = _text(segment, "pid_7")
    if born and born != text_of(theirs, "PatientBirthDate").strip():
        yield "the message's birth date is not the source's"
    if _text(segment, "pid_8") not in (text_of(theirs, "PatientSex").strip().upper(), "U"):
        yield "the message's patient sex is not the source's"


def _observation_faults(segments: list[Segment], arrangement: Arrangement) -> Iterator[str]:
    said, expected = _grouped(_facts(segments)), _grouped(_expected(arrangement))
    for key in sorted(said.keys() | expected.keys()):
        if not _agree(said.get(key, []), expected.get(key, []), ABSOLUTE_TOLERANCE.get(key[2], 0.0)):
            yield f"what the message says of {key[1]} of {key[0]} is not what was found"
    if len({(_text(one, "obx_3"), _text(one, "obx_4")) for one in segments}) < len(segments):
        yield "two observations of the message have name and sub-identifier in common"
    if {_text(one, "obx_11") for one in segments} != {"P"}:
        yield "an observation of the message is not preliminary"
    if not any(RESEARCH_USE in _text(one, "obx_5") for one in segments[:1]):
        yield "the message does not begin by saying what it is worth"


def _expected(arrangement: Arrangement) -> Iterator[Fact]:
    yield "0", _value_of("study_instance_uid"), arrangement.images[0].study_uid, ""
    for number, uid in enumerate(arrangement.unreadable, 1):
        yield f"0.u{number}", _value_of("unreadable_object"), uid, ""
        yield f"0.u{number}", _value_of("not_analysed_because"), "NA-UNREADABLE", ""
    for told in arrangement.lesions:
        sub = str(told.lesion.number)
        yield sub, _value_of("tracking_uid"), told.lesion.tracking_uid, ""
        yield sub, _value_of("tracking_identifier"), told.lesion.tracking_id, ""
        sites = [frame.image.site for frame in told.frames if frame.image.site] if place_of(told.frames) else []
        if sites:
            yield sub, _value_of("finding_site"), sites[0].region.value, ""
        if sites and sites[0].laterality:
            yield sub, _value_of("laterality"), sites[0].laterality.value, ""
        for place, one in enumerate(told.calls, 1):
            if one.rule is not None:
                yield f"{sub}.c{place}", _value_of("combined_by"), f"RULE-{one.rule.upper()}", ""
            yield from _expected_call(f"{sub}.c{place}", one)
        yield from _expected_change(f"{sub}.d", told)
        for number, frame in enumerate(told.frames, 1):
            yield from _expected_of_frame(f"{sub}.i{number}", frame)
            for place, classified in enumerate(frame.classified, 1):
                if not any(_is_of(one, classified) and one.rule is None for one in told.calls):
                    yield from _expected_call(f"{sub}.i{number}.c{place}", classified)
                    yield from _expected_of_crop(f"{sub}.i{number}.c{place}", frame, classified)


def _expected_change(sub: str, told: LesionTold) -> Iterator[Fact]:
    change = change_since(told)
    if change is None or told.earlier is None:
        return
    yield sub, _value_of("earlier_study"), told.earlier.study_instance_uid, ""
    for name, step, factor, unit in (
        ("change_of_area", change.area, 1, "mm2"), ("change_of_diameter", change.diameter, 1, "mm"), ("change_of_share", change.share, 100, "%"),
    ):
        if step is not None:
            yield sub, _value_of(name), factor * (step.now - step.before), unit
    for number, one in enumerate(change.probabilities, 1):
        yield f"{sub}{number}", _value_of("change_of_probability"), one.step.now - one.step.before, "1"


def _expected_call(sub: str, one: LesionCall | Classified) -> Iterator[Fact]:
    concepts = {each.class_id: each.concept for each in one.classification.probabilities}
    for each in one.classification.probabilities:
        yield sub, f"P-{code(each.concept).value}", each.probability, "1"
    for number, point in enumerate(one.points, 1):
        called = call(one.classification, point)
        yield f"{sub}.p{number}", _value_of("threshold_value"), point.threshold, "1"
        yield f"{sub}.p{number}", _value_of("classifier_call"), code(concepts[called]).value, ""
        yield f"{sub}.p{number}", _value_of("certainty_of_finding"), 100 * one.classification.probability_of(called), "%"


def _expected_of_crop(sub: str, frame: Frame, one: Classified) -> Iterator[Fact]:
    if one.classification.region is not None and len(frame.crops) > 1:
        yield sub, _value_of("tracking_uid"), frame.lesion_on(one.classification.region).tracking_uid, ""


def _expected_of_frame(sub: str, frame: Frame) -> Iterator[Fact]:
    yield sub, _value_of("sop_instance_uid"), frame.image.uid, ""
    if frame.image.frames > 1:
        yield sub, _value_of("frame_number"), float(frame.number), "1"
    for number, region in enumerate(frame.regions, 1):
        yield from _expected_of_region(f"{sub}.r{number}", frame, region)
    for number, refused in enumerate(frame.refused, 1):
        because = REASONS[refused.refusal.reason].dicom_code or code("other_reason").value
        yield f"{sub}.n{number}", _value_of("not_analysed_because"), because, ""


def _expected_of_region(sub: str, frame: Frame, region: Region) -> Iterator[Fact]:
    mask, spacing = region.segmentation.mask, region.measures.spacing
    pixels = int(np.count_nonzero(mask))
    yield sub, _value_of("finding"), code(region.segmentation.concept).value, ""
    if region.segmentation.concept == SKIN:
        yield sub, _value_of("tracking_uid"), frame.tracking(region)[0], ""
    area = pixels * spacing.row * spacing.column if spacing else pixels
    yield sub, _value_of("area"), float(area), "mm2" if spacing else "{pixels}"
    yield sub, _value_of("threshold_value"), region.segmentation.threshold, "1"
    if pixels:
        length = "mm" if spacing else "{pixels}"
        yield sub, _value_of("diameter"), region.measures.diameter, length
        yield sub, _value_of("perimeter"), region.measures.perimeter, length
        yield sub, _value_of("share_of_image"), 100 * pixels / mask.size, "%"


def _is_of(one: LesionCall, classified: Classified) -> bool:
    return (one.run, one.classification.output) == (classified.run, classified.classification.output)


def _facts(segments: list[Segment]) -> Iterator[Fact]:
    for one in segments:
        kind, value = _text(one, "obx_2"), _text(one, "obx_5")
        if kind in _TOLD:
            yield _text(one, "obx_4"), _text(one, "obx_3"), float(value) if kind == "NM" else value, _text(one, "obx_6")


def _grouped(facts: Iterator[Fact]) -> dict[tuple[str, str, str], list[str | float]]:
    """Return the values, in their order, by sub-identifier, name and unit."""
    groups: dict[tuple[str, str, str], list[str | float]] = {}
    for sub, name, value, unit in facts:
        groups.setdefault((sub, name, unit), []).append(value)
    return groups


def _agree(said: list[str | float], expected: list[str | float], tolerance: float) -> bool:
    return len(said) == len(expected) and all(
        math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE, abs_tol=tolerance)
        if isinstance(one, float) and isinstance(other, float) else one == other
        for one, other in zip(said, expected, strict=True)
    )


def _value_of(name: str) -> str:
    return code(name).value


def _text(segment: Segment, name: str) -> str:
    """Return the first component of a field's first repetition."""
    found = _repetitions(segment, name)
    return _at(found[0], 1) if found else ""


def _at(texts: Texts, number: int) -> str:
    """Return the first subcomponent of a component (1-based), empty where it is not there."""
    return texts[number - 1][0] if number <= len(texts) and texts[number - 1] else ""


def _repetitions(segment: Segment, name: str) -> list[Texts]:
    return [_texts(field) for field in segment.children if field.name.lower() == name]


def _texts(field: Field) -> Texts:
    numbered = {_ordinal(one.name): {_ordinal(each.name): _unescaped(each) for each in one.children} for one in field.children}
    return tuple(
        tuple(numbered.get(one, {}).get(each, "") for each in range(1, max(numbered.get(one, {1: ""})) + 1))
        for one in range(1, max(numbered, default=0) + 1)
    )


def _ordinal(name: str | None) -> int:
    """Return the place that hl7apy's name of a component says, e.g. 4 for XPN_4; a value without components is the first."""
    number = (name or "").rpartition("_")[2]
    return int(number) if number.isdecimal() else 1


def _unescaped(leaf: SubComponent) -> str:
    value = leaf.value.value
    text = value if isinstance(value, str) else str(leaf.to_er7())
    return _ESCAPE.sub(lambda match: _MEANING[match[1]] if match[1] else chr(int(match[2], 16)), text)
