"""One image of a table of training images, and the table: what was read and what was left out."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image of a table. `group` is the lesion where one is known (or its patient), otherwise the image itself.

    `lesion_known` says which of the two it is. `split` is empty where the table gives none. `skin` is a mask of all skin,
    lesions included.
    """

    image: Path
    mask: Path | None
    label: str
    split: str
    dataset: str
    source: str
    group: str
    skin: Path | None = None
    lesion_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of a table in their order, and how many entries were left out for which reason."""

    path: Path
    rows: tuple[Row, ...]
    left_out: dict[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        """Say what was read and left out, in a line."""
        return counted(f"{self.path}: {len(self.rows)} images", self.left_out)


def counted(beginning: str, left_out: dict[str, int]) -> str:
    """Return the sentence with the left out entries appended, the most frequent reason first."""
    parts = [f"{count} {reason}" for reason, count in sorted(left_out.items(), key=lambda one: -one[1]) if count]
    return f"{beginning}; left out: {', '.join(parts)}" if parts else beginning


def spelled(rows: Iterable[Row], labels: Iterable[str]) -> list[Row]:
    """Return the rows, a label that differs from one of `labels` by capitals alone written as that one."""
    known = {label.casefold(): label for label in labels}
    return [replace(row, label=known.get(row.label.casefold(), row.label)) for row in rows]


def by_group(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of each lesion, in the order of the rows."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return groups


def patient_group(identifier: str) -> str:
    """Return the group of a patient's images: a digest, so that the identifier itself is written nowhere."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:16]
