"""The walk of a study: the stages in order. The table of contents of the product.

Receive (listener, spool), file, close, analyse, compose, deliver, confirm: one file each in this room, but for the
first, which is a room of its own. Where a destination takes other forms than expected, deliver leads to compose
edition, and that back to deliver.
"""

from collections.abc import Callable, Mapping

from derm_pacs.pipeline import analyse, compose, compose_edition, confirm, deliver
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import run


def tasks(site: Site) -> Mapping[Task, Callable[[int], None]]:
    """Return what the queue's worker runs for each task, in the order of the walk."""
    return {
        Task.ANALYSE: lambda revision_id: run(analyse.STAGE, revision_id, site),
        Task.COMPOSE: lambda revision_id: run(compose.STAGE, revision_id, site),
        Task.COMPOSE_EDITION: lambda delivery_id: run(compose_edition.STAGE, delivery_id, site),
        Task.DELIVER: lambda delivery_id: run(deliver.STAGE, delivery_id, site),
        Task.CONFIRM: lambda delivery_id: run(confirm.STAGE, delivery_id, site),
    }
