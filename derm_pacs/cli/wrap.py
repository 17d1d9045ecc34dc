"""`derm-pacs wrap`: photographs become DICOM instances."""

import uuid
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.demonstration.own_pictures import PICTURE_SUFFIXES
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.samples.wrap import Kind, Label, part10
from derm_pacs.samples.wrap import wrap as wrap_file

Source = Annotated[Path, typer.Argument(metavar="IN", help="A JPEG or PNG file, or a folder of them.")]
Target = Annotated[Path, typer.Argument(metavar="OUT", help="The DICOM file to write, or for a folder the folder to write into.")]
PictureKind = Annotated[Kind, typer.Option("--kind", help="Dermoscopic Photography, VL Photographic or, for confocal, Secondary Capture.")]
PatientId = Annotated[str, typer.Option("--patient-id", help="Patient ID.")]
PatientName = Annotated[str, typer.Option("--patient-name", help="Patient's name as DICOM writes it: Family^Given.")]
StudyUid = Annotated[str, typer.Option("--study-uid", help="Study Instance UID; without it a new study is begun, the same for all files.")]
Description = Annotated[str, typer.Option("--description", help="Study Description.")]


def wrap(
    source: Source,
    target: Target,
    *,
    kind: PictureKind,
    patient_id: PatientId = "",
    patient_name: PatientName = "",
    study_uid: StudyUid = "",
    description: Description = "",
) -> None:
    """Wrap photographs into DICOM instances.

    A baseline JPEG goes in as it is, without EXIF (place and owner of the camera); a picture that the camera turned is
    stored upright. What is not known of a picture is not made up.

    Examples:

        derm-pacs wrap mole.jpg mole.dcm --kind dermoscopic --patient-id 4711 --patient-name "Doe^Jane"
        derm-pacs wrap pictures/ wrapped/ --kind clinical --patient-id 4711
    """
    if study_uid and not is_legal_uid(study_uid):
        raise CommandError(ExitCode.USAGE, f"{study_uid!r} is no UID", "write numbers and points, at most 64 characters, or leave it away")
    pairs = _pairs(source, target)
    study_uid = study_uid or f"2.25.{uuid.uuid4().int}"
    at = datetime.now().astimezone().replace(microsecond=0)
    for number, (picture, file) in enumerate(pairs, start=1):
        label = Label(
            patient_id=patient_id, patient_name=patient_name, study_uid=study_uid, study_description=description,
            series_description=kind, at=at, series_number=number,
        )  # fmt: skip
        try:
            wrapped = part10(wrap_file(picture, kind, label))
        except Rejected as error:
            raise CommandError(ExitCode.REFUSED, f"{picture}: {error.detail}", "give a JPEG or PNG of 8 bits") from error
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(wrapped)
        print(file)


def _pairs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    if source.is_file():
        return [(source, target)]
    if not source.is_dir():
        raise CommandError(ExitCode.NOT_FOUND, f"{source} does not exist", "name a JPEG or PNG file, or a folder of them")
    pictures = sorted(one for one in source.iterdir() if one.suffix.lower() in PICTURE_SUFFIXES)
    if not pictures:
        raise CommandError(ExitCode.NOT_FOUND, f"{source} holds no JPEG or PNG file", "name a folder that does")
    return [(one, target / f"{number:04}.dcm") for number, one in enumerate(pictures, start=1)]
