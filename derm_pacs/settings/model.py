"""The settings as frozen models: the one source of the example file, the reference page and the errors.

Every field says in one sentence what it is for; `Unit` beside it says what its number counts. What the models
cannot express about one field they check about several in `relations.py`.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from derm_pacs.domain.bundle import Name
from derm_pacs.domain.classes import ANALYSABLE
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.routing import Route
from derm_pacs.domain.study import Quiet
from derm_pacs.settings import relations, secrets


@dataclass(frozen=True, slots=True)
class Unit:
    """What the number of a field counts, for the reference page."""

    name: str


def _ae_title(value: str) -> str:
    # VR AE, PS3.5 table 6.2-1: default character repertoire without backslash and control characters, not only
    # spaces; spaces at the ends are not significant, so none are taken here.
    if not 1 <= len(value) <= 16:
        raise ValueError("an AE title has 1 to 16 characters; shorten it")
    if value != value.strip() or not all(" " <= one <= "~" and one != "\\" for one in value):
        raise ValueError("an AE title has printable ASCII characters, no backslash, no space at its ends; correct it")
    return value


def _uid(value: str) -> str:
    if not is_legal_uid(value):
        raise ValueError(f"{value!r} is not a legal UID (PS3.5 section 9.1); correct it")
    return value


def _analysable(value: str) -> str:
    if value not in {one.uid for one in ANALYSABLE}:
        known = ", ".join(f"{one.uid} ({one.name})" for one in ANALYSABLE)
        raise ValueError(f"{value!r} is a SOP class that is never analysed; write one of: {known}")
    return value


def _modality(value: str) -> str:
    if not re.fullmatch(r"[A-Z0-9_ ]{1,16}", value):
        raise ValueError(f"{value!r} is not a value of Modality (0008,0060); write it as the images have it, such as \"XC\"")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is not a time zone of the IANA list; write one such as \"Europe/Berlin\"") from error
    return value


def _absolute(value: Path) -> Path:
    if not value.is_absolute() or ".." in value.parts:
        # The value stays out of the message: it may be a password that was written in place of its file.
        raise ValueError("the path is not absolute; write it from the root on, without \"..\"")
    return value


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _single(values: tuple[str, ...]) -> tuple[str, ...]:
    for one in values:
        if values.count(one) > 1:
            raise ValueError(f"{one!r} stands here twice; name it once")
    return values


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(min_length=1, max_length=200)]
AeTitle = Annotated[str, Strict(), AfterValidator(_ae_title)]
Uid = Annotated[str, Strict(), AfterValidator(_uid)]
ImageClass = Annotated[Uid, AfterValidator(_analysable)]
Modality = Annotated[str, Strict(), AfterValidator(_modality)]
Zone = Annotated[str, Strict(), AfterValidator(_zone)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Label = Annotated[str, Strict(), Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
DatabaseUrl = Annotated[str, Strict(), AfterValidator(secrets.without_password)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DatabaseSettings(_Section):
    """Where the ledger lies; without `url` an embedded PostgreSQL runs below `data_dir`."""

    url: Annotated[DatabaseUrl | None, Field(description="URL of a PostgreSQL server, version 14 or later, without password; absent: the embedded server.")] = None
    password_file: Annotated[AbsolutePath | None, Field(description="File that holds the password and that not every user of the machine can read; DERM_PACS_DATABASE_PASSWORD in the environment goes before it.")] = None
    run_as: Annotated[Text, Field(description="System user of the embedded server when the service is started by root, as PostgreSQL refuses to run as root.")] = "derm-pacs"


class ListenerSettings(_Section):
    """The DICOM listener."""

    ae_title: Annotated[AeTitle, Field(description="Our AE title, called by senders and calling at destinations.")] = "DERMPACS"
    host: Annotated[Text, Field(description="Address to listen on; \"0.0.0.0\" for every address of the machine.")] = "127.0.0.1"
    port: Annotated[Whole, Field(ge=1, le=65535, description="TCP port to listen on.")] = 11112
    processes: Annotated[Whole, Field(ge=1, le=32, description="Listener processes that share the port.")] = 1
    maximum_associations: Annotated[Whole, Field(ge=1, le=500, description="Associations that each listener process serves at the same time; more are rejected for the moment.")] = 20


class SpoolSettings(_Section):
    """The append-only store of received objects."""

    segment_megabytes: Annotated[Whole, Unit("MB"), Field(ge=1, le=65536, description="Size at which a segment of the spool is full and the next one begins.")] = 256
    disk_reserve_megabytes: Annotated[Whole, Unit("MB"), Field(ge=0, description="Free disk space at which the listener takes nothing more (status 0xA700).")] = 2048


class StudySettings(_Section):
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


class AnalysisSettings(_Section):
    """Limits of a bundle's process."""

    timeout_seconds: Annotated[Number, Unit("seconds"), Field(gt=0, le=86400, description="Time that one bundle has for one image before its process is ended.")] = 120.0
    max_megapixels: Annotated[Number, Unit("million pixels"), Field(gt=0, le=10000, description="Decoded size of an image, all frames together, above which it is not analysed.")] = 300.0
    max_frames: Annotated[Whole, Unit("frames"), Field(ge=1, le=10000, description="Number of frames above which an image is not analysed.")] = 16
    threads: Annotated[Whole, Unit("threads"), Field(ge=1, le=256, description="Threads of computation of each bundle's process.")] = 1


