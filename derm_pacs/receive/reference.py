"""The tables of the listener's reference page, made from the classes, transfer syntaxes and reasons."""

from derm_pacs.domain import classes
from derm_pacs.receive.header import BYTES_LIMIT, ELEMENTS_LIMIT, NESTING_LIMIT
from derm_pacs.receive.status import STORE_REASONS


def classes_markdown() -> str:
    """Return the table of SOP classes that are accepted."""
    rows = ["| SOP class | UID | what happens |", "|---|---|---|"]
    rows += [f"| {one.name} | {one.uid} | analysed |" for one in classes.ANALYSABLE]
    rows += [f"| {one.name} | {one.uid} | kept, never analysed |" for one in classes.EVIDENCE]
    rows.append(f"| Verification SOP Class | {classes.VERIFICATION} | C-ECHO is answered |")
    rows.append(
        f"| Storage Commitment Push Model SOP Class | {classes.STORAGE_COMMITMENT_PUSH} "
        "| reports (N-EVENT-REPORT) are taken, requests (N-ACTION) refused with 0x0211 |"
    )
    return "\n".join(rows)


def syntaxes_markdown() -> str:
    """Return the table of transfer syntaxes in the order of preference."""
    rows = ["| transfer syntax | UID | decoded by |", "|---|---|---|"]
    rows += [
        f"| {one.name} | {one.uid} | {one.source.partition('; ')[2]} |" for one in classes.TRANSFER_SYNTAXES
    ]
    return "\n".join(rows)


def statuses_markdown() -> str:
    """Return the table of C-STORE statuses, by rising status."""
    rows = ["| status | reason | what it means | what to do | who |", "|---|---|---|---|---|"]
    rows.append("| 0x0000 | | The object is on stable storage; also for a resend of the same bytes. | Nothing. | |")
    rows += [
        f"| 0x{one.dimse or 0:04X} | `{one.code}` | {one.sentence} | {one.remedy} | {one.who} |"
        for one in sorted(STORE_REASONS.values(), key=lambda one: (one.dimse or 0, one.code))
    ]
    return "\n".join(rows)


def limits_markdown() -> str:
    """Return the limits of the header that is read before the answer."""
    return "\n".join((
        "| limit | value |",
        "|---|---|",
        f"| bytes in front of Series Instance UID (0020,000E) | {BYTES_LIMIT:,} |",
        f"| elements and items in front of it | {ELEMENTS_LIMIT:,} |",
        f"| sequences of undefined length inside one another | {NESTING_LIMIT} |",
    ))
