"""The overlay SR: contours with a few figures in per cent beside them, in the one form that OHIF draws.

Each group has a region of its own, a short identifier of ours, and at most five figures, never an exact zero. No two
groups have one tracking UID: OHIF takes such groups for one and shows the figures of all beside the contour of each.
"""

from collections import Counter
from dataclasses import dataclass

from highdicom.sr import (
    AlgorithmIdentification,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    SourceImageForRegion,
    TrackingIdentifier,
)

from derm_pacs.domain.codes import Code, code, probability_name
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.results.arrange import SKIN, Arrangement, Classified, Frame, Region
from derm_pacs.results.coded import concept
from derm_pacs.results.contour import outline
from derm_pacs.results.identity import Naming
from derm_pacs.results.measure import percent, significant
from derm_pacs.results.spacing import functional_group, says_oblong_pixels
from derm_pacs.results.sr_document import algorithm, document, report

MOST_FIGURES = 5
"""Viewers show no more beside a contour."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figure:
    """One figure beside a contour."""

    name: Code
    percent: float
    by: AlgorithmIdentification
    """The bundle that said it."""


def compose(arrangement: Arrangement, naming: Naming) -> tuple[Composed, ...]:
    """Make an overlay SR for each image on which a lesion was outlined.

    OHIF opens the image of a report's first outline and offers no way to the others, so each image has its own.
    """
    outlined = [(frame, region) for frame in arrangement.frames for region in drawn_regions(frame)]
    uses = Counter(frame.lesion.tracking_uid for frame, _ in outlined)
    images = {frame.image.uid: frame.image for frame, _ in outlined}
    made: list[Composed] = []
    for ordinal, image in enumerate(images.values()):
        groups = [
            _group(frame, region, _tracking_uid(frame, region, alone=uses[frame.lesion.tracking_uid] == 1))
            for frame, region in outlined
            if frame.image.uid == image.uid
        ]
        content = report(groups, "imaging_measurement_report", naming, [image])
        made.append(
            document(
                content, Form.OVERLAY_SR, naming, arrangement=arrangement, images=[image], ordinal=ordinal
            )
        )
    return tuple(made)


def outlined_regions(frame: Frame) -> tuple[Region, ...]:
    """Return the found lesions of a frame; skin is not outlined, it would hide the lesion."""
    return tuple(region for region in frame.found if region.segmentation.concept != SKIN)


def drawn_regions(frame: Frame) -> tuple[Region, ...]:
    """Return the regions that the overlay holds: none where OHIF 3.13 draws a contour in another place than it says.

    That is so for tiled images, whose tiles it takes for frames, and for pixels that are not square in an image without
    positions. A wrong contour misleads; picture and SEG show the right one.
    """
    return outlined_regions(frame) if _is_drawn_in_place(frame) else ()


def _is_drawn_in_place(frame: Frame) -> bool:
    image = frame.image
    if image.tiling is not None:
        return False
    positioned = functional_group(image.dataset, frame.number, "PlanePositionSequence") is not None
    return positioned or not says_oblong_pixels(image.dataset, frame.number)


def figures(frame: Frame, region: Region) -> list[Figure]:
    """Return what stands beside a contour, the most important first, at most five.

    Positive classes of operating points lead, then the other classes by probability; the lesion's area as a share of
    the image closes. What rounds to zero is left out: OHIF prints nothing for it. Nor does what was read on one of several crops
    stand here: which of them the contour is, is not known.
    """
    said = [one for one in frame.classified if one.classification.region is None or len(frame.crops) == 1]
    shown = [figure for one in said for figure in _probabilities(one) if figure.percent > 0.0]
    by = algorithm(region.run, [], region.segmentation.threshold)
    share = percent(region.measures.share) or significant(100 * region.measures.share)
    return [*shown[: MOST_FIGURES - 1], Figure(name=code("lesion_area"), percent=share, by=by)]


def _probabilities(one: Classified) -> list[Figure]:
    positives = {point.positive for point in one.points}
    ranked = sorted(
        one.classification.probabilities, key=lambda each: (each.class_id not in positives, -each.probability)
    )
    by = algorithm(one.run, one.points)
    return [
        Figure(name=probability_name(code(each.concept)), percent=percent(each.probability), by=by) for each in ranked
    ]


def _tracking_uid(frame: Frame, region: Region, *, alone: bool) -> str:
    """Return the lesion's tracking UID where only one contour has it, else one of the contour's own.

    Which contours are one lesion, the report says.
    """
    lesion = frame.lesion.tracking_uid
    contour = (frame.image.uid, str(frame.number), region.run.bundle.content_hash, region.segmentation.output)
    return lesion if alone else derived_uid(["contour", lesion, *contour])


def _group(frame: Frame, region: Region, tracking_uid: str) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    # Without finding site: OHIF writes its code beside the figures. The report has it.
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier=frame.lesion.label),
        referenced_region=_outline(frame, region),
        finding_type=concept(region.segmentation.concept),
        measurements=[
            Measurement(name=concept(one.name), value=one.percent, unit=concept("percent"), algorithm_id=one.by)
            for one in figures(frame, region)
        ],
    )


def _outline(frame: Frame, region: Region) -> ImageRegion:
    drawn = ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=outline(region.segmentation.mask),
        source_image=SourceImageForRegion(
            frame.image.sop_class_uid, frame.image.uid, referenced_frame_numbers=frame.reference
        ),
    )
    if frame.image.tiling is not None:
        drawn.PixelOriginInterpretation = "VOLUME"  # counted from the corner of the total pixel matrix, not of a tile
    return drawn
