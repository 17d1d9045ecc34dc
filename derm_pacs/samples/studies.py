"""The sample studies that the product brings along: drawn, named synthetic wherever a name can stand."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from PIL import Image

from derm_pacs.domain.case import State
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.samples import draw, mosaics
from derm_pacs.samples.draw import IRREGULAR, REGULAR, Picture
from derm_pacs.samples.wrap import Code, Kind, Label, Tracked, part10, wrap_bytes

_BACK = Code(value="66643007", scheme="SCT", meaning="Skin of back")  # CID 4029
_ARM = Code(value="371311000", scheme="SCT", meaning="Skin of upper extremity")  # CID 4029
_JPEG_QUALITY = 92
_TRACKED = "lesion 1 of the back"
_PIXEL = 0.0125
"""Millimetres: a picture of 1200 columns shows 15 mm."""
_GROWN = replace(REGULAR, radius=0.33, irregularity=0.12)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleImage:
    """One drawn picture of a sample study."""

    kind: Kind
    description: str
    """Series Description without the word SYNTHETIC, which goes before it."""
    draw: Callable[[], Picture]
    lossless: bool = False
    """Stored uncompressed and not as baseline JPEG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample study: who it says it is, and its pictures."""

    name: str
    """Given name of the patient, SYNTHETIC^SAMPLE `name`, where no other sample is followed."""
    title: str
    """What it shows and what is to be expected of it."""
    images: tuple[SampleImage, ...]
    site: Code
    expected: State
    """How its case ends where all is well and the PACS commits."""
    laterality: str = ""
    lesion: str = ""
    """Name under which the device tracks the lesion; empty: it tracks none."""
    pixel_millimetres: float | None = None
    """Side of a pixel at the skin, where the device says it."""
    days_ago: int = 0
    """How long before the others the study was made."""
    follows: str = ""
    """Name of the sample of which this is a later visit; empty for a first one."""

    @property
    def patient(self) -> str:
        """Given name of the patient."""
        return self.follows or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study that is ready to be sent."""

    title: str
    study_uid: str
    files: tuple[bytes, ...]
    """DICOM files."""
    synthetic: bool
    expected: State | None = None
    """How its case must end; None where that is not known beforehand."""
    later_visit: bool = False
    """Whether it is to be compared with another of the studies, which must have its results before."""


SAMPLES = (
    Sample(
        name="ONE", title="one dermoscopic image, JPEG, a month old: an evenly brown, round lesion", site=_BACK,
        expected=State.CONFIRMED, lesion=_TRACKED, pixel_millimetres=_PIXEL, days_ago=30,
        images=(SampleImage(kind=Kind.DERMOSCOPIC, description="dermoscopy", draw=lambda: draw.dermoscopic(1, REGULAR)),),
    ),
    Sample(
        name="TWO", title="a dermoscopic image, and a clinical photograph that is read on the crop around its lesion: a ragged lesion, with hairs",
        site=_ARM, laterality="L", expected=State.CONFIRMED,
        images=(
            SampleImage(kind=Kind.DERMOSCOPIC, description="dermoscopy", draw=lambda: draw.dermoscopic(2, IRREGULAR, hairs=14)),
            SampleImage(kind=Kind.CLINICAL, description="clinical overview", draw=lambda: draw.clinical(3, IRREGULAR)),
        ),
    ),
    Sample(
        name="THREE", title="one dermoscopic image, uncompressed: a ragged lesion", site=_BACK, expected=State.CONFIRMED,
        images=(
            SampleImage(
                kind=Kind.DERMOSCOPIC, description="dermoscopy", lossless=True,
                draw=lambda: draw.dermoscopic(9, IRREGULAR, shape=(768, 1024), hairs=2),
            ),
        ),
    ),
    Sample(
        name="FOUR", title="one dermoscopic image out of focus: must be answered \"not analysed, because\"", site=_BACK, expected=State.REJECTED,
        images=(
            SampleImage(
                kind=Kind.DERMOSCOPIC, description="dermoscopy, out of focus",
                draw=lambda: draw.out_of_focus(draw.dermoscopic(5, REGULAR, hairs=0), 18),
            ),
        ),
    ),
    Sample(
        name="FIVE", title="one confocal mosaic: read window by window by a bundle of demonstration grade, which knows drawn mosaics alone",
        site=_BACK, expected=State.CONFIRMED,
        images=(
            SampleImage(
                kind=Kind.CONFOCAL, description="confocal mosaic", draw=lambda: mosaics.mosaic(4, "nevus", shape=(1152, 1536)),
            ),
        ),
    ),
    Sample(
        name="SIX", title="the lesion of study 1 a month later, grown: must say what changed since then", site=_BACK,
        expected=State.CONFIRMED, lesion=_TRACKED, pixel_millimetres=_PIXEL, follows="ONE",
        images=(SampleImage(kind=Kind.DERMOSCOPIC, description="dermoscopy", draw=lambda: draw.dermoscopic(1, _GROWN)),),
    ),
)  # fmt: skip
"""In the order in which the demonstration sends them; a later visit when the others have ended."""


def make(sample: Sample, at: datetime) -> Study:
    """Draw and wrap a sample study as if it were made at `at` (aware), or as long before as it says.

    The same time gives the same bytes.
    """
    made = at - timedelta(days=sample.days_ago)
    study_uid = derived_uid(("sample study", sample.name, made.isoformat()))
    files = tuple(
        part10(wrap_bytes(_encoded(image), image.kind, Label(
            patient_id=f"SYNTHETIC-{sample.patient}",
            patient_name=f"SYNTHETIC^SAMPLE {sample.patient}",
            study_uid=study_uid,
            study_description="SYNTHETIC, drawn by a program",
            series_description=f"SYNTHETIC {image.description}",
            at=made,
            series_number=number,
            site=sample.site,
            laterality=sample.laterality,
            lesion=_tracked(sample),
            pixel_millimetres=sample.pixel_millimetres,
            synthetic=True,
        )))
        for number, image in enumerate(sample.images, start=1)
    )  # fmt: skip
    return Study(
        title=sample.title, study_uid=study_uid, files=files, synthetic=True, expected=sample.expected,
        later_visit=bool(sample.follows),
    )  # fmt: skip


def _tracked(sample: Sample) -> Tracked | None:
    if not sample.lesion:
        return None
    return Tracked(uid=derived_uid(("sample lesion", sample.patient, sample.lesion)), name=sample.lesion)


def _encoded(image: SampleImage) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(image.draw())
    if image.lossless:
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