class WorkersSettings(_Section):
    """The processes that analyse, compose and deliver."""

    processes: Annotated[Whole, Field(ge=1, le=64, description="Worker processes.")] = 1


class DeliverySettings(_Section):
    """How long a delivery is tried and waited for."""

    deadline_minutes: Annotated[Number, Unit("minutes"), Field(gt=0, le=43200, description="Time for which a destination that does not answer is tried before the case is held.")] = 1440.0
    commitment_minutes: Annotated[Number, Unit("minutes"), Field(gt=0, le=43200, description="Time in which a destination must report on storage commitment before the delivery counts as unprovable.")] = 30.0


class RetentionSettings(_Section):
    """How long things are kept."""

    spool_days: Annotated[Whole, Unit("days"), Field(ge=1, description="Days after the last event of a case for which its received objects are kept in the spool.")] = 30
    queue_hours: Annotated[Whole, Unit("hours"), Field(ge=1, description="Hours for which finished jobs of the queue are kept.")] = 72


class Peer(_Section):
    """A DICOM application that we know."""

    name: Annotated[Label, Field(description="Short name of the peer, for destinations and commands.")]
    ae_title: Annotated[AeTitle, Field(description="The peer's AE title.")]
    host: Annotated[str, Strict(), Field(max_length=253, description="Host name or address; absent for a device that only sends.")] = ""
    port: Annotated[Whole, Field(ge=0, le=65535, description="TCP port; absent for a device that only sends.")] = 0
    may_send: Annotated[Flag, Field(description="Whether associations that this AE title opens are accepted.")] = False

    @model_validator(mode="after")
    def _address_is_whole(self) -> "Peer":
        if bool(self.host) != bool(self.port):
            raise ValueError("host and port go together; write both, or neither for a device that only sends")
        return self

    @property
    def listens(self) -> bool:
        """Whether we can open an association to the peer."""
        return bool(self.host)


class DestinationSettings(_Section):
    """A place to which results go."""

    name: Annotated[Label, Field(description="Short name of the destination, for routes.")]
    peer: Annotated[Label, Field(description="Name of the peer that receives the results.")]
    commitment: Annotated[Flag, Field(description="Whether the destination is asked for storage commitment.")] = True
    answer_refusals: Annotated[Flag, Field(description="Whether a study that was not analysed is answered with a report that says why.")] = True


class RouteSettings(_Section):
    """Which bundles read which images; the first route that takes an image decides."""

    name: Annotated[Label, Field(description="Short name of the route.")]
    sop_classes: Annotated[tuple[ImageClass, ...], BeforeValidator(_as_tuple), AfterValidator(_single), Field(description="SOP Class UIDs that the route takes; empty takes every class that can be analysed.")] = ()
    modalities: Annotated[tuple[Modality, ...], BeforeValidator(_as_tuple), AfterValidator(_single), Field(description="Values of Modality (0008,0060) that the route takes; empty takes every value.")] = ()
    bundles: Annotated[tuple[Name, ...], BeforeValidator(_as_tuple), AfterValidator(_single), Field(min_length=1, description="Names of the bundles that read the images, in this order.")]
    destinations: Annotated[tuple[Label, ...], BeforeValidator(_as_tuple), AfterValidator(_single), Field(min_length=1, description="Names of the destinations for the results.")]

    def route(self) -> Route:
        """Return the route as the domain's value."""
        return Route(
            name=self.name, sop_classes=frozenset(self.sop_classes), modalities=frozenset(self.modalities),
            bundles=self.bundles, destinations=self.destinations,
        )


class Settings(_Section):
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
    delivery: Annotated[DeliverySettings, Field(description="How long a delivery is tried and waited for.")] = DeliverySettings()
    retention: Annotated[RetentionSettings, Field(description="How long things are kept.")] = RetentionSettings()
    peers: Annotated[tuple[Peer, ...], BeforeValidator(_as_tuple), Field(description="The DICOM applications that we know.")] = ()
    destinations: Annotated[tuple[DestinationSettings, ...], BeforeValidator(_as_tuple), Field(description="Where results go.")] = ()
    routes: Annotated[tuple[RouteSettings, ...], BeforeValidator(_as_tuple), Field(description="Which bundles read which images.")] = ()

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

    def peer(self, name: str) -> Peer:
        """Return the peer of that name; raises `KeyError` naming the known ones."""
        for one in self.peers:
            if one.name == name:
                return one
        raise KeyError(f"no peer is named {name!r}; known: {', '.join(one.name for one in self.peers) or 'none'}")

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
        return secrets.with_password(self.database.url, secrets.database_password(self.database.password_file))

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
        plain["database"]["password"] = secrets.source_of_database_password(self.database.password_file)
        return plain
