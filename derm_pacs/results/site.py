"""Where on the body the image says that it was taken, and how it names the lesion."""

from dataclasses import dataclass

from pydicom import Dataset

from derm_pacs.domain.codes import Code, code
from derm_pacs.domain.identifiers import is_legal_uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The anatomic region as the image codes it, and the side where it is one."""

    region: Code
    laterality: Code | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """The image's own name of its lesion (0062,0020) and (0062,0021)."""

    uid: str
    identifier: str | None


def site_of(dataset: Dataset) -> Site | None:
    """Return the finding site of an image, None where Anatomic Region Sequence holds no usable code."""
    items = dataset.get("AnatomicRegionSequence")
    region = _code_of(items[0]) if items else None
    if region is None:
        return None
    return Site(region=region, laterality=_laterality(dataset, items[0]))


def tracking_of(dataset: Dataset) -> Tracking | None:
    """Return the image's own tracking identifier and UID, None where the UID is absent or illegal."""
    uid = str(dataset.get("TrackingUID") or "")
    if not uid or not is_legal_uid(uid):
        return None
    return Tracking(uid=uid, identifier=str(dataset.get("TrackingID") or "").strip() or None)


def _laterality(dataset: Dataset, region: Dataset) -> Code | None:
    left, right = code("left"), code("right")
    modifiers = {_code.value for item in region.get("AnatomicRegionModifierSequence") or [] if (_code := _code_of(item))}
    letter = str(dataset.get("ImageLaterality") or dataset.get("Laterality") or "")
    if left.value in modifiers or (not modifiers and letter == "L"):
        return left
    if right.value in modifiers or (not modifiers and letter == "R"):
        return right
    return None


def _code_of(item: Dataset) -> Code | None:
    """Return the item's code where it has all three parts in legal lengths; a code that breaks ours is left out."""
    value, scheme, meaning = (
        str(item.get(keyword) or "").strip() for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    )
    if not (0 < len(value) <= 16 and 0 < len(scheme) <= 16 and 0 < len(meaning) <= 64):
        return None
    return Code(name="from_image", value=value, scheme=scheme, meaning=meaning, source="image")
