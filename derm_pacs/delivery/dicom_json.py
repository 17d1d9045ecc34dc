"""Reading the DICOM JSON model of an answer (PS3.18 annex F): what is malformed is absent."""

import json
from typing import Any

Item = dict[str, Any]


def datasets(body: bytes) -> list[Item] | None:
    """Return the data sets of a body, which is a list of them or one alone; None where it is no DICOM JSON."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    listed = value if isinstance(value, list) else [value]
    return listed if all(isinstance(one, dict) for one in listed) else None


def items(dataset: Item, tag: str) -> list[Item]:
    """Return the items of a sequence; empty where it is absent."""
    return [one for one in _values(dataset, tag) if isinstance(one, dict)]


def text(dataset: Item, tag: str) -> str:
    """Return the first value of an attribute of text, such as a UID; empty where it is absent."""
    first = next(iter(_values(dataset, tag)), "")
    return first if isinstance(first, str) else ""


def number(dataset: Item, tag: str) -> int | None:
    """Return the first value of an attribute of whole numbers; None where it is absent."""
    first = next(iter(_values(dataset, tag)), None)
    # A number may come as a text (PS3.18 section F.2.3).
    if isinstance(first, str) and first.strip().isdecimal():
        return int(first)
    return first if isinstance(first, int) else None


def _values(dataset: Item, tag: str) -> list[Any]:
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
