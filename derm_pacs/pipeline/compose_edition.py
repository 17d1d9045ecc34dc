"""Compose edition: a destination took other forms than it was expected to, so the results are made in those too."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from derm_pacs.domain.composed import Composed
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.edition import Edition
from derm_pacs.ledger import deliveries, results
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import editions, queue, trying
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Stage
from derm_pacs.pipeline.trying_delivery import fail, taken_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is to be said in which edition."""

    delivery_id: int
    revision_id: int
    material: editions.Material
    edition: Edition


def claim(tx: Session, delivery_id: int, site: Site) -> Given | None:
    """Take on a delivery whose edition is not made yet."""
    row = taken_on(tx, delivery_id, DeliveryState.PENDING, site)
    if row is None or row.edition is None:
        return None
    revision = tx.get_one(Revision, row.revision_id)
    edition = Edition.parse(row.edition)
    if edition in results.editions(tx, revision.id):
        queue.defer(tx, Task.DELIVER, delivery_id)
        return None
    return Given(
        delivery_id=delivery_id, revision_id=revision.id, material=editions.material(tx, revision, site), edition=edition
    )


def work(given: Given, site: Site) -> tuple[Composed, ...]:
    """Make the edition."""
    source_files = editions.sources(given.material, site)
    shown = editions.previews(given.material, source_files, [given.edition], site)
    return editions.make(given.material, given.edition, source_files, shown, site)


def settle(tx: Session, given: Given, made: tuple[Composed, ...], site: Site) -> None:
    """Keep the objects' rows and let them be delivered; what was given up meanwhile is dropped."""
    row = deliveries.locked(tx, given.delivery_id)
    if row is None or row.state is not DeliveryState.PENDING:
        return
    revision = trying.locked(tx, given.revision_id)  # two destinations may want the same edition at the same time
    results.keep(tx, given.revision_id, given.edition, made, site.now())
    revision.composed_with = given.material.basis
    queue.defer(tx, Task.DELIVER, given.delivery_id)


STAGE = Stage(task=Task.COMPOSE_EDITION, claim=claim, work=work, settle=settle, fail=fail)
