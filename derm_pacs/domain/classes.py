"""What peers may send: SOP classes and transfer syntaxes, as plain data with their sources.

UIDs and names are those of PS3.6 table A-1.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SopClass:
    """A storage SOP class."""

    uid: str
    name: str
    source: str
    """Where the standard lists it."""
    pixels: bool
    """Whether objects of the class hold pixel data, so that compressed transfer syntaxes make sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSyntax:
    """A transfer syntax that the product can decode."""

    uid: str
    name: str
    source: str
    """The part of the standard that defines it, and what decodes it here."""
    compressed: bool
    """Whether pixel data is encapsulated."""


def _image(suffix: str, name: str) -> SopClass:
    return SopClass(uid="1.2.840.10008.5.1.4.1.1." + suffix, name=name, source="PS3.4 table B.5-1", pixels=True)


def _document(suffix: str, name: str) -> SopClass:
    return SopClass(uid="1.2.840.10008.5.1.4.1.1." + suffix, name=name, source="PS3.4 table B.5-1", pixels=False)


ANALYSABLE = (
    _image("77.1.7", "Dermoscopic Photography Image Storage"),
    _image("77.1.8", "Confocal Microscopy Image Storage"),
    _image("77.1.9", "Confocal Microscopy Tiled Pyramidal Image Storage"),
    _image("77.1.4", "VL Photographic Image Storage"),
    _image("77.1.2", "VL Microscopic Image Storage"),
    _image("7", "Secondary Capture Image Storage"),
    _image("7.2", "Multi-frame Grayscale Byte Secondary Capture Image Storage"),
    _image("7.3", "Multi-frame Grayscale Word Secondary Capture Image Storage"),
    _image("7.4", "Multi-frame True Color Secondary Capture Image Storage"),
)
"""Classes whose instances can be analysed; only these open revisions."""

EVIDENCE = (
    _document("88.22", "Enhanced SR Storage"),
    _document("88.33", "Comprehensive SR Storage"),
    _document("88.34", "Comprehensive 3D SR Storage"),
    _image("66.4", "Segmentation Storage"),
    _document("104.1", "Encapsulated PDF Storage"),
    _document("11.2", "Color Softcopy Presentation State Storage"),
)
"""Classes that are taken and filed, never analysed."""

VERIFICATION = "1.2.840.10008.1.1"
"""Verification SOP Class (PS3.4 annex A)."""

STORAGE_COMMITMENT_PUSH = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class (PS3.4 annex J)."""

STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Its well-known SOP Instance (PS3.4 J.3.5)."""

DEFLATED = "1.2.840.10008.1.2.1.99"
"""Deflated Explicit VR Little Endian: the data set as a whole is deflated (PS3.5 A.5)."""

EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
"""Explicit VR Big Endian (retired; PS3.5-2016b A.3)."""

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
"""Implicit VR Little Endian, DICOM's default (PS3.5 A.1)."""


def _compressed(suffix: str, name: str, source: str) -> TransferSyntax:
    return TransferSyntax(uid="1.2.840.10008.1.2." + suffix, name=name, source=source, compressed=True)


def _native(uid: str, name: str, source: str) -> TransferSyntax:
    return TransferSyntax(uid=uid, name=name, source=source, compressed=False)


TRANSFER_SYNTAXES = (
    _compressed("4.90", "JPEG 2000 Image Compression (Lossless Only)", "PS3.5 A.4.4; pylibjpeg-openjpeg, gdcm"),
    _compressed("4.80", "JPEG-LS Lossless Image Compression", "PS3.5 A.4.3; pyjpegls, gdcm"),
    _compressed("4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])", "PS3.5 A.4.1; gdcm"),
    _compressed("4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", "PS3.5 A.4.1; gdcm"),
    _compressed("4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", "PS3.5 section 10.18; pylibjpeg-openjpeg"),
    _compressed(
        "4.202", "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        "PS3.5 section 10.18; pylibjpeg-openjpeg",
    ),
    _compressed("5", "RLE Lossless", "PS3.5 A.4.2; pydicom, pylibjpeg-rle"),
    _compressed("4.50", "JPEG Baseline (Process 1)", "PS3.5 A.4.1; Pillow, gdcm"),
    _compressed("4.51", "JPEG Extended (Process 2 and 4)", "PS3.5 A.4.1; Pillow (8 bit), gdcm"),
    _compressed("4.91", "JPEG 2000 Image Compression", "PS3.5 A.4.4; pylibjpeg-openjpeg, gdcm"),
    _compressed("4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", "PS3.5 A.4.3; pyjpegls, gdcm"),
    _compressed("4.203", "High-Throughput JPEG 2000 Image Compression", "PS3.5 section 10.18; pylibjpeg-openjpeg"),
    _native("1.2.840.10008.1.2.1", "Explicit VR Little Endian", "PS3.5 A.2; pydicom"),
    _native(IMPLICIT_LITTLE_ENDIAN, "Implicit VR Little Endian", "PS3.5 A.1; pydicom"),
    _native(DEFLATED, "Deflated Explicit VR Little Endian", "PS3.5 A.5; pydicom"),
    _native(EXPLICIT_BIG_ENDIAN, "Explicit VR Big Endian", "PS3.5-2016b A.3 (retired); pydicom"),
)
"""What can be decoded, in our order of preference: the listener takes the first that a peer offers.

Compressed ones come first, so that a peer that offers its stored form beside an uncompressed one sends what it stores.
Among them the lossless ones come first, so that no peer is made to compress with loss. Deflated and big endian come
last: a peer that offers its whole list is not made to convert into a rare form.
"""
