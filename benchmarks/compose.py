"""How long one image's SR, SEG and picture take to be made, beside plain highdicom with its defaults in the same run.

    python benchmarks/compose.py [--rounds 3] [--photograph 3000x2000] [--mosaic 8000x8000] [--json]

Three ways are timed, each in a process of its own in every round, after a warm-up on a small image:

- `compose`: the product's composition, with measuring the mask and drawing the picture;
- `compose+check`: the same with the last look, which reads every object back and compares it with the findings;
- `highdicom`: highdicom's constructors with their defaults, given the same mask, the same figures and the finished
  pixels of our picture, and written by pydicom: neither measures, nor draws, nor checks.

The figures are medians over the rounds; ratios are of processor time, which a busy machine disturbs least. Memory is the process's highest resident size (ru_maxrss), and what of it came
on top of libraries, source file and mask.
"""

import argparse
import hashlib
import importlib.metadata
import io
import json
import multiprocessing
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegmentationFrame,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TrackingIdentifier,
)
from pydicom import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from derm_pacs.domain.composed import Composed, Form, Identity
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.findings import (
    BundleIdentity,
    CaseFindings,
    Classification,
    ClassProbability,
    FrameFinding,
    Grade,
    OperatingPoint,
    Run,
    RunRole,
    Segmentation,
)
from derm_pacs.domain.study import SpoolPlace, StoredInstance
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose

DERMOSCOPIC, CAPTURE = "1.2.840.10008.5.1.4.1.1.77.1.7", "1.2.840.10008.5.1.4.1.1.7"
STUDY, IMAGE = "2.25.81001", "2.25.81002"
EDITION = Edition(forms=frozenset({Form.SEG, Form.REPORT_SR, Form.PICTURE}))
IDENTITY = Identity(
    installation_uid="2.25.81000", facility="Benchmark", revision=1, revision_hash="0" * 64, predecessors=(),
    made_at=datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=1))),
)
SMALL = (128, 96)
WAYS = ("compose", "compose+check", "highdicom")


