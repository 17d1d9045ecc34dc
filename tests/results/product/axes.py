"""What a source may be: the axes of the product, and the combinations that no pixel codec can make.

A combination that its IOD forbids is made all the same, because devices send such things; `forbidden_by_iod` says
which they are and why. Only what cannot be coded at all is left out, by the rules of `uncodable`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from itertools import combinations, product
from random import Random

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import Edition, SegGeometry, SegKind, SrClass

_ROOT = "1.2.840.10008.5.1.4.1.1."


class SopClass(StrEnum):
    """The classes that are analysed."""

    DERMOSCOPIC = _ROOT + "77.1.7"
    PHOTOGRAPHIC = _ROOT + "77.1.4"
    CONFOCAL = _ROOT + "77.1.8"
    TILED = _ROOT + "77.1.9"
    CAPTURE = _ROOT + "7"
    GREY_BYTE_CAPTURE = _ROOT + "7.2"
    GREY_WORD_CAPTURE = _ROOT + "7.3"
    TRUE_COLOUR_CAPTURE = _ROOT + "7.4"


MULTI_FRAME_CAPTURES = (SopClass.GREY_BYTE_CAPTURE, SopClass.GREY_WORD_CAPTURE, SopClass.TRUE_COLOUR_CAPTURE)
SINGLE_FRAME = (SopClass.DERMOSCOPIC, SopClass.PHOTOGRAPHIC, SopClass.CAPTURE)
CONFOCAL = (SopClass.CONFOCAL, SopClass.TILED)


class Colour(StrEnum):
    """How samples are stored."""

    RGB = "RGB"
    YBR_FULL = "YBR_FULL"
    YBR_FULL_422 = "YBR_FULL_422"
    YBR_RCT = "YBR_RCT"
    MONOCHROME1 = "MONOCHROME1"
    MONOCHROME2 = "MONOCHROME2"
    PALETTE = "PALETTE COLOR"
    GREY_16 = "MONOCHROME2, 16 bit"

    @property
    def photometric(self) -> str:
        """Photometric Interpretation (0028,0004)."""
        return "MONOCHROME2" if self is Colour.GREY_16 else self.value

    @property
    def is_grey(self) -> bool:
        """Whether the decoded picture has one channel."""
        return self in (Colour.MONOCHROME1, Colour.MONOCHROME2, Colour.GREY_16)


class Compression(StrEnum):
    """How the pixel data are coded."""

    NONE = "none"
    RLE = "RLE"
    JPEG = "JPEG baseline"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"


class Spacing(StrEnum):
    """What the source says of the size of a pixel."""

    ABSENT = "no pixel size"
    BARE = "bare PixelSpacing"
    CALIBRATED = "calibrated"
    OBLONG = "calibrated, oblong"


PIXEL = {Spacing.CALIBRATED: (0.02, 0.02), Spacing.OBLONG: (0.02, 0.01)}
"""Row and column spacing in mm of a source that says it."""


class Frames(Enum):
    """How many frames; of a tiled image: tiles."""

    ONE = 1
    SEVERAL = 3


class Name(StrEnum):
    """In which characters patient and study are named; `names.py` holds the values."""

    PLAIN = "plain"
    BACKSLASH = "backslash"
    CARETS = "carets"
    LONG = "very long"
    CONTROL = "control characters"
    MARKUP = "<script>"
    PERCENT = "percent"
    LATIN_1 = "Latin-1"
    UNDECLARED = "Latin-1, undeclared"
    CYRILLIC = "Cyrillic"
    JAPANESE = "Japanese"
    UTF_8 = "UTF-8"


class Type2(StrEnum):
    """The attributes of patient and study that must be there but may be empty (type 2)."""

    FILLED = "filled"
    EMPTY = "empty"
    MISSING = "missing"


class Site(StrEnum):
    """Whether the image names a place on the body and a lesion."""

    NONE = "no site"
    NAMED = "site, side and lesion"


class Told(StrEnum):
    """What the bundles say of each frame."""

    EVERYTHING = "lesion, skin, probabilities, saliency"
    NOTHING_FOUND = "empty mask, probabilities"
    MASK_ALONE = "lesion without probabilities"
    REFUSED = "refused"


class Answer(Enum):
    """The edition in which the result is made: SR class, SEG kind and geometry, RLE."""

    USUAL = (SrClass.COMPREHENSIVE_3D, SegKind.BINARY, SegGeometry.PLACEHOLDER, False)
    OLD_SR = (SrClass.COMPREHENSIVE, SegKind.BINARY, SegGeometry.NONE, True)
    FRACTIONAL = (SrClass.COMPREHENSIVE_3D, SegKind.FRACTIONAL, SegGeometry.PLACEHOLDER, True)
    LABEL_MAP = (SrClass.COMPREHENSIVE_3D, SegKind.LABELMAP, SegGeometry.PLACEHOLDER, False)
    LABEL_MAP_RLE = (SrClass.COMPREHENSIVE, SegKind.LABELMAP, SegGeometry.NONE, True)

    @property
    def edition(self) -> Edition:
        """The edition with every form."""
        sr, seg, geometry, rle = self.value
        compressed = {Form.PICTURE} if seg is SegKind.BINARY else {Form.PICTURE, Form.SEG}
        return Edition(
            forms=frozenset(Form), sr=sr, seg=seg, seg_geometry=geometry,
            rle=frozenset(compressed if rle else ()),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """One point of the product: what arrives, and how it is answered."""

    sop_class: SopClass
    colour: Colour
    compression: Compression
    spacing: Spacing
    frames: Frames
    name: Name
    type2: Type2
    site: Site
    told: Told
    answer: Answer

    def __str__(self) -> str:
        said = [getattr(self, field.name) for field in fields(self)]
        return ", ".join(str(one) if isinstance(one, StrEnum) and not isinstance(one, SopClass) else one.name for one in said)


PRODUCT: dict[str, list[Enum]] = {
    "sop_class": list(SopClass), "colour": list(Colour), "compression": list(Compression), "spacing": list(Spacing),
    "frames": list(Frames), "name": list(Name),
}  # fmt: skip
"""The axes of which the campaign runs every combination."""

GO_ROUND: dict[str, list[Enum]] = {"type2": list(Type2), "site": list(Site), "told": list(Told), "answer": list(Answer)}
"""The axes that go round beside the product, and are full axes of the pairs."""

Row = dict[str, Enum]


def uncodable(colour: Colour, compression: Compression) -> str | None:
    """Say why no codec can make the pair, None where it can."""
    if compression is Compression.JPEG and colour is Colour.GREY_16:
        return "JPEG baseline codes 8 bits a sample (ITU-T T.81 table B.2)"
    if compression is Compression.JPEG and colour is Colour.PALETTE:
        return "JPEG baseline changes values a little; an index that changes is another colour"
    if colour is Colour.YBR_FULL_422 and compression in (Compression.RLE, Compression.JPEG_LS, Compression.JPEG_2000):
        return "the coder wants as many chrominance as luminance samples (PS3.5 tables 8.2.2-1, 8.2.3-1, 8.2.4-1)"
    if colour is Colour.YBR_RCT and compression is not Compression.JPEG_2000:
        return "YBR_RCT is what JPEG 2000's reversible transform makes and nothing else (PS3.3 C.7.6.3.1.2)"
    return None


def forbidden_by_iod(combination: Combination) -> tuple[str, ...]:
    """Say why the standard does not allow the combination; it arrives all the same."""
    colour, sop_class, said = combination.colour, combination.sop_class, []
    in_colour = not colour.is_grey and colour is not Colour.PALETTE
    lit = (SopClass.DERMOSCOPIC, SopClass.PHOTOGRAPHIC, *CONFOCAL)
    if sop_class in lit and colour not in (Colour.RGB, Colour.YBR_FULL_422, Colour.YBR_RCT, Colour.MONOCHROME2):
        said.append("photographs and confocal images are RGB, YBR_FULL_422, YBR_RCT, YBR_ICT or MONOCHROME2 (PS3.3 C.8.12.1.1.1)")
    if sop_class is SopClass.GREY_BYTE_CAPTURE and colour is not Colour.MONOCHROME2:
        said.append("grey byte captures are MONOCHROME2 of 8 bits (PS3.3 A.8.3)")
    if sop_class is SopClass.GREY_WORD_CAPTURE and colour is not Colour.GREY_16:
        said.append("grey word captures are MONOCHROME2 of more than 8 bits (PS3.3 A.8.4)")
    if sop_class is SopClass.TRUE_COLOUR_CAPTURE and not in_colour:
        said.append("true colour captures are RGB or YBR (PS3.3 A.8.5)")
    if sop_class in SINGLE_FRAME and combination.frames is Frames.SEVERAL:
        said.append("the IOD has no Multi-frame module")
    if sop_class in CONFOCAL and combination.spacing not in PIXEL:
        said.append("Pixel Measures is mandatory (PS3.3 A.90)")
    if combination.name in (Name.BACKSLASH, Name.CARETS, Name.LONG, Name.CONTROL, Name.UNDECLARED):
        said.append("the name breaks the rules of its value representation or character set (PS3.5 6.1, 6.2)")
    if combination.type2 is Type2.MISSING:
        said.append("attributes of type 2 are missing (PS3.5 7.4.3)")
    return tuple(said)


def whole_product() -> Iterator[Combination]:
    """Yield every combination of `PRODUCT` that can be coded, in a fixed order; the other axes go round.

    Their values are drawn from a generator with a fixed seed: a plain counter would go in step with a product's axis.
    """
    generator = Random(9)  # noqa: S311 - no secret
    for values in product(*PRODUCT.values()):
        chosen = dict(zip(PRODUCT, values, strict=True)) | {name: generator.choice(of) for name, of in GO_ROUND.items()}
        combination = Combination(**chosen)  # type: ignore[arg-type]
        if uncodable(combination.colour, combination.compression) is None:
            yield combination


def all_pairs() -> list[Combination]:
    """Return combinations in which every codable pair of values of any two axes comes at least once.

    Greedy: each row begins with a pair that is still missing and takes, axis by axis, the value that brings most of
    the others.
    """
    axes = PRODUCT | GO_ROUND
    left = {
        frozenset(((one, value), (two, other)))
        for one, two in combinations(axes, 2)
        for value, other in product(axes[one], axes[two])
        if _codable({one: value, two: other})
    }
    order = sorted(left, key=lambda pair: sorted((name, str(value)) for name, value in pair))
    rows: list[Combination] = []
    for pair in order:
        if pair not in left:
            continue
        row: Row = dict(pair)
        for name in sorted(axes, key=lambda name: -len(axes[name])):
            if name not in row:
                possible = [value for value in axes[name] if _codable(row | {name: value})]
                row[name] = max(possible, key=lambda value: sum(one in left for one in _pairs(row, name, value)))
        left -= {frozenset(two) for two in combinations(row.items(), 2)}
        rows.append(Combination(**row))  # type: ignore[arg-type]
    return rows


def _pairs(row: Row, name: str, value: Enum) -> Iterator[frozenset[tuple[str, Enum]]]:
    """Yield the pairs that a value would make with what the row has."""
    for one in row.items():
        yield frozenset((one, (name, value)))


def _codable(row: Row) -> bool:
    colour, compression = row.get("colour"), row.get("compression")
    if not isinstance(colour, Colour) or not isinstance(compression, Compression):
        return True
    return uncodable(colour, compression) is None
