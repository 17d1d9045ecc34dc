"""Draws `result-picture.png`: a result picture of a drawn lesion with invented figures, made by the product's own composer.

Run from the repository's root: `python docs/pictures/result_picture.py`.
"""

import io
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from skimage import measure

from derm_pacs.domain.composed import Form, Identity, Reference
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.findings import (
    BundleIdentity,
    CaseFindings,
    Classification,
    ClassProbability,
    Combine,
    FrameFinding,
    Grade,
    LesionRule,
    Mask,
    OperatingPoint,
    Outcome,
    Preview,
    Run,
    RunRole,
    Saliency,
    Segmentation,
)
from derm_pacs.domain.study import SpoolPlace, StoredInstance
from derm_pacs.domain.visits import LesionProbability, LesionVisit
from derm_pacs.results.compose import compose
from derm_pacs.samples import draw
from derm_pacs.samples.studies import SAMPLES
from derm_pacs.samples.wrap import Code, Kind, Label, part10, wrap_bytes

PICTURE = Path(__file__).with_name("result-picture.png")
AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
STUDY, EARLIER, LESION = "2.25.101", "2.25.100", "2.25.102"
OUTLINER, CLASSIFIER = "1" * 64, "2" * 64
OUTPUT, MELANOMA, NEVUS = "diagnosis", "melanoma", "melanocytic_nevus"
MILLIMETRES = 0.018
BACK = Code(value="66643007", scheme="SCT", meaning="Skin of back")


def picture() -> NDArray[np.uint8]:
    """Return the first picture of a case of two images, as (rows, columns, 3) RGB."""
    shown = [draw.dermoscopic(seed, draw.IRREGULAR, shape=(600, 800), hairs=0) for seed in (2, 9)]
    files = [_file(pixels, number) for number, pixels in enumerate(shown, 1)]
    stored = [_stored(file) for file in files]
    masks = [_lesion(pixels) for pixels in shown]
    findings = []
    for image, mask, pixels, melanoma in zip(stored, masks, shown, (0.873, 0.641), strict=True):
        findings.append(_said(OUTLINER, image, Segmentation(output="lesion", concept="skin_lesion", threshold=0.5, mask=mask)))
        findings.append(_said(CLASSIFIER, image, _chances(melanoma, _looked_at(pixels, mask))))
    case = CaseFindings(runs=_runs(), findings=tuple(findings), visits=(_before(),))
    sources = {image.sop_instance_uid: file for image, file in zip(stored, files, strict=True)}
    previews: dict[tuple[str, int], Preview] = {
        (image.sop_instance_uid, 1): pixels for image, pixels in zip(stored, shown, strict=True)
    }
    identity = Identity(
        installation_uid="2.25.103", facility="Example", revision=1, revision_hash="0" * 64, predecessors=(), made_at=AT
    )
    made = compose(case, sources, identity, Edition(forms=frozenset({Form.PICTURE})), previews)
    return pydicom.dcmread(io.BytesIO(made[0].data)).pixel_array


def _file(pixels: NDArray[np.uint8], number: int) -> bytes:
    with io.BytesIO() as buffer:
        Image.fromarray(pixels).save(buffer, "PNG")
        label = Label(
            patient_id="SYNTHETIC", patient_name=f"SYNTHETIC^{SAMPLES[0].name}", study_uid=STUDY, study_description="SYNTHETIC",
            series_description="SYNTHETIC dermoscopy", at=AT, series_number=number, site=BACK, laterality="L", synthetic=True,
        )  # fmt: skip
        dataset = wrap_bytes(buffer.getvalue(), Kind.DERMOSCOPIC, label)
    dataset.TrackingUID, dataset.TrackingID = LESION, "drawn lesion"
    dataset.PixelSpacing, dataset.PixelSpacingCalibrationType = [MILLIMETRES, MILLIMETRES], "FIDUCIAL"
    return part10(dataset)


