"""What is kept of a lesion for a later visit, and what changed since an earlier one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from derm_pacs.domain.composed import Form, Identity, Reference
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.domain.visits import LesionProbability, LesionVisit
from derm_pacs.results import source
from derm_pacs.results.arrange import Arrangement, LesionTold, arrange, place_of, study_date
from derm_pacs.results.identity import Naming, naming
from derm_pacs.results.measure import Measures, probability, significant
from derm_pacs.results.unheard import unheard

_BY_WHICH_A_VISIT_IS_NAMED = (Form.REPORT_SR, Form.PDF, Form.PICTURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A figure of two visits."""

    before: float
    now: float

    @property
    def difference(self) -> float:
        """What was added since, negative where it became less; six significant digits, as it is written."""
        return significant(self.now - self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityStep:
    """A lesion's probability of one class at two visits, by the same bundle."""

    told: LesionProbability
    """As it is now."""
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed of a lesion since its earlier visit; only what can be compared."""

    since: LesionVisit
    area: Step | None
    """In mm2; None unless both visits know the pixel size and the same bundle outlined the lesion at both."""
    diameter: Step | None
    """In mm, as `area`."""
    share: Step | None
    """Share of the image, 0..1; it depends on the camera's distance. None unless the same bundle outlined the lesion at
    both visits."""
    probabilities: tuple[ProbabilityStep, ...]
    """Of the classes that the same bundle judged at both visits."""


def lesion_visits(
    case: CaseFindings, sources: Mapping[str, bytes], identity: Identity, edition: Edition
) -> tuple[LesionVisit, ...]:
    """Return what is kept of each lesion for a later visit, in the order of the lesions' numbers.

    Lesions of which nothing was measured are not kept, and none is where the edition has no object that a later report
    could refer to. Raises `Defect` where the findings and the sources cannot be told as one study's.
    """
    told = {finding.image.sop_instance_uid for finding in case.findings}
    missing = told - set(sources)
    if missing:
        raise Defect(RESULT_INVALID, f"no source bytes for {', '.join(sorted(missing))}")
    images = {uid: source.read(sources[uid]) for uid in sorted(told)}
    with unheard():
        arrangement = arrange(case, images, identity.installation_uid)
        return tuple(_visits(arrangement, naming(identity, arrangement, edition)))


def change_since(told: LesionTold) -> Change | None:
    """Return what changed since the lesion's earlier visit, None where there is none."""
    visit = told.earlier
    if visit is None:
        return None
    # Two bundles may draw two outlines of one lesion: their difference says nothing of the lesion.
    area, diameter, share = _sizes(told) if visit.outlined_by == _outlined_by(told) else (None, None, None)
    before = {(one.bundle_hash, one.output, one.class_id): one.probability for one in visit.probabilities}
    return Change(
        since=visit,
        area=_step(visit.area, area),
        diameter=_step(visit.diameter, diameter),
        share=_step(visit.share, share),
        probabilities=tuple(
            ProbabilityStep(told=one, step=Step(before=before[key], now=one.probability))
            for one in lesion_probabilities(told)
            if (key := (one.bundle_hash, one.output, one.class_id)) in before
        ),
    )


def lesion_probabilities(told: LesionTold) -> tuple[LesionProbability, ...]:
    """Return a lesion's probability of each class, once a bundle, output and class."""
    found: dict[tuple[str, str, str], LesionProbability] = {}
    for one in told.calls:
        for each in one.classification.probabilities:
            key = (one.run.bundle.content_hash, one.classification.output, each.class_id)
            found.setdefault(
                key,
                LesionProbability(
                    bundle_hash=key[0], output=key[1], class_id=each.class_id, concept=each.concept,
                    probability=probability(each.probability),
                ),
            )
    return tuple(found.values())


def _visits(arrangement: Arrangement, names: Naming) -> Iterable[LesionVisit]:
    report = _report(arrangement, names)
    if report is None:
        return
    for told in arrangement.lesions:
        probabilities = lesion_probabilities(told)
        area, diameter, share = _sizes(told)
        if not probabilities and share is None:
            continue
        region, side = place_of(told.frames) or (None, None)
        yield LesionVisit(
            tracking_uid=told.lesion.tracking_uid,
            tracked=told.lesion.tracked,
            site=region,
            laterality=side,
            study_instance_uid=arrangement.images[0].study_uid,
            study_date=study_date(arrangement.images[0]),
            report=report,
            images=tuple(dict.fromkeys((frame.image.sop_class_uid, frame.image.uid) for frame in told.frames)),
            probabilities=probabilities,
            area=area,
            diameter=diameter,
            share=share,
            outlined_by=_outlined_by(told),
        )


def _report(arrangement: Arrangement, names: Naming) -> Reference | None:
    """Return the object by which a later report names this revision: the report SR, else another that says everything."""
    form = next((one for one in _BY_WHICH_A_VISIT_IS_NAMED if one in names.edition.forms), None)
    if form is None:
        return None
    first = arrangement.frames[0]
    whole = [image.uid for image in arrangement.images]
    about, frame = ([first.image.uid], first.number) if form is Form.PICTURE else (whole, 0)
    return Reference(
        form=form,
        sop_class_uid=names.edition.sop_class(form),
        sop_instance_uid=names.instance_uid(form, about, frame),
        series_instance_uid=names.series_uid(form, about, frame),
        study_instance_uid=first.image.study_uid,
    )


def _sizes(told: LesionTold) -> tuple[float | None, float | None, float | None]:
    """Return the largest area in mm2, diameter in mm and share of the image of the lesion's outlines."""
    measures = [region.measures for region in told.outlined]
    true = [one for one in measures if one.spacing]
    return (
        max((one.area for one in true), default=None),
        max((one.diameter for one in true), default=None),
        max((_share(one) for one in measures), default=None),
    )


def _outlined_by(told: LesionTold) -> tuple[str, ...]:
    return tuple(sorted({region.run.bundle.content_hash for region in told.outlined}))


def _share(measures: Measures) -> float:
    return significant(measures.share)


def _step(before: float | None, now: float | None) -> Step | None:
    return None if before is None or now is None else Step(before=before, now=now)
