"""All judges over one case."""

from collections.abc import Callable, Iterator

from derm_pacs.domain.errors import Defect
from derm_pacs.results.check import check
from tests.results.product import judges, readers
from tests.results.product.judges import Tools
from tests.results.product.template import template_faults
from tests.results.product.told import Case


def _our_own(case: Case, tools: Tools) -> Iterator[str]:
    try:
        check(case.composed, case.findings, case.sources, case.identity, case.combination.answer.edition, case.previews)
    except Defect as error:
        yield f"our own check: {error}"


JUDGES: dict[str, Callable[[Case, Tools], Iterator[str]]] = {
    "our own check": _our_own,
    "dciodvfy": judges.dciodvfy,
    "dcentvfy": judges.dcentvfy,
    "dsrdump": judges.dsrdump,
    "figures": readers.figure_faults,
    "masks": lambda case, _: readers.mask_faults(case),
    "template": lambda case, _: template_faults(case),
    "names": lambda case, _: readers.name_faults(case),
    "pictures": lambda case, _: readers.picture_faults(case),
}
"""Each yields what it has against a case."""


def faults(case: Case, tools: Tools) -> list[str]:
    """Return everything that anybody has against a case."""
    return [fault for judge in JUDGES.values() for fault in judge(case, tools)]
