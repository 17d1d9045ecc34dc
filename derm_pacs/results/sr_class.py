"""One class of a classification as a TID 1501 group: probability, threshold, call, certainty, of an image or of a lesion."""

from collections.abc import Sequence
from dataclasses import dataclass

from highdicom.sr import MeasurementsAndQualitativeEvaluations, QualitativeEvaluation, TrackingIdentifier

from derm_pacs.domain.findings import Classification, Combine, OperatingPoint, Run
from derm_pacs.domain.operating_point import call, called_first
from derm_pacs.results import wording
from derm_pacs.results.arrange import Frame
from derm_pacs.results.coded import concept
from derm_pacs.results.lesions import Lesion
from derm_pacs.results.measure import certainty, probability
from derm_pacs.results.sr_document import Group, algorithm, commented, finding_sites, number, sources

RULES = {Combine.MEAN: "mean_of_images", Combine.MAXIMUM: "maximum_of_images"}
"""Row of the code table by which a group says how the images of its lesion were combined."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A classification of a frame, or of a lesion over its frames."""

    where: str
    """In words."""
    lesion: Lesion
    frames: tuple[Frame, ...]
    run: Run
    classification: Classification
    points: tuple[OperatingPoint, ...]
    rule: Combine | None
    """How the frames were combined, None where one speaks for itself."""


def class_groups(judged: Judged) -> list[Group]:
    """Return a group for each class: those that are called, then the others from the most probable on.

    A viewer that knows no template shows the groups in their order, each under its class as "Finding": the first that is read
    is the call, also where that is not the class that a threshold watches. The watched class carries threshold and call. The
    call's certainty (111012 DCM, in per cent) is the bundle's own probability of the called class.
    """
    return [_group(judged, each.class_id) for each in called_first(judged.classification, judged.points)]


def _group(judged: Judged, class_id: str) -> Group:
    classification = judged.classification
    concepts = {each.class_id: each.concept for each in classification.probabilities}
    points = [point for point in judged.points if point.positive == class_id]
    called = [call(classification, point) for point in points]
    measurements = [number("probability", probability(classification.probability_of(class_id)), "no_units")]
    for point, what in zip(points, called, strict=True):
        measurements.append(number("threshold_value", probability(point.threshold), "no_units"))
        measurements.append(number("certainty_of_finding", certainty(classification.probability_of(what)), "percent"))
    evaluations = [QualitativeEvaluation(concept("classifier_call"), concept(concepts[what])) for what in called]
    if judged.rule is not None:
        evaluations.append(QualitativeEvaluation(concept("combined_by"), concept(RULES[judged.rule])))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=judged.lesion.tracking_uid, identifier=judged.lesion.tracking_id),
        finding_type=concept(concepts[class_id]),
        algorithm_id=algorithm(judged.run, points),
        finding_sites=finding_sites(judged.frames),
        measurements=measurements,
        qualitative_evaluations=evaluations,
        source_images=sources(judged.frames),
    )
    return commented(group, _sentence(judged, class_id, points))


def _sentence(judged: Judged, class_id: str, points: Sequence[OperatingPoint]) -> str:
    return wording.class_sentence(judged.where, judged.classification, class_id, points)
