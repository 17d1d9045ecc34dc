"""Results of three synthetic studies as OHIF shows them, as pictures for the documentation: `make viewer-pictures`.

For each study: compose everything, put it into a private PACS, open it in OHIF with the lines of deploy/ohif, and lay
what a reader sees after a double click on overlay, outline, picture and report side by side.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from derm_pacs.demonstration.orthanc import Orthanc, Web
from derm_pacs.domain.composed import Form
from tests.conftest import REPOSITORY
from tests.viewer.cases import SAMPLES, Study, make
from tests.viewer.site import Viewer, cache

PICTURES = REPOSITORY / "docs" / "pictures"
SHOWN = (Form.OVERLAY_SR, Form.SEG, Form.PICTURE, Form.REPORT_SR)
_TILE = (840, 540)
_USER, _PASSWORD = "viewer", "loopback only"


def main() -> int:
    """Make the pictures; returns 1 where a script of the page failed."""
    failed = 0
    for sample in SAMPLES:
        study = make(sample)
        with tempfile.TemporaryDirectory(prefix="viewer-") as folder:
            errors = look_at(study, Path(folder))
            sheet(Path(folder)).save(PICTURES / f"viewer-{study.name}.png", optimize=True)
        sys.stdout.write(f"docs/pictures/viewer-{study.name}.png\n" + "".join(f"  {error}\n" for error in errors))
        failed |= bool(errors)
    return failed


def look_at(study: Study, folder: Path) -> list[str]:
    """Open the study and take the pictures 0.png, 1.png ... of `SHOWN`; returns the errors of the page's scripts."""
    web = Web(user=_USER, password=_PASSWORD)
    with Orthanc(folder / "pacs", web=web) as pacs, Viewer(pacs, _USER, _PASSWORD) as viewer:
        for data in (study.source, *(one.data for one in study.composed)):
            pacs.store(data)
        series = [next(one.series_instance_uid for one in study.composed if one.form is form) for form in SHOWN]
        driver = cache() / "venv" / "bin" / "python"
        script = Path(__file__).with_name("shoot.py")
        subprocess.run([driver, script, viewer.url, study.study_uid, folder, *series], check=True, timeout=600)
    errors: list[str] = json.loads((folder / "errors.json").read_text())
    return errors


def sheet(folder: Path) -> Image.Image:
    """Lay the pictures out two by two."""
    whole = Image.new("RGB", (2 * _TILE[0] + 8, 2 * _TILE[1] + 8), "white")
    for number in range(len(SHOWN)):
        with Image.open(folder / f"{number}.png") as picture:
            small = picture.convert("RGB").resize(_TILE, Image.Resampling.LANCZOS)
        whole.paste(small, ((number % 2) * (_TILE[0] + 8), (number // 2) * (_TILE[1] + 8)))
    # the octree keeps the few pixels of a thin bright line, which the median cut gives to the background
    return whole.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


if __name__ == "__main__":
    sys.exit(main())
