"""The settings as frozen models: the one source of the example file, the reference page and the errors.

Every field says in one sentence what it is for; `Unit` beside it says what its number counts. What the models
cannot express about one field they check about several in `relations.py`.
"""

import uuid
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from derm_pacs.domain.bundle import Name
from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import SAYS_EVERYTHING, Edition, SegGeometry, SegKind, SrClass
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.routing import Route
from derm_pacs.domain.study import Quiet
from derm_pacs.domain.visits import Grouping
from derm_pacs.settings import relations, secrets
from derm_pacs.settings.kinds import (
    AbsolutePath,
    AeTitle,
    DatabaseUrl,
    Flag,
    ImageClass,
    Label,
    Modality,
    Number,
    Section,
    Text,
    Uid,
    Unit,
    Whole,
    Zone,
    as_tuple,
    single,
)
from derm_pacs.settings.peers import Peer, RecordPeer, WebPeer


class DatabaseSettings(Section):
    """Where the ledger lies; without `url` an embedded PostgreSQL runs below `data_dir`."""

    url: Annotated[DatabaseUrl | None, Field(description="URL of a PostgreSQL server, version 14 or later, without password; absent: the embedded server.")] = None
    password_file: Annotated[AbsolutePath | None, Field(description="File that holds the password and that not every user of the machine can read; DERM_PACS_DATABASE_PASSWORD in the environment goes before it.")] = None
    run_as: Annotated[Text, Field(description="System user of the embedded server when the service is started by root, as PostgreSQL refuses to run as root.")] = "derm-pacs"


class ListenerSettings(Section):
    """The DICOM listener."""

    ae_title: Annotated[AeTitle, Field(description="Our AE title, called by senders and calling at destinations.")] = "DERMPACS"
    host: Annotated[Text, Field(description="Address to listen on; \"0.0.0.0\" for every address of the machine.")] = "127.0.0.1"
    port: Annotated[Whole, Field(ge=1, le=65535, description="TCP port to listen on.")] = 11112
    processes: Annotated[Whole, Field(ge=1, le=32, description="Listener processes that share the port.")] = 1
    maximum_associations: Annotated[Whole, Field(ge=1, le=500, description="Associations that each listener process serves at the same time; more are rejected for the moment.")] = 20


class SpoolSettings(Section):
    """The append-only store of received objects."""

    segment_megabytes: Annotated[Whole, Unit("MB"), Field(ge=1, le=65536, description="Size at which a segment of the spool is full and the next one begins.")] = 256
    disk_reserve_megabytes: Annotated[Whole, Unit("MB"), Field(ge=0, description="Free disk space at which the listener takes nothing more (status 0xA700).")] = 2048


class StudySettings(Section):
    """When a study counts as complete."""

    quiet_seconds: Annotated[Number, Unit("seconds"), Field(gt=0, le=86400, description="Time without a new image after which the study is complete.")] = 60.0
    cap_seconds: Annotated[Number, Unit("seconds"), Field(gt=0, le=604800, description="Time since the first image after which the study is closed even if images go on coming.")] = 3600.0

    @model_validator(mode="after")
    def _cap_is_not_below_quiet(self) -> "StudySettings":
        if self.cap_seconds < self.quiet_seconds:
            raise ValueError("cap_seconds is below quiet_seconds, so no study would ever be quiet; raise cap_seconds")
        return self

    def quiet(self) -> Quiet:
        """Return both times as the domain's value."""
        return Quiet(quiet=timedelta(seconds=self.quiet_seconds), cap=timedelta(seconds=self.cap_seconds))


class AnalysisSettings(Section):
    """Limits of a bundle's process."""

    timeout_seconds: Annotated[Number, Unit("seconds"), Field(gt=0, le=86400, description="Time that one bundle has for one image before its process is ended.")] = 120.0
    max_megapixels: Annotated[Number, Unit("million pixels"), Field(gt=0, le=10000, description="Decoded size of an image, all frames together, above which it is not analysed.")] = 300.0
    max_frames: Annotated[Whole, Unit("frames"), Field(ge=1, le=10000, description="Number of frames above which an image is not analysed.")] = 16
    threads: Annotated[Whole, Unit("threads"), Field(ge=1, le=256, description="Threads of computation of each bundle's process.")] = 1


