"""Every command that the documentation shows is run, every piece of settings is read."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.domain.composed import Form
from derm_pacs.domain.reasons import REASONS
from derm_pacs.settings.read import read
from tests.acceptance import studies
from tests.acceptance.hospital import Hospital
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

ELSEWHERE = {"evaluating.md", "readers.md"}
"""Pages whose commands need tables of images and no service: tests/derm_training runs each of them."""
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])
SHOWN = re.compile(r"^\$ (derm-pacs .*)$", re.MULTILINE)
SETTINGS = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WORD_IN_A_TABLE = re.compile(r"^\| `([a-z_]+)` \|", re.MULTILINE)
ACTS = ("cases retry", "cases cancel")
"""Commands on a case that may have ended: then they are refused, and say so."""


def commands() -> list[tuple[str, str]]:
    pages = [page for page in PAGES if page.name not in ELSEWHERE]
    return [(page.name, line) for page in pages for line in SHOWN.findall(page.read_text(encoding="utf-8"))]


def test_the_documentation_shows_commands() -> None:
    assert len(commands()) >= 10


@pytest.fixture(scope="module")
def a_case(hospital: Hospital) -> Hospital:
    image = studies.drawn(studies.new_study())
    hospital.send([image])
    hospital.wait_for_end(str(image.StudyInstanceUID))
    return hospital


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_of_the_documentation_does_what_it_says(a_case: Hospital, tmp_path: Path, page: str, line: str) -> None:
    arguments = shlex.split(line)[1:]
    (tmp_path / "monai_bundles").symlink_to(REPOSITORY / "monai_bundles")  # what the files it writes lie beside
    done = subprocess.run(
        [sys.executable, "-m", "derm_pacs", *arguments, "--config", str(a_case.config)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )
    allowed = {ExitCode.OK}
    if line.removeprefix("derm-pacs ").startswith(ACTS):
        allowed.add(ExitCode.REFUSED)
    assert done.returncode in allowed, f"{page}: {line}\n{done.stdout}{done.stderr}"


def test_every_piece_of_settings_that_a_page_shows_is_understood_beside_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERM_PACS_SECRET_WEB_ARCHIVE", "as the page says")
    example = (REPOSITORY / "deploy" / "derm-pacs.example.toml").read_text(encoding="utf-8")
    shown = {page: SETTINGS.findall(page.read_text(encoding="utf-8")) for page in PAGES}
    assert len(shown[REPOSITORY / "docs" / "admin" / "run.md"]) >= 3
    for page, pieces in shown.items():
        file = tmp_path / f"{page.stem}.toml"
        file.write_text("\n".join([example, *pieces]), encoding="utf-8")
        settings = read(file)
        assert len(settings.destinations) == 1 + sum(piece.count("[[destinations]]") for piece in pieces)


def test_the_page_for_the_admin_names_every_form_of_results() -> None:
    page = (REPOSITORY / "docs" / "admin" / "run.md").read_text(encoding="utf-8")
    chosen = page[page.index("## Choose what a destination gets") : page.index("## Which images")]
    assert set(WORD_IN_A_TABLE.findall(chosen)) == set(Form)


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#{]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(REPOSITORY)}: {target}"


def test_every_reason_stands_in_its_page() -> None:
    text = Path(REPOSITORY / "docs" / "reference" / "reasons.md").read_text(encoding="utf-8")
    assert all(f"`{code}`" in text for code in REASONS)
