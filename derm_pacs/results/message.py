"""The message for the record system: HL7 v2.5.1 ORU^R01 of one study, preliminary, never final.

Segments by HL7 v2.5.1 chapters 2 (MSH), 3 (PID), 4 (ORC) and 7 (OBR, OBX); identifiers of orders where IHE RAD puts
them (accession number in OBR-18 too). Who receives it (MSH-5, MSH-6) is written when it is sent.
"""

import base64
import hashlib
import re
from datetime import datetime
from decimal import Decimal

from pydicom import Dataset
from pydicom.multival import MultiValue

from derm_pacs.domain.codes import PRIVATE_SCHEME, Code, code
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.marks import MANUFACTURER
from derm_pacs.results import er7
from derm_pacs.results.arrange import Arrangement
from derm_pacs.results.identity import Naming
from derm_pacs.results.observations import Observation, observations
from derm_pacs.results.source import SourceImage

PRELIMINARY = "P"
"""Tables 0085 and 0123: no person has looked at it; final (F) is what a clinician says."""
_PRODUCTION, _TRAINING = "P", "T"
"""Table 0103: a record system in production does not take a training message, so no drawn study becomes a patient's."""
_SEXES = {"M": "M", "F": "F", "O": "O"}
_UNKNOWN_SEX = "U"
_UNSPECIFIED_NAME = "U"
"""Table 0200: says that a required name is not known."""
_REPRESENTATIONS = ("A", "I", "P")
"""Table 0465, in the order of DICOM's groups of a name: alphabetic, ideographic, phonetic."""
_DATE, _TIME = re.compile(r"[12][0-9]{7}"), re.compile(r"([0-9]{2}(?:[0-9]{2}(?:[0-9]{2})?)?)(\.[0-9]{1,4})?[0-9]*")
_WITHOUT_EXPONENT = "f"
_CODE_LENGTH = 20
"""Of a code (CE.1) and of a control identifier (MSH-10) in v2.5.1."""


def compose(arrangement: Arrangement, naming: Naming) -> Composed:
    """Make the message; `data` is UTF-8, without MLLP frame and receiver."""
    about = [image.uid for image in arrangement.images]
    uid = naming.instance_uid(Form.MESSAGE, about, 0)
    first = arrangement.images[0]
    segments = [
        _header(uid, arrangement, naming), _patient(first.dataset), *_order(first, naming),
        *(_observation(number, one) for number, one in enumerate(observations(arrangement, naming), 1)),
    ]
    data = "".join(segments).encode("utf-8")
    return Composed(
        form=Form.MESSAGE, sop_class_uid="", sop_instance_uid=uid, series_instance_uid="", transfer_syntax_uid="",
        sha256=hashlib.sha256(data).hexdigest(), about=tuple(about), data=data,
    )


def control_id(uid: str) -> str:
    """Return the message control identifier (MSH-10) of the message of that UID: 20 characters, all that v2.5.1 allows."""
    return base64.b32encode(hashlib.sha256(uid.encode("ascii")).digest())[:_CODE_LENGTH].decode("ascii")


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return an attribute's text as its sender wrote it, empty where there is none."""
    value = dataset.get(keyword)
    if isinstance(value, MultiValue):  # a backslash in a value that may have only one
        return "\\".join(str(one) for one in value)
    return str(value or "")


def _header(uid: str, arrangement: Arrangement, naming: Naming) -> str:
    return er7.segment("MSH", {
        3: MANUFACTURER, 4: naming.identity.facility, 7: _moment(naming.identity.made_at),
        9: [["ORU", "R01", "ORU_R01"]], 10: control_id(uid),
        11: _TRAINING if arrangement.synthetic else _PRODUCTION, 12: "2.5.1", 18: "UNICODE UTF-8",
    })


def _patient(dataset: Dataset) -> str:
    return er7.segment("PID", {
        1: "1", 3: [_identifier(dataset)], 5: _names(text_of(dataset, "PatientName")),
        7: _date(text_of(dataset, "PatientBirthDate")),
        8: _SEXES.get(text_of(dataset, "PatientSex").strip().upper(), _UNKNOWN_SEX),
    })


def _identifier(dataset: Dataset) -> list[er7.Component]:
    """Return the CX of Patient ID with its issuer, as the source names it."""
    qualifiers = (dataset.get("IssuerOfPatientIDQualifiersSequence") or [Dataset()])[0]
    issuer = (
        text_of(dataset, "IssuerOfPatientID"), text_of(qualifiers, "UniversalEntityID"),
        text_of(qualifiers, "UniversalEntityIDType"),
    )
    return [text_of(dataset, "PatientID"), "", "", issuer, text_of(qualifiers, "IdentifierTypeCode")]


