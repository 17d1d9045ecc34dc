"""The demonstration: a real PACS, the real service, studies on their way, and what came back.

A modality stores the studies in the PACS, the PACS sends them to the service, the service sends SR and SEG back.
"""

import json
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.uid import DermoscopicPhotographyImageStorage, SecondaryCaptureImageStorage, VLPhotographicImageStorage
from rich.console import Console

from derm_pacs.demonstration import files, own_pictures, send, tell
from derm_pacs.demonstration.account import CaseAccount, account
from derm_pacs.demonstration.failure import DemonstrationError
from derm_pacs.demonstration.follow import follow
from derm_pacs.demonstration.orthanc import Orthanc, OrthancError
from derm_pacs.demonstration.relay import LOOPBACK
from derm_pacs.demonstration.service import ACTOR, Service, data_folder
from derm_pacs.domain.composed import Form
from derm_pacs.ledger import reading
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.reading import CaseLine
from derm_pacs.operations.postgres import ledger_url
from derm_pacs.samples.studies import SAMPLES, Study, make
from derm_pacs.samples.wrap import Kind
from derm_pacs.settings.model import (
    DestinationSettings,
    ListenerSettings,
    RouteSettings,
    Settings,
    SpoolSettings,
    StudySettings,
)
from derm_pacs.settings.peers import Peer

QUIET_SECONDS = 4.0
"""A study counts as complete that soon in the demonstration; the default for real work is a minute."""
OUTLINE = "skin_lesion_deeplabv3plus"
DERMOSCOPY = "melanoma_nevus_lite"
PHOTOGRAPHS = "clinical_melanoma_resnet50"
MOSAICS = "rcm_mosaic_resnet"
_BUNDLES: Mapping[Kind, tuple[str, ...]] = {
    Kind.DERMOSCOPIC: (OUTLINE, DERMOSCOPY),
    Kind.CLINICAL: (OUTLINE, PHOTOGRAPHS),
    Kind.CONFOCAL: (MOSAICS,),
}
_CHAINS: Mapping[Kind, Mapping[str, str]] = {Kind.CLINICAL: {PHOTOGRAPHS: OUTLINE}}
_NOT_CLINICAL = frozenset({Kind.CONFOCAL})
"""Kinds that a bundle of grade demonstration reads."""
NOT_SHOWN: Mapping[str, str] = {
    "melanoma_nevus_alexnet": f"the published system that {DERMOSCOPY} is measured against; it reads the same images",
    "dermatosis14_efficientnet_b4": "grade demonstration: nine of its fourteen classes are known from drawn pictures alone",
}
_CLASSES: Mapping[Kind, str] = {
    Kind.DERMOSCOPIC: str(DermoscopicPhotographyImageStorage),
    Kind.CLINICAL: str(VLPhotographicImageStorage),
    Kind.CONFOCAL: str(SecondaryCaptureImageStorage),  # as the samples wrap mosaics
}
_RESULTS = (Form.REPORT_SR, Form.OVERLAY_SR, Form.SEG, Form.PICTURE, Form.PRESENTATION)
"""What the PACS is to get: what a destination gets by default, and the presentation state."""
_PACS, _PACS_AE, _OUR_NAME = "pacs", "ORTHANC", "dermpacs"
_CONFIG = "derm-pacs.toml"
"""The settings of the service, by which the folder of a demonstration is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to demonstrate."""

    out: Path
    """Folder that gets demo.json and demo/; what an earlier demonstration left there is removed."""
    bundles: Path
    """Folder of the bundles' folders."""
    images: Path | None
    """A person's own files; None takes the sample studies."""
    kind: Kind
    """What the own pictures show."""


def demonstrate(wanted: Wanted, console: Console) -> tuple[CaseAccount, ...]:
    """Run the demonstration, write its files, and return what came back of each study.

    Raises `DemonstrationError` with a sentence where something is missing.
    """
    folder = wanted.out / "demo"
    _check_there(wanted)
    _check_own(folder)
    studies = _studies(wanted, console)
    data = _fresh(folder)
    settings = _settings(data, wanted)
    pacs = Orthanc(
        folder / "pacs", settings.peers[0].port, ae_title=_PACS_AE,
        modalities={_OUR_NAME: (settings.listener.ae_title, settings.listener.port)},
    )  # fmt: skip
    config = folder / _CONFIG
    ended: dict[str, CaseLine] = {}
    try:
        with pacs, Service(settings, config, folder / "service.log") as service:
            tell.pacs_runs(console, pacs)
            service.wait_until_ready(lambda: pacs.echo(_OUR_NAME))
            console.print(f"derm-pacs runs as {settings.listener.ae_title} on {LOOPBACK}:{settings.listener.port}, ledger on its own PostgreSQL")
            _put_bundles_in_force(service, wanted, console)
            for wave in _waves(studies):
                _send(wave, pacs, console)
                with closing(Database(ledger_url(settings))) as database:
                    ended |= follow(wave, database, service, console, first_number=len(ended) + 1)
            accounts = _accounts(studies, ended, settings, pacs)
            printed = _print(accounts, service, folder)
            (folder / "probe.txt").write_text(service.command("pacs", "probe", _PACS), encoding="utf-8")
    except OrthancError as error:
        raise DemonstrationError(str(error)) from error
    written = files.write(wanted.out, accounts, isolated=pacs.isolated)
    tell.what_came_back(console, accounts)
    tell.how_to_go_on(console, wanted.out, config, written, printed)
    return accounts