def prepare(folder: Path, name: str, columns: int, rows: int) -> None:
    """Write a drawn source, the mask of its lesion and its preview."""
    row, column = np.ogrid[:rows, :columns]
    edge = 1 + 0.08 * np.sin(7 * np.arctan2(row - 0.5 * rows, column - 0.45 * columns))
    mask = np.hypot((row - 0.5 * rows) / (0.28 * rows), (column - 0.45 * columns) / (0.24 * columns)) < edge
    colour = name != "mosaic"
    pixels = np.where(mask[..., None], np.uint8([112, 70, 52]), np.uint8([224, 178, 158]))
    step = max(1, -(-max(rows, columns) // 1024))
    np.save(folder / f"{name}.mask.npy", mask)
    np.save(folder / f"{name}.preview.npy", np.ascontiguousarray(pixels[::step, ::step]))
    source = header(DERMOSCOPIC if colour else CAPTURE, columns, rows, colour=colour)
    source.PixelData = (pixels if colour else pixels[..., 1]).tobytes()
    if len(source.PixelData) % 2:
        source.PixelData += b"\x00"
    pydicom.dcmwrite(folder / f"{name}.dcm", source, enforce_file_format=True)


def header(sop_class: str, columns: int, rows: int, *, colour: bool) -> Dataset:
    source = Dataset()
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    source.SpecificCharacterSet = "ISO_IR 192"
    source.SOPClassUID, source.SOPInstanceUID = sop_class, IMAGE
    source.StudyInstanceUID, source.SeriesInstanceUID = STUDY, "2.25.81003"
    source.Modality, source.SeriesNumber, source.InstanceNumber = "DMS" if colour else "OT", 1, 1
    source.PatientName, source.PatientID, source.PatientBirthDate, source.PatientSex = "Synthetic^Benchmark", "B-1", "", "O"
    source.StudyDate, source.StudyTime, source.StudyID, source.AccessionNumber = "20261121", "120000", "1", "1"
    source.ReferringPhysicianName, source.SeriesDescription, source.PatientOrientation = "", "SYNTHETIC benchmark", ""
    source.Manufacturer, source.ImageType, source.LossyImageCompression = "Drawn", ["ORIGINAL", "PRIMARY"], "00"
    source.Rows, source.Columns, source.BitsAllocated, source.BitsStored = rows, columns, 8, 8
    source.HighBit, source.PixelRepresentation = 7, 0
    source.SamplesPerPixel = 3 if colour else 1
    source.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        source.PlanarConfiguration = 0
    return source


class Case:
    """One source with its findings, as a child process reads them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.part10 = (folder / f"{name}.dcm").read_bytes()
        self.mask = np.load(folder / f"{name}.mask.npy")
        self.preview = np.load(folder / f"{name}.preview.npy")
        self.findings = findings(self.mask, CAPTURE if name == "mosaic" else DERMOSCOPIC)

    @property
    def given(self) -> tuple[Any, ...]:
        """What compose and check take."""
        return self.findings, {IMAGE: self.part10}, IDENTITY, EDITION, {(IMAGE, 1): self.preview}


def findings(mask: Any, sop_class: str) -> CaseFindings:
    outliner = a_run("a", ())
    classifier = a_run("b", (OperatingPoint(id="default", output="diagnosis", positive="melanoma", threshold=0.5, set_by="author"),))
    stored = StoredInstance(
        sop_class_uid=sop_class, sop_instance_uid=IMAGE, series_instance_uid="2.25.81003", study_instance_uid=STUDY,
        transfer_syntax_uid=ExplicitVRLittleEndian, sha256="0" * 64, pixel_sha256=None,
        place=SpoolPlace(listener="listener-0", segment=1, offset=0, length=1),
    )
    diagnosis = Classification(output="diagnosis", probabilities=(
        ClassProbability(class_id="melanoma", concept="melanoma", probability=0.75),
        ClassProbability(class_id="nevus", concept="melanocytic_nevus", probability=0.25),
    ))  # fmt: skip
    outline = Segmentation(output="lesion", concept="skin_lesion", threshold=0.5, mask=mask)
    return CaseFindings(
        runs=(outliner, classifier),
        findings=tuple(
            FrameFinding(bundle_hash=run.bundle.content_hash, image=stored, frame=1, outcomes=(outcome,))
            for run, outcome in ((outliner, outline), (classifier, diagnosis))
        ),
    )


def a_run(letter: str, points: tuple[OperatingPoint, ...]) -> Run:
    bundle = BundleIdentity(name=f"bundle_{letter}", version="1.0.0", content_hash=letter * 64, title=letter, grade=Grade.RESEARCH)
    return Run(bundle=bundle, role=RunRole.ACTIVE, operating_points=points)


def by_compose(case: Case) -> Callable[[], list[bytes]]:
    return lambda: [one.data for one in compose(*case.given)]


def by_compose_and_check(case: Case) -> Callable[[], list[bytes]]:
    def made() -> list[bytes]:
        objects = compose(*case.given)
        check(objects, *case.given)
        return [one.data for one in objects]

    return made


def by_highdicom(case: Case) -> Callable[[], list[bytes]]:
    drawn: list[Composed] = [one for one in compose(*case.given) if one.form is Form.PICTURE]
    picture = pydicom.dcmread(io.BytesIO(drawn[0].data)).pixel_array

    def made() -> list[bytes]:
        source = pydicom.dcmread(io.BytesIO(case.part10))
        seg = plain_seg(source, case.mask)
        capture = highdicom.sc.SCImage.from_ref_dataset(
            source, picture, photometric_interpretation="RGB", bits_allocated=8, coordinate_system="PATIENT",
            series_instance_uid=highdicom.UID(), series_number=3, sop_instance_uid=highdicom.UID(), instance_number=1,
            manufacturer="highdicom", patient_orientation=("L", "P"),
        )  # fmt: skip
        return [written(one) for one in (seg, plain_sr(source, seg), capture)]

    return made


def plain_seg(source: Dataset, mask: Any) -> highdicom.seg.Segmentation:
    algorithm = highdicom.AlgorithmIdentificationSequence(name="bundle_a", version="1.0.0", family=codes.cid7162.ArtificialIntelligence)
    described = highdicom.seg.SegmentDescription(
        segment_number=1, segment_label="Skin lesion", segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=CodedConcept("95324001", "SCT", "Skin lesion"), algorithm_type="AUTOMATIC", algorithm_identification=algorithm,
    )  # fmt: skip
    return highdicom.seg.Segmentation(
        source_images=[source], pixel_array=mask, segmentation_type="BINARY", segment_descriptions=[described],
        series_instance_uid=highdicom.UID(), series_number=1, sop_instance_uid=highdicom.UID(), instance_number=1,
        manufacturer="highdicom", manufacturer_model_name="plain", software_versions="0", device_serial_number="0",
    )


def plain_sr(source: Dataset, seg: Dataset) -> Comprehensive3DSR:
    algorithm = AlgorithmIdentification(name="bundle_b", version="1.0.0")
    tracking = TrackingIdentifier(uid=highdicom.UID(), identifier="Lesion 1")
    number = CodedConcept("1", "UCUM", "no units")
    groups: list[Any] = [
        MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking, finding_type=CodedConcept(value, "SCT", meaning), algorithm_id=algorithm,
            measurements=[Measurement(name=CodedConcept("122157", "DCM", "Probability"), value=probability, unit=number)],
            source_images=[SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
        )
        for value, meaning, probability in (("372244006", "Melanoma", 0.75), ("400096001", "Melanocytic nevus", 0.25))
    ]
    pixels = CodedConcept("{pixels}", "UCUM", "pixels")
    sizes = (("42798000", "Area", 1e6), ("81827009", "Diameter", 1e3), ("131191004", "Perimeter", 3e3))
    groups.append(PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking, finding_type=CodedConcept("95324001", "SCT", "Skin lesion"), algorithm_id=algorithm,
        referenced_segment=ReferencedSegmentationFrame(
            seg.SOPClassUID, seg.SOPInstanceUID, frame_number=1, segment_number=1,
            source_image=SourceImageForSegmentation(source.SOPClassUID, source.SOPInstanceUID),
        ),
        measurements=[Measurement(name=CodedConcept(value, "SCT", name), value=size, unit=pixels) for value, name, size in sizes],
    ))  # fmt: skip
    observer = ObserverContext(codes.DCM.Device, DeviceObserverIdentifyingAttributes(uid=highdicom.UID(), name="plain"))
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer), imaging_measurements=groups,
        procedure_reported=CodedConcept("446078004", "SCT", "Dermoscopic photography (procedure)"),
    )
    return Comprehensive3DSR(
        evidence=[source, seg], content=content, series_instance_uid=highdicom.UID(), series_number=2, is_complete=True,
        sop_instance_uid=highdicom.UID(), instance_number=1, manufacturer="highdicom",
    )


def written(dataset: Dataset) -> bytes:
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        return buffer.getvalue()


BY: dict[str, Callable[[Case], Callable[[], list[bytes]]]] = dict(zip(WAYS, (by_compose, by_compose_and_check, by_highdicom), strict=True))


def measure(way: str, folder: Path, name: str) -> dict[str, Any]:
    """Measure one way in this process: warm up on the small image, then once on the named one."""
    BY[way](Case(folder, "small"))()
    made = BY[way](Case(folder, name))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, worked = time.perf_counter(), time.process_time()
    objects = made()
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds, "processor_seconds": processor, "peak_mib": peak / 1024, "added_mib": (peak - before) / 1024, "bytes": sum(len(one) for one in objects),
        "sha256": hashlib.sha256(b"".join(objects)).hexdigest(),
    }  # fmt: skip


def in_own_process(*task: str) -> str:
    """Run a task in a fresh process; ours stays small, since a child's ru_maxrss begins with its parent's size."""
    answer = subprocess.run([sys.executable, str(Path(__file__).resolve()), "--task", *task], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{' '.join(task)} failed:\n{answer.stderr}")
    return answer.stdout


def size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT in pixels."""
    columns, _, rows = text.partition("x")
    found = int(columns), int(rows)
    if min(found) < 16:
        raise ValueError(text)
    return found


def told(rounds: dict[str, dict[str, list[dict[str, Any]]]], sizes: dict[str, tuple[int, int]]) -> dict[str, Any]:
    def of(name: str, way: str) -> dict[str, Any]:
        found = rounds[name][way]
        plain = rounds[name]["highdicom"]
        return {
            "seconds": round(statistics.median(one["seconds"] for one in found), 3),
            "processor_seconds": round(statistics.median(one["processor_seconds"] for one in found), 3),
            "ratio_to_highdicom": round(
                statistics.median(a["processor_seconds"] / b["processor_seconds"] for a, b in zip(found, plain, strict=True)), 1
            ),
            "peak_mib": round(statistics.median(one["peak_mib"] for one in found)),
            "added_mib": round(statistics.median(one["added_mib"] for one in found)),
            "bytes": found[0]["bytes"],
            "same_bytes_each_time": len({one["sha256"] for one in found}) == 1,
        }

    return {
        "rounds": len(next(iter(next(iter(rounds.values())).values()))),
        "cases": {name: {"columns": sizes[name][0], "rows": sizes[name][1], **{way: of(name, way) for way in WAYS}} for name in rounds},
        "machine": f"{platform.machine()}, {multiprocessing.cpu_count()} cores, {platform.platform()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("derm-pacs", "highdicom", "pydicom", "numpy", "pillow")},
    }


def run(rounds: int, sizes: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """Measure every way on every image, round by round, and return what is to be told."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {name: {way: [] for way in WAYS} for name in sizes}
    with tempfile.TemporaryDirectory(prefix="derm-bench-") as folder:
        for name, (columns, rows) in {"small": SMALL, **sizes}.items():
            in_own_process("prepare", folder, name, str(columns), str(rows))
        for _ in range(rounds):
            for name in sizes:
                for way in WAYS:
                    found[name][way].append(json.loads(in_own_process("measure", way, folder, name)))
    return told(found, sizes)


def show(found: dict[str, Any]) -> None:
    for name, case in found["cases"].items():
        print(f"{name}, {case['columns']} x {case['rows']}")
        for way in WAYS:
            one = case[way]
            print(
                f"  {way:14} {one['seconds']:7.3f} s, {one['processor_seconds']:.3f} s of a processor, "
                f"{one['ratio_to_highdicom']:.1f} of highdicom   "
                f"{one['peak_mib']:6} MiB at most, {one['added_mib']} of them added   {one['bytes']} bytes"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photograph", type=size, default=(3000, 2000), metavar="WIDTHxHEIGHT")
    parser.add_argument("--mosaic", type=size, default=(8000, 8000), metavar="WIDTHxHEIGHT")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--task", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    match arguments.task:
        case ["prepare", folder, name, columns, rows]:
            prepare(Path(folder), name, int(columns), int(rows))
        case ["measure", way, folder, name]:
            print(json.dumps(measure(way, Path(folder), name)))
        case _:
            if arguments.rounds < 1:
                parser.error("--rounds must be at least 1")
            found = run(arguments.rounds, {"photograph": arguments.photograph, "mosaic": arguments.mosaic})
            print(json.dumps(found, indent=2)) if arguments.json else show(found)


if __name__ == "__main__":
    main()
