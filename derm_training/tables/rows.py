"""One image of a table of training images, and the table: what was read and what was left out."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image of a table. `group` is the lesion where one is known, otherwise the image itself.

    `split` is empty where the table gives none. `skin` is a mask of all skin, lesions included.
    """

    image: Path
    mask: Path | None
    label: str
    split: str
    dataset: str
    source: str
    group: str
    skin: Path | None = None

    @property
    def lesion_known(self) -> bool:
        """Whether the group is a lesion: images of one lesion can be told to be so."""
        return not self.image.as_posix().endswith(self.group)


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