def _check_there(wanted: Wanted) -> None:
    for name in _wanted_bundles(wanted):
        if not (wanted.bundles / name / "configs" / "serving.json").is_file():
            raise DemonstrationError(f"the bundle {name} is not in {wanted.bundles}; run this in a clone of the repository, or name the folder by --bundles")


def _check_own(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _CONFIG).is_file():
        raise DemonstrationError(f"{folder} was made by no demonstration, and its files would be removed: name another folder by --out, or move them")


def _wanted_bundles(wanted: Wanted) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for route in _routes(wanted) for name in route.bundles))


def _routes(wanted: Wanted) -> tuple[RouteSettings, ...]:
    """Return a route for each kind of sample, or one for a person's own files, of whatever class they are."""
    if wanted.images is None:
        return tuple(_route(kind, (_CLASSES[kind],)) for kind in _BUNDLES)
    return (_route(wanted.kind, ()),)


def _route(kind: Kind, sop_classes: tuple[str, ...]) -> RouteSettings:
    return RouteSettings(
        name=kind, sop_classes=sop_classes, bundles=_BUNDLES[kind], reads_crops_of=dict(_CHAINS.get(kind, {})),
        clinical=kind not in _NOT_CLINICAL, destinations=(_PACS,),
    )  # fmt: skip


def _studies(wanted: Wanted, console: Console) -> tuple[Study, ...]:
    at = datetime.now().astimezone().replace(microsecond=0)
    if wanted.images is None:
        console.print("drawing the sample studies: SYNTHETIC pictures, no photograph goes into them")
        return tuple(make(sample, at) for sample in SAMPLES)
    made, left = own_pictures.studies(wanted.images, wanted.kind, at)
    for one in left:
        console.print(f"left out: {one.name}: {one.why}", markup=False)
    return made


def _fresh(folder: Path) -> Path:
    """Return an empty data folder in `folder`, of which all that an earlier demonstration left is removed."""
    data = data_folder(folder / "data", Settings().database.run_as)
    for old in folder.iterdir():
        if old.name == "data":
            continue
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    (folder / _CONFIG).touch()  # from now on it is a demonstration's, also where nothing can be started
    return data


def _settings(data: Path, wanted: Wanted) -> Settings:
    with socket.create_server((LOOPBACK, 0)) as one, socket.create_server((LOOPBACK, 0)) as two:
        ours, theirs = int(one.getsockname()[1]), int(two.getsockname()[1])
    return Settings(
        facility="Demonstration",
        data_dir=data,
        listener=ListenerSettings(port=ours),
        spool=SpoolSettings(disk_reserve_megabytes=256),
        study=StudySettings(quiet_seconds=QUIET_SECONDS),
        peers=(Peer(name=_PACS, ae_title=_PACS_AE, host=LOOPBACK, port=theirs, may_send=True),),
        destinations=(DestinationSettings(name=_PACS, peer=_PACS, results=_RESULTS),),
        routes=_routes(wanted),
    )


def _put_bundles_in_force(service: Service, wanted: Wanted, console: Console) -> None:
    for name in _wanted_bundles(wanted):
        source = wanted.bundles / name
        version = json.loads((source / "configs" / "serving.json").read_text())["version"]
        console.print(f"installing the bundle {name} {version}: its golden outputs are compared")
        who = ("--actor", ACTOR, "--reason", "demonstration")
        service.command("bundles", "install", str(source), *who)
        service.command("bundles", "activate", name, version, *who)
    if wanted.images is None:
        tell.not_shown(console, NOT_SHOWN)


def _waves(studies: Sequence[Study]) -> tuple[tuple[Study, ...], ...]:
    """Return the studies in the order of sending: later visits when the earlier ones have their results."""
    first = tuple(one for one in studies if not one.later_visit)
    later = tuple(one for one in studies if one.later_visit)
    return tuple(wave for wave in (first, later) if wave)


def _send(wave: Sequence[Study], pacs: Orthanc, console: Console) -> None:
    for one in wave:
        send.send(one.files, host=LOOPBACK, port=pacs.dicom_port, ae_title=_PACS_AE)
        pacs.send_study(one.study_uid, _OUR_NAME)
    what = "study of a later visit" if wave[0].later_visit else "study" if len(wave) == 1 else "studies"
    console.print(f"{len(wave)} {what} stored in the PACS, and sent by it to derm-pacs:")


def _accounts(
    studies: Sequence[Study], ended: Mapping[str, CaseLine], settings: Settings, pacs: Orthanc
) -> tuple[CaseAccount, ...]:
    with closing(Database(ledger_url(settings))) as database:
        stories = database.transaction(lambda tx: {uid: reading.story(tx, line.case_id) for uid, line in ended.items()})
    return tuple(account(one, stories[one.study_uid], pacs.instances(one.study_uid)) for one in studies)


def _print(accounts: Sequence[CaseAccount], service: Service, folder: Path) -> Path | None:
    """Have the report of one study printed, of a later visit where there is one; returns the file."""
    with_results = sorted((one for one in accounts if one.results), key=lambda one: not one.since)
    if not with_results:
        return None
    file = folder / "report.pdf"
    case = str(with_results[0].case_id)
    service.command("cases", "pdf", case, "--out", str(file), "--actor", ACTOR, "--reason", "demonstration")
    return file
