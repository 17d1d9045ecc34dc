"""Every dependency stands in the documentation with its why, its licence and what could stand in its place."""

import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PAGE = (REPOSITORY / "docs" / "dependencies.md").read_text()


def declared(requirements: list[str]) -> list[str]:
    return [re.split(r"[^A-Za-z0-9_.-]", one, maxsplit=1)[0].lower() for one in requirements]


def documented(heading: str) -> dict[str, list[str]]:
    section = re.split(r"^## ", PAGE.split(f"## {heading}", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.strip().strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[1:]}


@pytest.mark.parametrize(
    ("heading", "requirements"),
    [
        ("Product", PROJECT["dependencies"]),
        ("Training and evaluation (`train`)", PROJECT["optional-dependencies"]["train"]),
        ("Development (`dev`)", PROJECT["optional-dependencies"]["dev"]),
    ],
)
def test_the_page_and_the_project_name_the_same_packages(heading: str, requirements: list[str]) -> None:
    rows = documented(heading)
    assert sorted(rows) == sorted(declared(requirements))
    for package, cells in rows.items():
        assert len(cells) == 3, package
        assert all(cells), package


def test_every_requirement_has_an_upper_bound_or_an_exact_version() -> None:
    requirements = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    assert [one for one in requirements if "<" not in one and "==" not in one] == []
