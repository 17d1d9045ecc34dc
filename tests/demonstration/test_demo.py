"""`derm-pacs demo`: one command shows the whole way, or one sentence says what is missing."""

import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import SegmentationStorage
from rich.console import Console

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_pacs.demonstration import send
from derm_pacs.demonstration.failure import DemonstrationError
from derm_pacs.demonstration.orthanc import Orthanc, program
from derm_pacs.demonstration.run import Wanted, demonstrate
from derm_pacs.results.readback import groups
from derm_pacs.samples.studies import SAMPLES, make
from derm_pacs.samples.wrap import Kind

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = REPOSITORY.parent / "shared" / "data" / "images" / "full"

needs_orthanc = pytest.mark.skipif(program() is None, reason="Orthanc is not installed (make test installs it)")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A short folder that the database's user may enter."""
    made = Path(tempfile.mkdtemp(prefix="demo-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def out() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A demonstration that has ended."""

    out: Path
    told: subprocess.CompletedProcess[str]
    cases: list[dict[str, Any]]


@pytest.fixture(scope="module")
def samples() -> Iterator[Shown]:
    """The demonstration of the sample studies, run once, over what an earlier one left."""
    with open_folder() as out:
        (out / "demo").mkdir()
        for name in ("derm-pacs.toml", "old"):
            (out / "demo" / name).write_text("of an earlier run")
        told, summary = demo(out)
        yield Shown(out=out, told=told, cases=summary.get("cases", []))


def demo(out: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    told = subprocess.run(
        [sys.executable, "-m", "derm_pacs", "demo", "--out", str(out), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    summary = out / "demo.json"
    return told, json.loads(summary.read_text()) if summary.exists() else {}


def left_running(out: Path) -> list[str]:
    """Command lines of processes that still work for the demonstration in `out`."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = one.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(out) in line:
            found.append(line)
    return found


def test_missing_bundles_are_named_before_anything_is_started(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", str(out), "--bundles", str(out / "none")]) == ExitCode.FAILED
    assert "the bundle skin_lesion_deeplabv3plus is not in" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_a_folder_without_pictures_is_told(out: Path) -> None:
    bundles = REPOSITORY / "monai_bundles"
    with pytest.raises(DemonstrationError, match="is no folder"):
        demonstrate(Wanted(out=out, bundles=bundles, images=out / "none", kind=Kind.CLINICAL), Console(quiet=True))


def test_a_folder_that_no_demonstration_made_is_refused_and_keeps_its_files(out: Path) -> None:
    own = out / "demo" / "pictures" / "own.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(DemonstrationError, match=r"demo was made by no demonstration, .*: name another folder by --out"):
        demonstrate(Wanted(out=out, bundles=REPOSITORY / "monai_bundles", images=None, kind=Kind.CLINICAL), Console(quiet=True))
    assert [one for one in out.rglob("*") if one.is_file()] == [own]


@pytest.mark.server
@needs_orthanc
def test_a_modality_that_the_pacs_does_not_take_is_told(tmp_path: Path) -> None:
    with Orthanc(tmp_path) as pacs:
        stored = pacs.dicom_port
    with pytest.raises(DemonstrationError, match="takes no association"):
        send.send(make(SAMPLES[0], datetime.now(UTC)).files, host="127.0.0.1", port=stored, ae_title="ORTHANC")


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
@needs_orthanc
class TestTheSampleStudies:
    """What one run on the sample studies shows."""

    def test_every_case_ends_as_it_must_and_the_exit_status_is_0(self, samples: Shown) -> None:
        assert samples.told.returncode == 0, samples.told.stdout + samples.told.stderr
        assert [case["state"] for case in samples.cases] == [str(sample.expected) for sample in SAMPLES]
        assert [case["shortcomings"] for case in samples.cases] == [[]] * len(SAMPLES)

    def test_nothing_runs_on_and_nothing_of_an_earlier_run_is_left(self, samples: Shown) -> None:
        assert left_running(samples.out) == []
        assert not (samples.out / "demo" / "old").exists()

    def test_every_result_came_back_from_the_pacs_and_says_synthetic(self, samples: Shown) -> None:
        for result in (one for case in samples.cases for one in case["results"]):
            assert result["fetched_back_from_the_pacs"]
            assert result["sop_instance_uid"] in samples.told.stdout
            ds = dcmread(samples.out / result["file"])
            assert ds.SOPInstanceUID == result["sop_instance_uid"]
            assert "SYNTHETIC" in str(ds.PatientName)
            assert "SYNTHETIC" in ds.StudyDescription

    def test_every_analysed_study_has_all_forms_segs_of_the_told_areas_and_is_committed(self, samples: Shown) -> None:
        confirmed = [case for case in samples.cases if case["state"] == "confirmed"]
        outlined = [case for case in confirmed if case["images"][0]["areas"]]
        assert (len(confirmed), len(outlined)) == (5, 4)
        for case in outlined:
            assert case["proven_by"] == ["commitment"]
            assert case["left_out"] == []
            assert sorted({result["form"] for result in case["results"]}) == ["overlay_sr", "picture", "presentation", "report_sr", "seg"]
            assert sum(case["the_pacs_holds"].values()) == len(case["results"]) + len(case["images"])
            segs = [dcmread(samples.out / one["file"]) for one in case["results"] if one["sop_class_uid"] == SegmentationStorage]
            told = [sum(area["pixels"] for area in image["areas"]) for image in case["images"]]
            assert [[area["output"] for area in image["areas"]] for image in case["images"]] == [["lesion", "skin"]] * len(case["images"])
            assert sorted(int(np.asarray(seg.pixel_array).sum()) for seg in segs) == sorted(told)
            assert min(told) > 0
            assert 0 <= case["images"][0]["calls"][0]["probability"] <= 1

    def test_the_later_visit_says_in_picture_and_report_what_changed_since_the_first(self, samples: Shown) -> None:
        first, later = samples.cases[0], samples.cases[-1]
        images = [dcmread(samples.out / "demo" / "dicom" / f"study-{number}" / "image-1.dcm") for number in (1, 6)]
        assert images[0].PatientID == images[1].PatientID
        since = "\n".join(later["since_an_earlier_visit"])
        date = images[0].StudyDate
        assert since.startswith(f"Since the visit of {date[:4]}-{date[4:6]}-{date[6:]}")
        assert "mm²" in since
        assert since in samples.told.stdout.replace("\n      ", "\n").replace("\n   ", "\n")
        assert later["images"][0]["areas"][0]["pixels"] > first["images"][0]["areas"][0]["pixels"]
        (report,) = [one for one in later["results"] if one["form"] == "report_sr"]
        (before,) = [one["sop_instance_uid"] for one in first["results"] if one["form"] == "report_sr"]
        assert {one.prior for one in groups((samples.out / report["file"]).read_bytes())} >= {before}
        assert first["since_an_earlier_visit"] == []

    def test_a_report_to_print_lies_beside_and_what_the_pacs_takes_is_written_down(self, samples: Shown) -> None:
        assert (samples.out / "demo" / "report.pdf").read_bytes().startswith(b"%PDF")
        probed = (samples.out / "demo" / "probe.txt").read_text()
        assert "Secondary Capture Image Storage" in probed
        assert "storage commitment" in probed

    def test_the_best_classifier_reads_dermoscopy_and_the_photograph_is_read_on_the_crop_around_its_lesion(self, samples: Shown) -> None:
        dermoscopic, clinical = samples.cases[1]["images"]
        (whole,), (cropped,) = dermoscopic["calls"], clinical["calls"]
        assert whole["bundle"].startswith("melanoma_nevus_lite ")
        assert whole["crop"] is None
        assert clinical["kind"] == "VL Photographic Image"
        assert cropped["bundle"].startswith("clinical_melanoma_resnet50 ")
        assert 0 < cropped["crop"]["width"] < 640, "half of the photograph"
        assert "read on the crop at column" in samples.told.stdout
        assert clinical["not_analysed"] == []
        area, _ = clinical["areas"]
        assert 0.002 < area["share"] < 0.02  # the lesion is drawn over about 0.7 % of that picture

    def test_the_blurred_study_is_answered_not_analysed_because(self, samples: Shown) -> None:
        blurred = samples.cases[3]
        assert [one["form"] for one in blurred["results"]] == ["report_sr", "picture"]
        assert all("poor_quality_blur" in why for why in blurred["images"][0]["not_analysed"])

    def test_the_mosaic_is_read_by_a_bundle_of_demonstration_grade_and_every_result_is_titled_so(self, samples: Shown) -> None:
        mosaic = samples.cases[4]
        (call,) = mosaic["images"][0]["calls"]
        assert call["bundle"].startswith("rcm_mosaic_resnet ")
        assert call["grade"] == "demonstration"
        assert {one["form"] for one in mosaic["results"]} >= {"report_sr", "picture"}
        assert all("demonstration" in one["series"] for one in mosaic["results"])
        assert "demonstration grade: says nothing of a patient" in samples.told.stdout

    def test_bundles_that_take_no_part_are_named(self, samples: Shown) -> None:
        every = {file.parents[1].name for file in (REPOSITORY / "monai_bundles").glob("*/configs/serving.json")}
        for name in every:
            assert (f"installing the bundle {name} " in samples.told.stdout) != (f"not shown: {name}, " in samples.told.stdout)

    def test_pictures_lie_beside_and_the_notice_is_told(self, samples: Shown) -> None:
        assert "not for primary diagnosis" in samples.told.stdout
        analysed = [case for case in samples.cases if case["state"] == "confirmed"]
        assert [len(case["pictures"]) for case in analysed] == [len(case["images"]) for case in analysed]
        for file in (one for case in samples.cases for one in case["pictures"]):
            with Image.open(samples.out / file) as shown:
                assert shown.height > 500


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
@needs_orthanc
@pytest.mark.skipif(not IMAGES.is_dir(), reason="../shared/data is not there: no real photographs")
def test_a_persons_own_photographs_come_back_as_sr_and_seg(out: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    chosen = sorted(IMAGES.glob("ISIC_*.jpg"), key=lambda file: file.stat().st_size)[:3]
    for file in chosen:
        shutil.copy(file, own)
    with Image.open(chosen[0]) as one:
        buffer = io.BytesIO()
        one.save(buffer, "PNG")
    (own / "zz.png").write_bytes(buffer.getvalue())
    (own / "notes.txt").write_text("left out")
    told, summary = demo(out, "--images", str(own))
    assert told.returncode == 0, told.stdout + told.stderr
    assert "left out: notes.txt" in told.stdout
    assert len(summary["cases"]) == 4
    for case in summary["cases"]:
        assert case["state"] == "confirmed"
        assert not case["synthetic"]
        assert case["pictures"]
        assert case["images"][0]["calls"]
