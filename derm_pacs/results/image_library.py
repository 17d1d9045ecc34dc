"""The image library of a report (TID 1600), by hand: highdicom refuses dermoscopic and confocal classes."""

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    ImageContentItem,
    RelationshipTypeValues,
)

from derm_pacs.results.coded import concept
from derm_pacs.results.source import SourceImage

_MODALITIES = {
    "DMS": "dermoscopy_modality", "CFM": "confocal_modality", "XC": "photography_modality", "GM": "microscopy_modality",
}


def image_library(images: Sequence[SourceImage]) -> ContainerContentItem:
    """Return the container with one entry an image and its modality."""
    library = ContainerContentItem(
        name=concept("image_library"), is_content_continuous=False, template_id="1600",
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    group = ContainerContentItem(
        name=concept("image_library_group"), is_content_continuous=False,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    group.ContentSequence = ContentSequence([_entry(image) for image in images])
    library.ContentSequence = ContentSequence([group])
    return library


def _entry(image: SourceImage) -> ImageContentItem:
    entry = ImageContentItem(
        name=concept("source_image"),
        referenced_sop_class_uid=image.sop_class_uid,
        referenced_sop_instance_uid=image.uid,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    modality = concept(_MODALITIES.get(image.modality, "other_modality"))
    entry.ContentSequence = ContentSequence(
        [CodeContentItem(concept("modality"), modality, RelationshipTypeValues.HAS_ACQ_CONTEXT)]
    )
    return entry