class WorkersSettings(Section):
    """The processes that analyse, compose and deliver."""

    processes: Annotated[Whole, Field(ge=1, le=64, description="Worker processes.")] = 1


class LesionSettings(Section):
    """Which images show the same lesion."""

    grouping: Annotated[Grouping, Field(description="By what images are said to show one lesion, within a study and from visit to visit: tracking (their own tracking UID alone), or site (also the same patient, anatomic site and laterality).")] = Grouping.TRACKING


class DeliverySettings(Section):
    """How long a delivery is tried and waited for."""

    deadline_minutes: Annotated[Number, Unit("minutes"), Field(gt=0, le=43200, description="Time for which a destination that does not answer is tried before the case is held.")] = 1440.0
    commitment_minutes: Annotated[Number, Unit("minutes"), Field(gt=0, le=43200, description="Time in which a destination must report on storage commitment before the delivery counts as unprovable.")] = 30.0


class RetentionSettings(Section):
    """How long things are kept."""

    spool_days: Annotated[Whole, Unit("days"), Field(ge=1, description="Days after the last event of a case for which its received objects are kept in the spool.")] = 30
    queue_hours: Annotated[Whole, Unit("hours"), Field(ge=1, description="Hours for which finished jobs of the queue are kept.")] = 72


class ProofBy(StrEnum):
    """How a DICOM or DICOMweb destination is made to prove that it has our objects."""

    COMMITMENT = "commitment"
    """Storage commitment; where there is none, a query."""
    QUERY = "query"
    """C-FIND or QIDO-RS for our objects: that they are there, not that they are kept."""
    NONE = "none"


class DestinationSettings(Section):
    """A place to which results go, and in which forms."""

    name: Annotated[Label, Field(description="Short name of the destination, for routes.")]
    peer: Annotated[Label, Field(description="Name of the peer, web peer or record peer that receives the results.")]
    results: Annotated[tuple[Form, ...], BeforeValidator(as_tuple), AfterValidator(single), Field(min_length=1, description="Forms of the results: report_sr (everything, as SR), overlay_sr (contour and a few figures, as SR), seg, picture (Secondary Capture), presentation (colour softcopy presentation state), pdf; message (HL7) for a record peer, alone. What a peer does not take is left out, and the picture goes in its place.")] = (Form.REPORT_SR, Form.OVERLAY_SR, Form.SEG, Form.PICTURE)
    sr: Annotated[SrClass, Field(description="SOP class of the SRs; comprehensive also where the peer does not take comprehensive_3d.")] = SrClass.COMPREHENSIVE_3D
    seg: Annotated[SegKind, Field(description="How masks are written; binary also where the peer does not take labelmap.")] = SegKind.BINARY
    seg_geometry: Annotated[SegGeometry, Field(description="What a SEG says of geometry where its image has none: placeholder (without which OHIF goes black; nothing is measured from it), or none.")] = SegGeometry.PLACEHOLDER
    proof: Annotated[ProofBy, Field(description="What proves that the destination has the objects: commitment (and a query where the peer offers none), query (C-FIND or QIDO-RS), none; a web peer is queried, and a record peer's acknowledgement is its proof.")] = ProofBy.COMMITMENT
    answer_refusals: Annotated[Flag, Field(description="Whether a study that was not analysed is answered with a report that says why.")] = True

    @model_validator(mode="after")
    def _results_say_everything(self) -> "DestinationSettings":
        if Form.MESSAGE in self.results and len(self.results) > 1:
            raise ValueError("results: the message goes alone, to a record peer; make a destination of its own for it")
        if not SAYS_EVERYTHING & set(self.results):
            raise ValueError("results: none of these says the whole result; add \"report_sr\", \"picture\" or \"pdf\"")
        return self

    def edition(self) -> Edition:
        """Return the forms in which the destination wants results, before it was asked what it takes."""
        return Edition(forms=frozenset(self.results), sr=self.sr, seg=self.seg, seg_geometry=self.seg_geometry)


