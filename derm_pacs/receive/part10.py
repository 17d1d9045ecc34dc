"""The File Meta Information that we put in front of a received data set (PS3.10 section 7.1)."""

import struct
from typing import Final

from derm_pacs.domain.identifiers import derived_uid

IMPLEMENTATION_CLASS_UID: Final = derived_uid(("derm-pacs", "implementation class"))
"""(0002,0012), and what the listener says in association negotiation (PS3.7 D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME: Final = "DERM_PACS_0_1"
"""(0002,0013), at most 16 characters."""


def file_start(
    *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae: str, called_ae: str
) -> bytes:
    """Return preamble, prefix and File Meta Information; the data set's bytes follow as they were received.

    Source Application Entity Title (0002,0016) and Sending AE Title (0002,0017) name the sender, Receiving
    (0002,0018) us.
    """
    elements = b"".join((
        _element(0x0001, b"OB", b"\0\1"),
        _element(0x0002, b"UI", _even(sop_class_uid, b"\0")),
        _element(0x0003, b"UI", _even(sop_instance_uid, b"\0")),
        _element(0x0010, b"UI", _even(transfer_syntax_uid, b"\0")),
        _element(0x0012, b"UI", _even(IMPLEMENTATION_CLASS_UID, b"\0")),
        _element(0x0013, b"SH", _even(IMPLEMENTATION_VERSION_NAME, b" ")),
        _element(0x0016, b"AE", _even(calling_ae, b" ")),
        _element(0x0017, b"AE", _even(calling_ae, b" ")),
        _element(0x0018, b"AE", _even(called_ae, b" ")),
    ))
    return bytes(128) + b"DICM" + _element(0x0000, b"UL", struct.pack("<I", len(elements))) + elements


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if vr == b"OB":
        return struct.pack("<HH2sHI", 0x0002, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def _even(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding if len(value) % 2 else value
