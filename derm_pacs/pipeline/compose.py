"""Compose: results are made from the findings in the editions of their destinations, checked, and kept before anything is sent."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import Agreed, Edition
from derm_pacs.domain.visits import LesionVisit
from derm_pacs.ledger import cases, deliveries, results, visits
from derm_pacs.pipeline import analyse, editions, queue, trying
from derm_pacs.pipeline.conclude import conclude
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Stage
from derm_pacs.results.visits import lesion_visits


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is to be said, and to whom in which edition."""

    revision_id: int
    material: editions.Material
    destinations: Mapping[str, Agreed]

    @property
    def editions(self) -> tuple[Edition, ...]:
        """The editions of the destinations, each once."""
        wanted = [one.edition for one in self.destinations.values() if one.edition is not None]
        return tuple(dict.fromkeys(wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The objects of each edition, and what is kept of the lesions for a later visit."""

    composed: Mapping[Edition, tuple[Composed, ...]]
    visits: tuple[LesionVisit, ...]


def claim(tx: Session, revision_id: int, site: Site) -> Given | None:
    """Take on a revision whose analysis is finished."""
    revision = trying.locked(tx, revision_id)
    if revision.state is not State.COMPOSING or not trying.begin_try(tx, revision, site):
        return None
    material = editions.material(tx, revision, site)
    named = analyse.destinations(tx, revision_id)
    if not material.case.analysed:
        named = analyse.answering_destinations(tx, revision_id, site)
    return Given(
        revision_id=revision_id, material=material, destinations={name: _expected(tx, name, site) for name in named}
    )


def _expected(tx: Session, name: str, site: Site) -> Agreed:
    """Return what the destination took last, or wants; nothing of one that has gone from the settings: its delivery fails."""
    if name not in {one.name for one in site.settings.destinations}:
        return Agreed(edition=None, left_out=())
    return deliveries.agreed_before(tx, name, site.settings.destination(name).edition())


def work(given: Given, site: Site) -> Made:
    """Make every edition that a destination is expected to take."""
    source_files = editions.sources(given.material, site)
    shown = editions.previews(given.material, source_files, given.editions, site)
    composed = {
        edition: editions.make(given.material, edition, source_files, shown, site) for edition in given.editions
    }
    # A later visit refers to the report where a destination gets one, and to the picture only where none does.
    told = sorted(given.editions, key=lambda edition: Form.REPORT_SR not in edition.forms)[:1]
    kept = [
        one for edition in told for one in lesion_visits(given.material.case, source_files, given.material.identity, edition)
    ]
    return Made(composed=composed, visits=tuple(kept))


def settle(tx: Session, given: Given, made: Made, site: Site) -> None:
    """Keep the objects' rows and open a delivery to each destination."""
    now = site.now()
    revision = trying.locked(tx, given.revision_id)
    for edition, composed in made.composed.items():
        results.keep(tx, given.revision_id, edition, composed, now)
    visits.keep(tx, given.revision_id, made.visits)
    revision.composed_with = given.material.basis
    trying.end_tries(revision)
    cases.take(tx, given.revision_id, Step.FINISH_COMPOSING, actor=trying.ACTOR, now=now)
    opened = deliveries.open_all(tx, given.revision_id, given.destinations)
    for delivery_id in opened:
        queue.defer(tx, Task.DELIVER, delivery_id)
    if not opened:  # nobody wants to hear of a refusal any more
        conclude(tx, given.revision_id, site)


STAGE = Stage(task=Task.COMPOSE, claim=claim, work=work, settle=settle, fail=trying.fail(Task.COMPOSE))
