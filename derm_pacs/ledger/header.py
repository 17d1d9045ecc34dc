"""The header of a received object as typed facts, read under limits; the one door through which it is read for filing.

Only the elements that filing asks for are given to pydicom. Whatever it raises (it raises in every kind) becomes
`Rejected(UNREADABLE)` here, with a detail that names the tag and no value: values are patient data.
"""

import hashlib
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.marks import MANUFACTURER, PURPOSE
from derm_pacs.domain.reasons import UNREADABLE
from derm_pacs.ledger.layout import MAX_HEADER_BYTES, Layout, LayoutError, find_layout, fragments, tag_text

MAX_INFLATED_BYTES = 512 * 1024 * 1024
"""Bytes of a deflated data set when it is inflated."""
_MAX_KEY_CHARACTERS = 256  # Patient ID and issuer stand in a unique index; their VR (LO) allows 64
_MAX_TEXT_CHARACTERS = 1024

_WANTED = frozenset({
    0x00080005,  # Specific Character Set
    0x00080016, 0x00080018, 0x00080060,  # SOP Class UID, SOP Instance UID, Modality
    0x00080020,  # Study Date
    0x00080201,  # Timezone Offset From UTC
    0x00082218,  # Anatomic Region Sequence
    0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040,  # name, Patient ID, its issuer, birth date, sex
    0x0018A001,  # Contributing Equipment Sequence
    0x0020000D, 0x0020000E,  # Study and Series Instance UID
    0x00200060, 0x00200062,  # Laterality, Image Laterality
    0x00280008, 0x00280010, 0x00280011,  # Number of Frames, Rows, Columns
    0x00620020, 0x00620021,  # Tracking ID, Tracking UID
    0x52009229,  # Shared Functional Groups Sequence: Frame Anatomy
})
_PYDICOM_LOG = logging.getLogger("pydicom")
_SIDES = {"7771000": "L", "24028007": "R", "51440002": "B"}  # SNOMED CT: left, right, right and left


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFacts:
    """What filing wants to know of an object. Texts are decoded and stripped; what is absent is an empty text."""

    patient_id: str
    issuer: str
    """Issuer of Patient ID (0010,0021)."""
    name: str
    birth_date: date | None
    sex: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    study_date: date | None
    number_of_frames: int
    """1 where the element is absent."""
    rows: int | None
    columns: int | None
    laterality: str
    """L, R, B, U or empty."""
    site_code: str
    """Anatomic region as `scheme:code value`, empty where none is coded."""
    tracking_id: str
    tracking_uid: str
    """Empty where it is absent or no legal UID."""
    timezone_offset: str
    """As the source writes it: sign, hours, minutes."""
    ours: bool
    """A Contributing Equipment item says that an installation of ours made the object."""
    sha256: str
    """Hexadecimal SHA-256 of the data set bytes."""
    pixel_sha256: str | None
    """Hexadecimal SHA-256 of the pixel data's value, of its fragments where it is encapsulated; None where it is empty."""


@dataclass(frozen=True, slots=True)
class _Part10:
    transfer_syntax_uid: str
    data_set: memoryview


def read_header(part10: bytes) -> HeaderFacts:
    """Return the facts of a Part 10 file's header; raises `Rejected(UNREADABLE)` whatever is wrong with the bytes."""
    try:
        with _unheard_pydicom():
            return _facts(_split(part10))
    except LayoutError as error:
        raise Rejected(UNREADABLE, str(error)) from error
    except MemoryError:
        raise  # says something of this machine, nothing of the object
    except Exception as error:  # noqa: BLE001  (this is the door: pydicom raises in every kind)
        # Without its cause, whose message may quote a value.
        raise Rejected(UNREADABLE, f"reading the header failed with {type(error).__name__}") from None