def _stored(file: bytes) -> StoredInstance:
    dataset = pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True)
    return StoredInstance(
        sop_class_uid=str(dataset.SOPClassUID), sop_instance_uid=str(dataset.SOPInstanceUID), study_instance_uid=STUDY,
        series_instance_uid=str(dataset.SeriesInstanceUID), transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        sha256="0" * 64, pixel_sha256=None, place=SpoolPlace(listener="none", segment=1, offset=0, length=1),
    )  # fmt: skip


def _lesion(pixels: NDArray[np.uint8]) -> Mask:
    """Return the largest dark region: what is drawn needs no network to be found."""
    grey = np.asarray(Image.fromarray(pixels).convert("L").reduce(4)).astype(np.float64)
    dark = np.asarray(Image.fromarray((grey < 150).astype(np.uint8) * 255).resize(pixels.shape[1::-1])) > 127
    labels = measure.label(dark)
    largest = max(measure.regionprops(labels), key=lambda one: one.area)
    mask = np.zeros(dark.shape, dtype=np.bool_)
    top, left, bottom, right = largest.bbox
    mask[top:bottom, left:right] = largest.image_filled
    return mask


def _looked_at(pixels: NDArray[np.uint8], mask: Mask) -> Saliency:
    """Return an invented map: strong where the lesion is darkest."""
    dark = np.where(mask, 255.0 - np.asarray(Image.fromarray(pixels).convert("L")), 0.0)
    coarse = np.asarray(Image.fromarray(dark.astype(np.uint8)).resize((20, 15), Image.Resampling.BOX)).astype(np.float64)
    return Saliency(method="grad_cam", class_id=MELANOMA, grid=np.clip((coarse - 90) * 2.4, 0, 255).astype(np.uint8))


def _said(bundle_hash: str, image: StoredInstance, outcome: Outcome) -> FrameFinding:
    return FrameFinding(bundle_hash=bundle_hash, image=image, frame=1, outcomes=(outcome,))


def _chances(melanoma: float, saliency: Saliency) -> Classification:
    return Classification(
        output=OUTPUT, saliency=saliency,
        probabilities=(
            ClassProbability(class_id=MELANOMA, concept=MELANOMA, probability=melanoma),
            ClassProbability(class_id=NEVUS, concept=NEVUS, probability=1 - melanoma),
        ),
    )  # fmt: skip


def _runs() -> tuple[Run, ...]:
    def bundle(name: str, content_hash: str) -> BundleIdentity:
        return BundleIdentity(name=name, version="1.0.0", content_hash=content_hash, title=name, grade=Grade.DEMONSTRATION)

    point = OperatingPoint(id="default", output=OUTPUT, positive=MELANOMA, threshold=0.5, set_by="the department's lead")
    return (
        Run(bundle=bundle("skin_lesion_deeplabv3plus", OUTLINER), role=RunRole.ACTIVE, operating_points=()),
        Run(
            bundle=bundle("melanoma_nevus_alexnet", CLASSIFIER), role=RunRole.ACTIVE, operating_points=(point,),
            lesion_rules=(LesionRule(output=OUTPUT, combine=Combine.MEAN),),
        ),
    )  # fmt: skip


def _before() -> LesionVisit:
    report = Reference(
        form=Form.REPORT_SR, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid="2.25.104",
        series_instance_uid="2.25.105", study_instance_uid=EARLIER,
    )  # fmt: skip
    then = LesionProbability(bundle_hash=CLASSIFIER, output=OUTPUT, class_id=MELANOMA, concept=MELANOMA, probability=0.42)
    return LesionVisit(
        tracking_uid=LESION, tracked=True, site=None, laterality=None, study_instance_uid=EARLIER, study_date=date(2026, 3, 2),
        report=report, images=(), probabilities=(then,), area=27.4, diameter=7.1, share=0.2,
        outlined_by=(OUTLINER,),
    )  # fmt: skip


if __name__ == "__main__":
    Image.fromarray(picture()).save(PICTURE, optimize=True)