def _names(name: str) -> list[list[er7.Component]]:
    """Return the XPN of each group of a DICOM name (family^given^middle^prefix^suffix, PS3.5 section 6.2.1.1)."""
    found: list[list[er7.Component]] = []
    for group, representation in zip(name.split("="), _REPRESENTATIONS, strict=False):
        family, given, middle, prefix, *suffix = [*group.split("^"), "", "", "", ""]
        if group.strip("^ "):
            found.append([(family,), given, middle, " ".join(one for one in suffix if one), prefix, "", "", representation])
    return found or [["", "", "", "", "", "", _UNSPECIFIED_NAME]]


def _order(image: SourceImage, naming: Naming) -> list[str]:
    dataset = image.dataset
    request = (dataset.get("RequestAttributesSequence") or [Dataset()])[0]
    accession = text_of(dataset, "AccessionNumber") or text_of(request, "AccessionNumber")
    issuer = (dataset.get("IssuerOfAccessionNumberSequence") or [Dataset()])[0]
    placer = text_of(dataset, "PlacerOrderNumberImagingServiceRequest")
    filler = text_of(dataset, "FillerOrderNumberImagingServiceRequest")
    numbered: list[er7.Component] = [
        accession, text_of(issuer, "LocalNamespaceEntityID"), text_of(issuer, "UniversalEntityID"),
        text_of(issuer, "UniversalEntityIDType"),
    ]
    numbers: dict[int, er7.Field] = {2: placer, 3: filler or [numbered if accession else [image.study_uid]]}
    return [
        er7.segment("ORC", {1: "RE", **numbers}),
        er7.segment("OBR", {
            1: "1", **numbers, 4: [_procedure(request)],
            7: _date(text_of(dataset, "StudyDate"), text_of(dataset, "StudyTime")), 18: accession,
            19: text_of(request, "RequestedProcedureID"), 22: _moment(naming.identity.made_at), 25: PRELIMINARY,
        }),
    ]


def _procedure(request: Dataset) -> list[er7.Component]:
    """Return what was asked for as the request codes it, else that this is an imaging report."""
    for item in request.get("RequestedProcedureCodeSequence") or []:
        value, scheme = text_of(item, "CodeValue"), text_of(item, "CodingSchemeDesignator")
        if value and scheme:
            return [value, text_of(item, "CodeMeaning"), scheme]
    return _coded(code("imaging_report"))


def _observation(number: int, one: Observation) -> str:
    kind, value = _value(one.value)
    fields: dict[int, er7.Field] = {
        1: str(number), 2: kind, 3: [_named(one)], 4: one.sub, 5: value, 11: PRELIMINARY,
    }
    if one.unit is not None:
        fields[6] = [_coded(one.unit)]
    if one.run is not None:
        bundle = one.run.bundle
        fields[17] = [[bundle.content_hash[:_CODE_LENGTH], f"{bundle.name} {bundle.version}", PRIVATE_SCHEME]]
    return er7.segment("OBX", fields)


def _value(value: float | Code | str | tuple[str, ...]) -> tuple[str, er7.Field]:
    """Return an observation's type (OBX-2) and value (OBX-5)."""
    match value:
        case float():
            return "NM", format(Decimal(repr(value)).normalize(), _WITHOUT_EXPONENT)
        case Code():
            return "CWE", [_coded(value)]
        case str():
            return "ST", value
        case lines:
            return "TX", [[line] for line in lines]


def _named(one: Observation) -> list[er7.Component]:
    return [*_coded(one.name), *(_coded(one.alternate) if one.alternate else ())]


def _coded(row: Code) -> list[er7.Component]:
    return [row.value, row.meaning, row.scheme]


def _date(date: str, time: str = "") -> str:
    """Return a date, with time where there is one, as TS; empty where the source's cannot be read."""
    if not _DATE.fullmatch(date.strip()):
        return ""
    match = _TIME.fullmatch(time.strip())
    return date.strip() + (match[1] + (match[2] or "" if len(match[1]) == 6 else "") if match else "")


def _moment(when: datetime) -> str:
    """Return a moment as TS with its offset from UTC."""
    return f"{when:%Y%m%d%H%M%S}.{when.microsecond // 100:04d}{when:%z}"[:24]
