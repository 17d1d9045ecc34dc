"""The lesion's groups of the report: its call over several images, and what changed since it was seen before."""

from highdicom.sr import (
    CompositeContentItem,
    ImageContentItem,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    TrackingIdentifier,
)

from derm_pacs.domain.composed import Form, Reference
from derm_pacs.domain.findings import Run
from derm_pacs.results import wording
from derm_pacs.results.arrange import LesionTold
from derm_pacs.results.coded import concept
from derm_pacs.results.measure import significant
from derm_pacs.results.sr_class import Judged, class_groups
from derm_pacs.results.sr_document import Group, algorithm, commented, finding_sites, number, sources
from derm_pacs.results.visits import Change, ProbabilityStep, change_since


def lesion_groups(told: LesionTold) -> list[Group]:
    """Return the groups that speak of a lesion as a whole: combined classes, then the change since the earlier visit.

    Where one frame speaks for the lesion, the frame's own groups are the lesion's, so none is made here.
    """
    groups = [
        group
        for one in told.calls
        if one.rule is not None
        for group in class_groups(
            Judged(
                where=wording.lesion_call(told, one), lesion=told.lesion, frames=one.frames, run=one.run,
                classification=one.classification, points=one.points, rule=one.rule,
            )
        )
    ]
    change = change_since(told)
    return groups if change is None else groups + _change_groups(told, change)


def _change_groups(told: LesionTold, change: Change) -> list[Group]:
    """Return one group for the sizes, which stands also where nothing can be compared, and one for each class."""
    groups = [_change_group(told, change, "skin_lesion", _sizes(change), wording.size_change(told, change))]
    for one in change.probabilities:
        measurement = number("change_of_probability", one.step.difference, "no_units")
        sentence = wording.probability_change(told, change, one)
        group = _change_group(told, change, one.told.concept, [measurement], sentence, by=_run_of(told, one))
        groups.append(group)
    return groups


def _sizes(change: Change) -> list[Measurement]:
    said = []
    if change.area is not None:
        said.append(number("change_of_area", change.area.difference, "square_millimetre"))
    if change.diameter is not None:
        said.append(number("change_of_diameter", change.diameter.difference, "millimetre"))
    if change.share is not None:
        said.append(number("change_of_share", significant(100 * (change.share.now - change.share.before)), "percent"))
    return said


def _run_of(told: LesionTold, one: ProbabilityStep) -> Run:
    return next(call.run for call in told.calls if call.run.bundle.content_hash == one.told.bundle_hash)


def _change_group(
    told: LesionTold, change: Change, finding: str, measurements: list[Measurement], sentence: str, *, by: Run | None = None
) -> Group:
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=told.lesion.tracking_uid, identifier=told.lesion.tracking_id),
        finding_type=concept(finding),
        algorithm_id=algorithm(by, []) if by else None,
        finding_sites=finding_sites(told.frames),
        measurements=measurements,
        source_images=sources(told.frames),
    )
    group[0].ContentSequence.append(_earlier(change.since.report))
    return commented(group, sentence)


def _earlier(report: Reference) -> CompositeContentItem | ImageContentItem:
    """Return the reference to what the earlier study's results are named by; a picture is an image to an SR."""
    kind = ImageContentItem if report.form is Form.PICTURE else CompositeContentItem
    return kind(
        name=concept("prior_report"),
        referenced_sop_class_uid=report.sop_class_uid,
        referenced_sop_instance_uid=report.sop_instance_uid,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
