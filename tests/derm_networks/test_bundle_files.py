"""A description names files of its own bundle, and no others."""

from pathlib import Path

import pytest

from derm_networks.bundle_files import file_inside


def test_a_file_of_the_bundle_is_found_also_where_it_is_not_made_yet(tmp_path: Path) -> None:
    assert file_inside(tmp_path, "models/model.safetensors", "weights.file") == tmp_path / "models" / "model.safetensors"


@pytest.mark.parametrize("name", ["", ".", "/etc/passwd", "../model.safetensors", "models/../../x", "models/../x", "models\\x", "link/x"])
def test_a_name_that_leads_elsewhere_is_refused_with_its_setting(name: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"^weights\.file of serving\.json is .*, which is not a file inside the bundle bundle; name it relative to the bundle's folder"):
        file_inside(bundle, name, "weights.file")
