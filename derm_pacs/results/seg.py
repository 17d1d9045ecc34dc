"""BINARY SEG of one frame: one segment for each region in which something was found.

The mask refers to its image pixel by pixel through Derivation Image, so no frame of reference is needed (PS3.3
A.51.5.1). Pixel Measures and Plane Orientation are written even where the image has no geometry: OHIF goes black
without them. They are then placeholders (1 mm) from which nothing is ever measured; the report says so.
"""

from copy import deepcopy

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, VLPhotographicImageStorage

from derm_pacs.domain.codes import code
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.results.arrange import SKIN, Frame, Region
from derm_pacs.results.coded import concept
from derm_pacs.results.header import finish, ours, stand_in
from derm_pacs.results.identity import Naming

PLACEHOLDER_SPACING = (1.0, 1.0)
PLACEHOLDER_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_LESION_COLOUR = CIELabColor(60.0, 75.0, 45.0)
_SKIN_COLOUR = CIELabColor(75.0, -45.0, 40.0)


def compose(frame: Frame, naming: Naming, ordinal: int) -> Composed:
    """Make the SEG of a frame that has at least one found region; `ordinal` counts the revision's SEGs from 0."""
    about = [frame.image.uid]
    found = frame.found
    instance_uid = naming.instance_uid(Form.SEG, about, frame.number)
    document = Segmentation(
        # a single-frame class of photographs stands in: highdicom refuses frames of images without plane positions
        source_images=[stand_in(frame.image, VLPhotographicImageStorage)],
        pixel_array=np.stack([region.segmentation.mask for region in found], axis=-1)[np.newaxis],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(number, region, frame) for number, region in enumerate(found, 1)],
        series_instance_uid=naming.series_uid(Form.SEG, about, frame.number),
        series_number=naming.series_number(Form.SEG, ordinal),
        sop_instance_uid=instance_uid,
        instance_number=1,
        content_label="AI_OUTLINE",
        series_description=naming.series_description(Form.SEG, frame.lesion.number),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
        **ours(naming),
    )
    document.PatientOrientation = ""
    _name_dimensions(document, naming.dimension_organization_uid(instance_uid))
    _give_geometry(document.SharedFunctionalGroupsSequence[0], frame)
    _name_source(document, frame)
    if "RequestAttributesSequence" in frame.image.dataset:
        document.RequestAttributesSequence = deepcopy(frame.image.dataset.RequestAttributesSequence)
    bundles = sorted({f"{region.run.bundle.name} {region.run.bundle.version}" for region in found})
    return finish(document, Form.SEG, naming, [frame.image], bundles)


def _description(number: int, region: Region, frame: Frame) -> SegmentDescription:
    bundle = region.run.bundle
    is_skin = region.segmentation.concept == SKIN
    tracking_uid, tracking_id = frame.tracking(region)
    site = frame.image.site
    return SegmentDescription(
        segment_number=number,
        segment_label=code(region.segmentation.concept).meaning if is_skin else frame.lesion.label,
        segmented_property_category=concept("anatomical_structure" if is_skin else "abnormal_structure"),
        segmented_property_type=concept(region.segmentation.concept),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=bundle.name,
            version=bundle.version,
            family=concept("artificial_intelligence"),
            parameters={"sha256": bundle.content_hash, "threshold": repr(region.segmentation.threshold)},
        ),
        tracking_uid=tracking_uid,
        tracking_id=tracking_id,
        anatomic_regions=[concept(site.region)] if site else None,
        display_color=_SKIN_COLOUR if is_skin else _LESION_COLOUR,
    )


def _name_dimensions(document: Dataset, uid: str) -> None:
    """Replace highdicom's random Dimension Organization UID."""
    for item in (*document.DimensionOrganizationSequence, *document.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _give_geometry(shared: Dataset, frame: Frame) -> None:
    spacing = frame.image.spacing(frame.number)
    measures = Dataset()
    measures.PixelSpacing = [spacing.row, spacing.column] if spacing else list(PLACEHOLDER_SPACING)
    measures.SliceThickness = 1.0  # always a placeholder: a photograph has none
    orientation = Dataset()
    orientation.ImageOrientationPatient = list(frame.image.plane_orientation(frame.number) or PLACEHOLDER_ORIENTATION)
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]


def _name_source(document: Dataset, frame: Frame) -> None:
    """Put the source's true class, and its frame, in the place of the stand-in's."""
    for series in document.ReferencedSeriesSequence:
        series.ReferencedInstanceSequence = [_reference(frame, with_frame=False)]
    document.SourceImageSequence = [_reference(frame, with_frame=True)]
    for groups in (*document.SharedFunctionalGroupsSequence, *document.PerFrameFunctionalGroupsSequence):
        for derivation in groups.get("DerivationImageSequence") or []:
            for item in derivation.SourceImageSequence:
                item.update(_reference(frame, with_frame=True))


def _reference(frame: Frame, *, with_frame: bool) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = frame.image.sop_class_uid
    item.ReferencedSOPInstanceUID = frame.image.uid
    if with_frame and frame.reference:
        item.ReferencedFrameNumber = frame.number
    return item