@contextmanager
def _unheard_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings and log from quoting the values that it does not like."""
    before = _PYDICOM_LOG.disabled
    _PYDICOM_LOG.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _PYDICOM_LOG.disabled = before


def data_set_sha256(part10: bytes) -> str:
    """Return the hexadecimal SHA-256 of the data set bytes; of all bytes where the File Meta Information is broken."""
    try:
        return hashlib.sha256(_split(part10).data_set).hexdigest()
    except (LayoutError, struct.error, UnicodeDecodeError):
        return hashlib.sha256(part10).hexdigest()


def _split(part10: bytes) -> _Part10:
    """Return transfer syntax and data set; the File Meta Information is explicit little endian (PS3.10 section 7.1)."""
    if part10[128:132] != b"DICM":
        raise LayoutError("the file has no DICM prefix")
    view = memoryview(part10)
    position = 132
    transfer_syntax = ""
    while position + 8 <= len(view) and struct.unpack_from("<H", view, position)[0] == 0x0002:
        element, vr, length = struct.unpack_from("<H2sH", view, position + 2)
        position += 8
        if vr in (b"OB", b"UN", b"UT", b"OW", b"UR", b"UC"):
            length = struct.unpack_from("<I", view, position)[0]
            position += 4
        if position + length > len(view):
            raise LayoutError("the File Meta Information breaks off")
        if element == 0x0010:
            transfer_syntax = bytes(view[position : position + length]).decode("ascii").rstrip("\0 ")
        position += length
    if not is_legal_uid(transfer_syntax):
        raise LayoutError("Transfer Syntax UID (0002,0010) is missing or illegal")
    return _Part10(transfer_syntax, view[position:])


def _facts(file: _Part10) -> HeaderFacts:
    data = file.data_set
    if file.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        data = _inflated(data)
    implicit = file.transfer_syntax_uid == ImplicitVRLittleEndian
    little = file.transfer_syntax_uid != ExplicitVRBigEndian
    layout = find_layout(data, _WANTED, implicit=implicit, little=little)
    if layout.header_end > MAX_HEADER_BYTES:
        raise LayoutError(f"the header has more than {MAX_HEADER_BYTES} bytes")
    chosen = BytesIO(b"".join(data[start:end] for start, end in layout.wanted))
    header = read_dataset(chosen, is_implicit_VR=implicit, is_little_endian=little)
    anatomy = _frame_anatomy(header)
    return HeaderFacts(
        patient_id=_key(header, 0x00100020),
        issuer=_key(header, 0x00100021),
        name=_text(header, 0x00100010),
        birth_date=_date(_text(header, 0x00100030)),
        sex=_text(header, 0x00100040),
        sop_class_uid=_uid(header, 0x00080016),
        sop_instance_uid=_uid(header, 0x00080018),
        series_instance_uid=_uid(header, 0x0020000E),
        study_instance_uid=_uid(header, 0x0020000D),
        transfer_syntax_uid=file.transfer_syntax_uid,
        modality=_text(header, 0x00080060),
        study_date=_date(_text(header, 0x00080020)),
        number_of_frames=_count(header, 0x00280008) or 1,
        rows=_count(header, 0x00280010),
        columns=_count(header, 0x00280011),
        laterality=_laterality(header, anatomy),
        site_code=_site(header) or _site(anatomy),
        tracking_id=_text(header, 0x00620020),
        tracking_uid=tracking if is_legal_uid(tracking := _text(header, 0x00620021)) else "",
        timezone_offset=offset if re.fullmatch(r"[+-][0-9]{4}", offset := _text(header, 0x00080201)) else "",
        ours=any(_is_our_item(item) for item in _items(header, 0x0018A001)),
        sha256=hashlib.sha256(file.data_set).hexdigest(),
        pixel_sha256=_pixel_sha256(data, layout, little=little),
    )


def _inflated(data: memoryview) -> memoryview:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise LayoutError(f"the deflated data set has more than {MAX_INFLATED_BYTES} bytes")
    if not inflater.eof:
        raise LayoutError("the deflated data set breaks off")
    return memoryview(inflated)


def _pixel_sha256(data: memoryview, layout: Layout, *, little: bool) -> str | None:
    if layout.pixels is None:
        return None
    start, end = layout.pixels.start, layout.pixels.end
    parts = [data[start:end]] if end is not None else fragments(data, start, little=little)
    if not any(len(part) for part in parts):
        return None
    return _sha256(parts)


def _sha256(parts: Iterable[memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _text(header: Dataset, tag: int) -> str:
    """Return the value as text that PostgreSQL takes (no NUL, no lone surrogate); several values stay together."""
    element = header.get(tag)
    value = None if element is None else element.value
    if value is None:
        return ""
    if isinstance(value, MultiValue):
        text = "\\".join(str(one) for one in value)
    else:
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8").strip()[:_MAX_TEXT_CHARACTERS]


def _key(header: Dataset, tag: int) -> str:
    text = _text(header, tag)
    if len(text) > _MAX_KEY_CHARACTERS:
        raise LayoutError(f"{tag_text(tag)} has more than {_MAX_KEY_CHARACTERS} characters")
    return text


def _uid(header: Dataset, tag: int) -> str:
    uid = _text(header, tag)
    if not is_legal_uid(uid):
        raise LayoutError(f"{tag_text(tag)} is missing or no legal UID")
    return uid


def _count(header: Dataset, tag: int) -> int | None:
    """Return a positive number, None where the element is absent or empty."""
    element = header.get(tag)
    if element is None or element.VM == 0 or element.value in (None, ""):
        return None
    if element.VM != 1 or not isinstance(element.value, int) or not 0 < element.value < 2**31:
        raise LayoutError(f"{tag_text(tag)} is not a single positive number")
    return int(element.value)


def _date(text: str) -> date | None:
    """Return a date of the form YYYYMMDD, or YYYY.MM.DD as before 1993; None for anything else."""
    try:
        return datetime.strptime(text.replace(".", ""), "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _items(header: Dataset | None, tag: int) -> list[Dataset]:
    element = header.get(tag) if header is not None else None
    return list(element.value) if element is not None and element.VR == "SQ" and element.value else []


def _first(header: Dataset | None, tag: int) -> Dataset | None:
    items = _items(header, tag)
    return items[0] if items else None


def _frame_anatomy(header: Dataset) -> Dataset | None:
    return _first(_first(header, 0x52009229), 0x00209071)


def _laterality(header: Dataset, anatomy: Dataset | None) -> str:
    for text in (
        _text(header, 0x00200062), _text(header, 0x00200060), _text(anatomy, 0x00209072) if anatomy is not None else "",
    ):
        if text in ("L", "R", "B", "U"):
            return text
    for holder in (header, anatomy):
        for modifier in _items(_first(holder, 0x00082218), 0x00082220):
            side = _SIDES.get(_text(modifier, 0x00080100))
            if side is not None:
                return side
    return ""


def _site(header: Dataset | None) -> str:
    region = _first(header, 0x00082218)
    if region is None:
        return ""
    value = _text(region, 0x00080100) or _text(region, 0x00080119)  # Code Value, Long Code Value
    return f"{_text(region, 0x00080102)}:{value}"[:_MAX_KEY_CHARACTERS] if value else ""


def _is_our_item(item: Dataset) -> bool:
    purpose = _first(item, 0x0040A170)
    return (
        _text(item, 0x00080070) == MANUFACTURER
        and purpose is not None
        and (_text(purpose, 0x00080100), _text(purpose, 0x00080102)) == PURPOSE[:2]
    )
