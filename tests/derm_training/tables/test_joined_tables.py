"""Two tables as one: all rows of both; an identifier stands for one lesion only where both tables are of one collection."""

from pathlib import Path

import pytest

from derm_training.tables.joined_tables import joined
from derm_training.tables.manifest import read_table


def table(file: Path, dataset: str, lesion: str = "1") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"path,label,dataset,lesion_id\n{file.stem}.png,nevus,{dataset},{lesion}\n{file.stem}-.png,nevus,{dataset},\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("first", "second", "one_lesion"),
    [
        (("here/a.csv", "X"), ("here/b.csv", "Y"), True),
        (("here/a.csv", "X"), ("there/b.csv", "Y"), False),
        (("here/a.csv", ""), ("there/b.csv", ""), False),
        (("here/a.csv", "X"), ("there/b.csv", "X"), True),
    ],
)
def test_a_lesion_of_two_tables_is_one_in_one_folder_or_dataset(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str], one_lesion: bool
) -> None:
    made = joined(table(tmp_path / first[0], first[1]), table(tmp_path / second[0], second[1]), tmp_path / "out")
    rows = read_table(made).rows
    assert [row.image.name for row in rows] == ["a.png", "a-.png", "b.png", "b-.png"]
    assert [row.lesion_known for row in rows] == [True, False, True, False]
    assert len({row.group for row in rows if row.lesion_known}) == (1 if one_lesion else 2)


def test_an_identifier_that_one_table_alone_has_stays(tmp_path: Path) -> None:
    made = joined(table(tmp_path / "here/a.csv", "X"), table(tmp_path / "there/b.csv", "Y", "HAM_7"), tmp_path / "out")
    assert [row.group for row in read_table(made).rows if row.lesion_known] == ["1", "HAM_7"]


def test_one_table_stays_where_it_is(tmp_path: Path) -> None:
    assert joined(tmp_path / "a.csv", None, tmp_path) == tmp_path / "a.csv"
