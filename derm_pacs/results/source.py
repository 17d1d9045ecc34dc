"""A source image as results need it: read from its Part 10 file without pixels, normalised, never changed at its source."""

import io
import re
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta, timezone

import pydicom
from pydicom import DataElement, Dataset
from pydicom.errors import InvalidDicomError

from derm_pacs.domain.errors import Defect
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.domain.tiling import Tiling, is_tiled
from derm_pacs.results.site import Site, Tracking, site_of, tracking_of
from derm_pacs.results.spacing import Spacing, functional_group, true_spacing
from derm_pacs.results.unheard import unheard

TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)
"""Patient and study attributes that every object carries, empty where the source has none (PS3.3 C.7.1.1, C.7.2.1)."""

COPIED = (
    *TYPE_2,
    "StudyInstanceUID", "StudyDescription", "IssuerOfAccessionNumberSequence", "ReferencedStudySequence", "ProcedureCodeSequence",
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID", "OtherPatientIDs", "OtherPatientIDsSequence",
    "OtherPatientNames", "PatientBirthTime", "EthnicGroup", "PatientSpeciesDescription", "PatientSpeciesCodeSequence",
    "PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole",
    "ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "PatientAge", "AdmissionID", "IssuerOfAdmissionIDSequence",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription", "ClinicalTrialProtocolEthicsCommitteeName", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
)
"""Attributes of the Patient and Study modules that our objects take over as they are.

Patient Comments (0010,4000) are not among them: nobody knows what they hold.
"""

_OFFSET = re.compile(r"([+-])(0[0-9]|1[0-4])([0-5][0-9])")
_SYNTHETIC_SAID_IN = ("SeriesDescription", "ImageComments", "DerivationDescription")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceImage:
    """One source image."""

    dataset: Dataset
    """Without pixel data; text decoded, Specific Character Set ISO_IR 192, absent Type 2 attributes added empty."""
    uid: str
    sop_class_uid: str
    series_uid: str
    study_uid: str
    rows: int
    columns: int
    frames: int
    """Of a tiled image 1: it is told as its total pixel matrix, whose size `rows` and `columns` then are."""
    tiling: Tiling | None
    """None for an image that is not tiled."""
    modality: str
    site: Site | None
    tracking: Tracking | None
    synthetic: bool
    """The image says in its descriptions that it is SYNTHETIC."""

    @property
    def order(self) -> tuple[int, int, str]:
        """Where the image stands in its study: series number, instance number, UID."""
        return (_number(self.dataset, "SeriesNumber"), _number(self.dataset, "InstanceNumber"), self.uid)

    @property
    def zone(self) -> timezone | None:
        """The offset that the image's own dates and times are in, None where it does not say it."""
        match = _OFFSET.fullmatch(str(self.dataset.get("TimezoneOffsetFromUTC") or "").strip())
        if match is None:
            return None
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)

    def spacing(self, frame: int) -> Spacing | None:
        """Return the true pixel size of a frame (1-based), None where the image does not say it."""
        return true_spacing(self.dataset, frame)

    def plane_orientation(self, frame: int) -> tuple[float, ...] | None:
        """Return the six direction cosines of a frame (1-based), None where the image has none."""
        item = functional_group(self.dataset, frame, "PlaneOrientationSequence")
        try:
            cosines = tuple(float(value) for value in item.ImageOrientationPatient) if item is not None else ()
        except (AttributeError, TypeError, ValueError):
            return None
        return cosines if len(cosines) == 6 else None

    @property
    def stored_frames(self) -> int:
        """Frames in the file: the tiles of a tiled image, else `frames`."""
        return int(self.dataset.get("NumberOfFrames") or 1)

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """Row and column, from 0, at which each stored tile begins in the matrix; empty for an image that is not tiled."""
        if self.tiling is None:
            return ()
        told = [
            functional_group(self.dataset, number, "PlanePositionSlideSequence")
            for number in range(1, self.stored_frames + 1)
        ]
        return tuple(
            self.tiling.corner(index) if item is None else (
                int(item.RowPositionInTotalImagePixelMatrix) - 1, int(item.ColumnPositionInTotalImagePixelMatrix) - 1,
            )
            for index, item in enumerate(told)
        )  # fmt: skip

    def copied_elements(self) -> list[DataElement]:
        """Return copies of the patient and study elements that our objects take over."""
        return [deepcopy(self.dataset[keyword]) for keyword in COPIED if keyword in self.dataset]


def read(part10: bytes) -> SourceImage:
    """Read a Part 10 file's header.

    Raises `Defect` where it cannot be read: the case would not have come here.
    """
    try:
        with unheard(), io.BytesIO(part10) as file:
            dataset = pydicom.dcmread(file, stop_before_pixels=True)
            dataset.buffer = None  # it would keep the whole file, pixels and all
            dataset.decode()
            return _from_dataset(dataset)
    except (InvalidDicomError, AttributeError, KeyError, ValueError, TypeError, OSError) as error:
        raise Defect(RESULT_INVALID, f"a source image cannot be read: {type(error).__name__}") from error


def _from_dataset(dataset: Dataset) -> SourceImage:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in TYPE_2:
        if keyword not in dataset:
            setattr(dataset, keyword, None)
    tiling = _tiling(dataset)
    return SourceImage(
        dataset=dataset,
        uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        series_uid=str(dataset.SeriesInstanceUID),
        study_uid=str(dataset.StudyInstanceUID),
        rows=tiling.rows if tiling else int(dataset.get("Rows") or 0),
        columns=tiling.columns if tiling else int(dataset.get("Columns") or 0),
        frames=1 if tiling else int(dataset.get("NumberOfFrames") or 1),
        tiling=tiling,
        modality=str(dataset.get("Modality") or ""),
        site=site_of(dataset),
        tracking=tracking_of(dataset),
        synthetic=any("SYNTHETIC" in str(dataset.get(keyword) or "").upper() for keyword in _SYNTHETIC_SAID_IN),
    )


def _tiling(dataset: Dataset) -> Tiling | None:
    tiled = is_tiled(
        str(dataset.SOPClassUID), str(dataset.get("DimensionOrganizationType") or ""),
        has_matrix="TotalPixelMatrixColumns" in dataset, frames=int(dataset.get("NumberOfFrames") or 1),
    )  # fmt: skip
    if not tiled:
        return None
    return Tiling(
        rows=int(dataset.get("TotalPixelMatrixRows") or 0), columns=int(dataset.get("TotalPixelMatrixColumns") or 0),
        tile_rows=int(dataset.get("Rows") or 0), tile_columns=int(dataset.get("Columns") or 0),
    )


def _number(dataset: Dataset, keyword: str) -> int:
    try:
        return int(dataset.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0