class RouteSettings(Section):
    """Which bundles read which images; the first route that takes an image decides."""

    name: Annotated[Label, Field(description="Short name of the route.")]
    sop_classes: Annotated[tuple[ImageClass, ...], BeforeValidator(as_tuple), AfterValidator(single), Field(description="SOP Class UIDs that the route takes; empty takes every class that can be analysed.")] = ()
    modalities: Annotated[tuple[Modality, ...], BeforeValidator(as_tuple), AfterValidator(single), Field(description="Values of Modality (0008,0060) that the route takes; empty takes every value.")] = ()
    bundles: Annotated[tuple[Name, ...], BeforeValidator(as_tuple), AfterValidator(single), Field(min_length=1, description="Names of the bundles that read the images, in this order.")]
    destinations: Annotated[tuple[Label, ...], BeforeValidator(as_tuple), AfterValidator(single), Field(min_length=1, description="Names of the destinations for the results.")]
    reads_crops_of: Annotated[dict[Name, Name], Field(description="Bundles of the route that read crops of the image instead of the whole, each with the earlier bundle of the route that finds them, such as { clinical_melanoma_resnet50 = \"skin_lesion_deeplabv3plus\" }.")] = {}  # noqa: RUF012 pydantic gives each entry a copy
    clinical: Annotated[Flag, Field(description="Whether the images may be of patients. A bundle of grade demonstration reads only routes that are not clinical.")] = True

    def route(self) -> Route:
        """Return the route as the domain's value."""
        return Route(
            name=self.name, sop_classes=frozenset(self.sop_classes), modalities=frozenset(self.modalities),
            bundles=self.bundles, destinations=self.destinations, reads_crops_of=self.reads_crops_of, clinical=self.clinical,
        )


