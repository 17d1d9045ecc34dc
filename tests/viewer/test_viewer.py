"""Does a reader see the results? OHIF as released, with the lines of deploy/ohif, on a private Orthanc, in a browser.

The check itself lies beside the repository (../shared/tools/viewer); without it, or without what it fetches, there is
nothing to look with. One study and its overlay, outline and picture: two to three minutes.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import Edition
from tests.conftest import REPOSITORY
from tests.viewer.cases import SAMPLES, make
from tests.viewer.site import LEGIBLE, LINES, OHIF, cache

TOOL = REPOSITORY.parent / "shared" / "tools" / "viewer" / "check.py"
SHOWN = Edition(forms=frozenset({Form.SEG, Form.OVERLAY_SR, Form.PICTURE}))


def test_our_lines_add_all_three_classes_and_break_nothing_where_the_list_is_gone(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    program = tmp_path / "try.js"
    program.write_text(
        "var window = { config: {} }; var console = { warn: function () { process.stdout.write('warned '); } };\n"
        + LINES.read_text()
        + """
        var one = window.config.extensions[0], uids = ['known', '1.2.840.10008.5.1.4.1.1.77.1.7'];
        one.preRegistration({ extensionManager: { getModuleEntry: function () { return { sopClassUids: uids }; } } });
        one.preRegistration({ extensionManager: { getModuleEntry: function () { return undefined; } } });
        process.stdout.write(JSON.stringify(uids));"""
    )
    said = subprocess.run([node, program], capture_output=True, text=True, check=True).stdout
    root = "1.2.840.10008.5.1.4.1.1.77.1."
    assert said == "warned " + json.dumps(["known", root + "7", root + "8", root + "9"], separators=(",", ":"))


@pytest.mark.server
@pytest.mark.timeout(600)
def test_a_dermoscopic_study_is_drawn_with_outline_figures_and_picture(tmp_path: Path) -> None:
    python = cache() / "venv" / "bin" / "python"
    for needed in (TOOL, python, cache() / f"ohif-{OHIF}" / "index.html"):
        if not needed.exists():
            pytest.skip(f"{needed} is missing: the viewer is checked where ../shared and its cache are")
    usable = subprocess.run([python, TOOL, "--help"], capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in usable.stderr:
        pytest.skip(f"{python}: {usable.stderr.splitlines()[-1]}; run tests/viewer/fetch.sh")
    folder, lines = tmp_path / "study", tmp_path / "lines.js"
    folder.mkdir()
    study = make(SAMPLES[0], SHOWN)
    for number, data in enumerate((study.source, *(one.data for one in study.composed))):
        (folder / f"{number}.dcm").write_bytes(data)
    lines.write_text(LINES.read_text() + LEGIBLE.read_text())
    command: list[str | Path] = [python, TOOL, folder, "--out", tmp_path, "--ohif", OHIF, "--stock", "--config", lines, "--settle", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    written = tmp_path / "verdict.json"
    assert written.exists(), done.stderr[-2000:]
    verdict = json.loads(written.read_text())
    drawn = {name: verdict[name] for name in ("image_drawn", "seg_overlay_drawn", "sr_contour_drawn", "sc_drawn")}
    assert drawn == dict.fromkeys(drawn, True), done.stderr[-2000:]
    assert verdict["sr_measurements"]
    assert [one for one in verdict["sr_measurements"] if not one["shown"]] == []
    assert (verdict["crashed"], verdict["hung"], verdict["console_errors"]) == ([], [], {})
