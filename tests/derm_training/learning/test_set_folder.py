"""A set is written beside the pictures that it is made of, never over them."""

from pathlib import Path

import pytest

from derm_training.learning import outlined_set, skin_set
from derm_training.learning.set_folder import table_of_set
from tests.derm_training.learning.test_outlined_set import BUNDLE
from tests.derm_training.learning.test_skin_set import table_of


def test_a_set_has_a_table_of_its_own(tmp_path: Path) -> None:
    assert table_of_set(tmp_path / "own" / "t.csv", tmp_path / "set") == tmp_path / "set" / "MANIFEST.csv"


def test_the_folder_of_the_pictures_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    table = table_of(tmp_path / "own")
    before = {file.name: file.read_bytes() for file in table.parent.iterdir()}
    for given in (table, table.parent):
        with pytest.raises(ValueError, match=r"own holds .*own.*, which the set would replace; name another folder"):
            skin_set.write_set(given, table.parent, seed=1)
        with pytest.raises(ValueError, match="which the set would replace"):
            outlined_set.write_set(given, table.parent, BUNDLE)
    assert {file.name: file.read_bytes() for file in table.parent.iterdir()} == before