class Settings(Section):
    """The whole file."""

    facility: Annotated[Text, Field(description="Name of the facility, as it stands in reports.")] = "Default"
    timezone: Annotated[Zone, Field(description="Time zone of the facility (IANA name), in which times are shown and written into results.")] = "UTC"
    data_dir: Annotated[AbsolutePath, Field(description="Folder below which everything lies that the service keeps.")] = Path("/var/lib/derm-pacs")
    # The alias stands outside of Annotated, since type checkers read it only there.
    installation_uid_: Uid | None = Field(default=None, alias="installation_uid", description="UID of this installation, from which all our UIDs come; absent: made once and kept in `data_dir/installation-uid`.")
    database: Annotated[DatabaseSettings, Field(description="Where the ledger lies.")] = DatabaseSettings()
    listener: Annotated[ListenerSettings, Field(description="The DICOM listener.")] = ListenerSettings()
    spool: Annotated[SpoolSettings, Field(description="The append-only store of received objects.")] = SpoolSettings()
    study: Annotated[StudySettings, Field(description="When a study counts as complete.")] = StudySettings()
    analysis: Annotated[AnalysisSettings, Field(description="Limits of a bundle's process.")] = AnalysisSettings()
    workers: Annotated[WorkersSettings, Field(description="The processes that analyse, compose and deliver.")] = WorkersSettings()
    lesions: Annotated[LesionSettings, Field(description="Which images show the same lesion.")] = LesionSettings()
    delivery: Annotated[DeliverySettings, Field(description="How long a delivery is tried and waited for.")] = DeliverySettings()
    retention: Annotated[RetentionSettings, Field(description="How long things are kept.")] = RetentionSettings()
    peers: Annotated[tuple[Peer, ...], BeforeValidator(as_tuple), Field(description="The DICOM applications that we know.")] = ()
    web_peers: Annotated[tuple[WebPeer, ...], BeforeValidator(as_tuple), Field(description="The PACS that are spoken to by DICOMweb.")] = ()
    record_peers: Annotated[tuple[RecordPeer, ...], BeforeValidator(as_tuple), Field(description="The record systems that take HL7 v2 messages.")] = ()
    destinations: Annotated[tuple[DestinationSettings, ...], BeforeValidator(as_tuple), Field(description="Where results go.")] = ()
    routes: Annotated[tuple[RouteSettings, ...], BeforeValidator(as_tuple), Field(description="Which bundles read which images.")] = ()

    @model_validator(mode="after")
    def _parts_agree(self) -> "Settings":
        relations.check(self)
        return self

    @property
    def spool_dir(self) -> Path:
        """Folder with one folder of segments a listener process."""
        return self.data_dir / "spool"

    @property
    def bundles_dir(self) -> Path:
        """Folder of the installed bundles."""
        return self.data_dir / "bundles"

    @property
    def results_dir(self) -> Path:
        """Folder of the composed objects."""
        return self.data_dir / "results"

    @property
    def postgres_dir(self) -> Path:
        """Folder of the embedded PostgreSQL."""
        return self.data_dir / "postgres"

    @property
    def run_dir(self) -> Path:
        """Folder of sockets and locks of the running service."""
        return self.data_dir / "run"

    @property
    def zone(self) -> ZoneInfo:
        """The facility's time zone."""
        return ZoneInfo(self.timezone)

    def routing(self) -> tuple[Route, ...]:
        """Return the routes as the domain's values, in order."""
        return tuple(one.route() for one in self.routes)

    @property
    def every_peer(self) -> tuple[Peer | WebPeer | RecordPeer, ...]:
        """The peers of all three kinds."""
        return (*self.peers, *self.web_peers, *self.record_peers)

    def peer(self, name: str) -> Peer | WebPeer | RecordPeer:
        """Return the peer of that name, of whatever kind; raises `KeyError` naming the known ones."""
        for one in self.every_peer:
            if one.name == name:
                return one
        raise KeyError(f"no peer is named {name!r}; known: {', '.join(one.name for one in self.every_peer) or 'none'}")

    def destination(self, name: str) -> DestinationSettings:
        """Return the destination of that name; raises `KeyError` naming the known ones."""
        for one in self.destinations:
            if one.name == name:
                return one
        raise KeyError(
            f"no destination is named {name!r}; known: {', '.join(one.name for one in self.destinations) or 'none'}"
        )

    def database_url(self) -> str | None:
        """Return the URL with the password from environment or file, or None for the embedded server.

        Raises `secrets.SecretError` where the password file cannot be used. The value is for the driver only;
        what is printed comes from `masked`.
        """
        if self.database.url is None:
            return None
        return secrets.with_password(self.database.url, secrets.secret(secrets.DATABASE_PASSWORD, self.database.password_file))

    def installation_uid(self) -> str:
        """Return this installation's UID; where the settings name none it is made once and kept in `data_dir`.

        Raises `ValueError` where the kept file holds no legal UID, `OSError` where it cannot be read or written.
        """
        if self.installation_uid_ is not None:
            return self.installation_uid_
        kept = self.data_dir / "installation-uid"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        secrets.write_once(kept, f"2.25.{uuid.uuid4().int}\n")
        uid = kept.read_text(encoding="ascii").strip()
        if not is_legal_uid(uid):
            raise ValueError(f"{kept}: {uid!r} is not a legal UID; restore the file, our UIDs come from it")
        return uid

    def masked(self) -> dict[str, Any]:
        """Return everything as plain values for printing; of a secret only whence it comes is told."""
        plain = self.model_dump(mode="json", by_alias=True)
        plain["database"]["password"] = secrets.source(secrets.DATABASE_PASSWORD, self.database.password_file)
        for shown, peer in zip(plain["web_peers"], self.web_peers, strict=True):
            shown["secret"] = secrets.source(peer.secret_variable, peer.secret_file)
        return plain
