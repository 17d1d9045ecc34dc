"""Colour softcopy presentation state: a lesion's contour and call as graphics over the source image, on a layer of its own.

The class presents colour images only (PS3.3 A.33.2.1), so a MONOCHROME image has none; neither has a tiled image, whose
displayed area would have to choose a level of its pyramid. Viewers that know no presentation states show the picture.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from highdicom.color import CIELabColor
from highdicom.pr import (
    AnnotationUnitsValues,
    ColorSoftcopyPresentationState,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    TextObject,
)
from pydicom import Dataset
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.results.arrange import Arrangement, Frame, Region
from derm_pacs.results.contour import outline
from derm_pacs.results.header import finish, ours, stand_in
from derm_pacs.results.identity import Naming
from derm_pacs.results.picture_words import HONESTY, marks, read_on, reasons, runs_of, verdict
from derm_pacs.results.secondary_capture import laterality
from derm_pacs.results.source import SourceImage
from derm_pacs.results.sr_overlay import outlined_regions

LAYER = "AI_CONTOUR"
TEXT_BOX = (0.2, 0.86, 0.8, 0.98)
"""Left, top, right and bottom as shares of the displayed area: the bottom middle, where viewers print nothing."""
_CYAN = CIELabColor(79.0, -30.0, -36.0)
_MOST_TEXT = 1024
"""Of Unformatted Text Value, an ST."""
_INPUT_PROFILES = (b"scnr", b"spac")
"""Classes of ICC profiles that the module allows (PS3.3 C.11.15); a display's profile is none of them."""


def compose(arrangement: Arrangement, naming: Naming) -> Iterator[Composed]:
    """Make the presentation state of each frame of a colour image with an outlined lesion."""
    for ordinal, frame in enumerate(presented(arrangement)):
        yield finish(_state(frame, arrangement, naming, ordinal), Form.PRESENTATION, naming, [frame.image], _bundles(frame))


def presented(arrangement: Arrangement) -> list[Frame]:
    """Return the frames that have a presentation state."""
    return [frame for frame in arrangement.frames if outlined_regions(frame) and _is_presentable(frame.image)]


def text_of(frame: Frame, arrangement: Arrangement) -> str:
    """Return the words that stand over the image."""
    said = [" ".join((*marks(arrangement), frame.lesion.label))]
    for one in frame.classified:
        called = read_on(one.classification.region) + verdict(one.classification, one.points)
        said += [f"{called}. {reason}" for reason in reasons(one.classification, one.points)]
    return "\r\n".join((HONESTY, *(" ".join(line.split()) for line in said)))[:_MOST_TEXT].rstrip()


def _is_presentable(image: SourceImage) -> bool:
    interpretation = str(image.dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    return image.tiling is None and not interpretation.startswith("MONOCHROME")


def _state(frame: Frame, arrangement: Arrangement, naming: Naming, ordinal: int) -> Dataset:
    about = [frame.image.uid]
    # some devices put several frames into a single-frame class, of which highdicom names no frame: another class stands in
    several = frame.image.frames > 1
    shown = stand_in(frame.image, MultiFrameTrueColorSecondaryCaptureImageStorage if several else None)
    shown.SamplesPerPixel = 3  # what highdicom demands of a colour image; PALETTE COLOR is one too
    if several:
        shown.NumberOfFrames = frame.image.frames
    layer = GraphicLayer(
        LAYER, order=1, description="Contour and call by AI, research use, not for primary diagnosis", display_color=_CYAN
    )
    annotation = GraphicAnnotation(
        referenced_images=[shown],
        graphic_layer=layer,
        referenced_frame_number=frame.reference,
        graphic_objects=[_graphic(frame, region) for region in outlined_regions(frame)],
        text_objects=[
            TextObject(text_of(frame, arrangement), units=AnnotationUnitsValues.DISPLAY, bounding_box=TEXT_BOX)
        ],
    )
    state = ColorSoftcopyPresentationState(
        referenced_images=[shown],
        series_instance_uid=naming.series_uid(Form.PRESENTATION, about, frame.number),
        series_number=naming.series_number(Form.PRESENTATION, ordinal),
        sop_instance_uid=naming.instance_uid(Form.PRESENTATION, about, frame.number),
        instance_number=1,
        content_label=LAYER,
        content_description="Contour and call by AI, research use",
        graphic_layers=[layer],
        graphic_annotations=[annotation],
        icc_profile=_profile(frame.image),
        institution_name=naming.identity.facility[:64],
        series_description=naming.series_description(Form.PRESENTATION, frame.lesion.number),
        **ours(naming),
    )
    state.PresentationCreationDate, state.PresentationCreationTime = naming.date, naming.time
    state.Laterality = laterality(frame.image)
    for element in state.iterall():
        if element.keyword == "ReferencedSOPClassUID":
            element.value = frame.image.sop_class_uid
    return state


def _graphic(frame: Frame, region: Region) -> GraphicObject:
    tracking_uid, tracking_id = frame.tracking(region)
    return GraphicObject(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=outline(region.segmentation.mask),
        units=AnnotationUnitsValues.PIXEL,
        is_filled=False,
        tracking_id=tracking_id,
        tracking_uid=tracking_uid,
    )


def _bundles(frame: Frame) -> list[str]:
    return [f"{run.bundle.name} {run.bundle.version}" for run in runs_of(frame)]


def _profile(image: SourceImage) -> bytes:
    """Return the image's own ICC profile where the module allows it, else that of sRGB, which cameras' colours are meant in."""
    own = bytes(image.dataset.get("ICCProfile") or b"")
    return own if own[12:16] in _INPUT_PROFILES and own[16:20] == b"RGB " else _srgb()


@cache
def _srgb() -> bytes:
    return files("highdicom").joinpath("_icc_profiles", "sRGB_v4_ICC_preference.icc").read_bytes()
