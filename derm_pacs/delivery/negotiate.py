"""What a destination takes, found out by association negotiation alone: nothing is sent (PS3.8 section 7.1.1)."""

from collections.abc import Mapping, Sequence
from itertools import islice

from pynetdicom.presentation import build_context

from derm_pacs.delivery.association import associated
from derm_pacs.delivery.interface import Destination
from derm_pacs.domain.edition import Accepted
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.reasons import NO_CONTEXT

MOST_CONTEXTS = 128
"""Presentation contexts of one association: their identifiers are the odd numbers below 256 (PS3.8 section 9.3.2.2)."""


def accepted(destination: Destination, candidates: Mapping[str, Sequence[str]]) -> Accepted:
    """Return which transfer syntaxes the destination accepts of each SOP class; a class of which it takes none is absent.

    Each pair is proposed in a context of its own, since of one context a peer chooses one transfer syntax and says
    nothing of the others. Raises as `associated`, but for NO_CONTEXT: nothing accepted is an answer.
    """
    pairs = iter([(sop_class, syntax) for sop_class, syntaxes in candidates.items() for syntax in syntaxes])
    found: dict[str, set[str]] = {}
    while batch := list(islice(pairs, MOST_CONTEXTS)):
        for sop_class, syntax in _accepted_of(destination, batch):
            found.setdefault(sop_class, set()).add(syntax)
    return found


def _accepted_of(destination: Destination, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    contexts = [build_context(sop_class, [syntax]) for sop_class, syntax in pairs]
    try:
        with associated(destination, contexts, answer_seconds=destination.answer_seconds) as association:
            return [
                (str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in association.accepted_contexts
            ]
    except Rejected as error:
        if error.reason is NO_CONTEXT:
            return []
        raise
