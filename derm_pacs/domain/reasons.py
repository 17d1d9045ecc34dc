"""The one list of reasons: code, sentence, remedy, who acts, and the DIMSE status where a peer sees it.

The documentation's table, the CLI's texts and the statuses of the listener are made from this list.
DIMSE statuses: PS3.4 annex B.2.3 (C-STORE) and PS3.7 annex C.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Who(StrEnum):
    """Who can act on a reason."""

    ADMIN = "admin"
    LEAD = "lead"
    SENDER = "sender"
    CLINICIAN = "clinician"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something did not go the straight way."""

    code: str
    """Short, stable, lower case with underscores; written to the ledger and (as 99DERMPACS code) into reports."""
    sentence: str
    """What happened, for a person."""
    remedy: str
    """What that person can do."""
    who: Who
    dimse: int | None = None
    """Status that the sender of a C-STORE sees, where the reason is told over DIMSE."""
    dicom_code: str | None = None
    """Code value (at most 16 characters) of scheme 99DERMPACS where a report states the reason."""


def _reason(
    code: str, sentence: str, remedy: str, who: Who, dimse: int | None = None, dicom_code: str | None = None
) -> Reason:
    return Reason(code=code, sentence=sentence, remedy=remedy, who=who, dimse=dimse, dicom_code=dicom_code)


# What the listener answers (PS3.4 table B.2-1; 0xCA01 to 0xCA0F are ours within "cannot understand").
DISK_RESERVE = _reason(
    "disk_reserve", "The disk reserve of the spool is reached.", "Free disk space or enlarge the volume; the sender tries again.",
    Who.ADMIN, 0xA700,
)
JOURNAL_FAILED = _reason(
    "journal_failed", "The spool could not be written or synced.", "Look at the disk and at the file system's log.", Who.ADMIN, 0xA700,
)
CLASS_MISMATCH = _reason(
    "class_mismatch", "SOP Class UID of the data set is not that of the request.", "Correct the sender.", Who.SENDER, 0xA900,
)
UID_MISSING = _reason(
    "uid_missing", "A mandatory UID is missing, illegal, or not that of the request.", "Correct the sender.", Who.SENDER, 0xA900,
)
NOT_DICOM = _reason(
    "not_dicom", "The data set cannot be parsed.", "Send the object again; if it fails again, repair it at its source.", Who.SENDER, 0xCA01,
)
HEADER_TOO_LARGE = _reason(
    "header_too_large", "The header passes the limit of bytes, elements or nesting.", "Correct the sender; the limits are fixed.",
    Who.SENDER, 0xCA02,
)
NOT_AUTHORISED = _reason(
    "not_authorised", "This AE title may not send objects here.", "Set may_send of the peer in the settings, or correct the sender.",
    Who.ADMIN, 0x0124,
)
LISTENER_FAILED = _reason(
    "listener_failed", "The listener met an error of its own; nothing was stored.", "Tell the vendor, with the listener's log.",
    Who.VENDOR, 0x0110,
)

# Why a case is rejected or held.
UNREADABLE = _reason(
    "unreadable", "The object is stored but its header cannot be read.", "Repair the object at its source and send it again.",
    Who.SENDER, dicom_code="NA-UNREADABLE",
)
UNDECODABLE = _reason(
    "undecodable", "The pixel data cannot be decoded.", "Repair the image at its source and send it again.",
    Who.SENDER, dicom_code="NA-UNDECODABLE",
)
EMPTY_PIXELS = _reason(
    "empty_pixels", "The image has no pixel data.", "Send the image with its pixel data.", Who.SENDER, dicom_code="NA-NOPIXELS",
)
IMAGE_TOO_LARGE = _reason(
    "image_too_large", "The decoded image passes the limit of memory.", "Send a smaller image or raise analysis.max_megapixels.",
    Who.ADMIN, dicom_code="NA-TOOLARGE",
)
TOO_MANY_FRAMES = _reason(
    "too_many_frames", "The image has more frames than may be analysed.", "Send fewer frames or raise analysis.max_frames.",
    Who.ADMIN, dicom_code="NA-FRAMES",
)
NO_ROUTE = _reason(
    "no_route", "No route names a bundle for these images.", "Add a route for this SOP class and modality, or do not send such images.",
    Who.LEAD, dicom_code="NA-NOROUTE",
)
NO_ACTIVE_BUNDLE = _reason(
    "no_active_bundle", "The route names a bundle of which no version is active.", "Activate a version: derm-pacs bundles activate.",
    Who.LEAD, dicom_code="NA-NOBUNDLE",
)
NOTHING_TO_ANALYSE = _reason(
    "nothing_to_analyse", "The study holds no image that can be analysed.", "Send the images of the study.", Who.SENDER,
)
POOR_QUALITY_BLUR = _reason(
    "poor_quality_blur", "The image is not sharp enough.", "Take the image again, in focus.", Who.CLINICIAN, dicom_code="NA-BLUR",
)
POOR_QUALITY_DARK = _reason(
    "poor_quality_dark", "The image is too dark.", "Take the image again with more light.", Who.CLINICIAN, dicom_code="NA-DARK",
)
POOR_QUALITY_CONTRAST = _reason(
    "poor_quality_contrast", "The image has too little contrast.", "Take the image again.", Who.CLINICIAN, dicom_code="NA-CONTRAST",
)
POOR_QUALITY_BRIGHT = _reason(
    "poor_quality_bright", "The image is over-exposed.", "Take the image again with less light.", Who.CLINICIAN, dicom_code="NA-BRIGHT",
)
NO_SKIN = _reason(
    "no_skin", "The image shows too little that has the colour of skin.", "Send an image of the skin, taken in white light.",
    Who.CLINICIAN, dicom_code="NA-NOSKIN",
)
OUT_OF_DISTRIBUTION = _reason(
    "out_of_distribution", "The image is unlike those that the bundle has learned from.",
    "Look at the image; where it is one that the bundle is meant for, tell the bundle's maker.", Who.CLINICIAN, dicom_code="NA-UNLIKE",
)
TOO_SMALL = _reason(
    "too_small", "The image has fewer pixels than the bundle needs.", "Send the image in its full resolution.",
    Who.CLINICIAN, dicom_code="NA-TOOSMALL",
)
WRONG_COLOUR = _reason(
    "wrong_colour", "The image is not of the colour that the bundle reads.", "Route this kind of image to another bundle.",
    Who.LEAD, dicom_code="NA-COLOUR",
)
BURNED_IN = _reason(
    "burned_in", "The image says that text is burned into its pixels.", "Send the image without burned-in text.",
    Who.CLINICIAN, dicom_code="NA-BURNEDIN",
)
NO_CROP = _reason(
    "no_crop", "No part of the image shows enough skin and lesion.", "Take the image again, nearer to the lesion and with less around the skin.",
    Who.CLINICIAN, dicom_code="NA-NOCROP",
)
CHAIN_IMPOSSIBLE = _reason(
    "chain_impossible", "The route lets a bundle read crops that cannot be found or read.",
    "Correct reads_crops_of of the route, or activate versions of which one finds crops and the other draws nothing; then retry the case.",
    Who.LEAD,
)
DEMONSTRATION_BUNDLE = _reason(
    "demonstration_bundle", "A clinical route names a bundle of grade demonstration; nothing is analysed.",
    "Take the bundle out of the route, or set clinical = false on a route that no patient's images take; then retry the case.", Who.LEAD,
)
TWO_PATIENTS = _reason(
    "two_patients", "The study's images name two patients; nothing is sent.",
    "Correct the patient at the source and send the study again, or cancel the case.", Who.ADMIN,
)
TWO_CONTENTS = _reason(
    "two_contents", "One SOP Instance UID came with two different pixel contents; nothing is sent.",
    "Find out which content is right; send it under a new SOP Instance UID and cancel this case.", Who.ADMIN,
)
BUNDLE_REFUSED = _reason(
    "bundle_refused", "The bundle is refused.", "Correct what the detail names, or ask the bundle's maker.", Who.LEAD,
)
BUNDLE_CHANGED = _reason(
    "bundle_changed", "The bundle's files are not those that were installed.",
    "Find out who changed the folder, then install the same version again.", Who.ADMIN,
)
BUNDLE_UNKNOWN = _reason(
    "bundle_unknown", "No such bundle, version or operating point is installed.", "Look at derm-pacs bundles list.", Who.LEAD,
)
RUNNER_FAILED = _reason(
    "runner_failed", "The bundle's process ended, hung or answered wrongly.",
    "Retry the case; if it fails again, activate the former version (derm-pacs bundles activate) and tell the maker.", Who.LEAD,
)
RESULT_INVALID = _reason(
    "result_invalid", "A composed object failed its own check and was not sent.", "Tell the vendor; the case keeps the findings.", Who.VENDOR,
)
DEFECT = _reason(
    "defect", "The program met an error of its own.", "Retry the case; tell the vendor, with the traceback of `cases show`.", Who.VENDOR,
)
SPOOL_MISSING = _reason(
    "spool_missing", "The spool does not hold the object that the ledger names.", "Look at the spool's disk; restore it from backup.",
    Who.ADMIN,
)

# Deliveries.
PEER_AWAY = _reason(
    "peer_away", "The destination does not answer.", "Look at the network and at the destination; the delivery is tried again.", Who.ADMIN,
)
PEER_BUSY = _reason(
    "peer_busy", "The destination is out of resources.", "Look at the destination's disk; the delivery is tried again.", Who.ADMIN,
)
PEER_REFUSES = _reason(
    "peer_refuses", "The destination rejects our association.", "Make our AE title known to the destination.", Who.ADMIN,
)
ACCESS_DENIED = _reason(
    "access_denied", "The destination does not accept our credentials.",
    "Correct auth, user and secret of the peer in the settings, or our rights at the destination; the delivery is tried again.",
    Who.ADMIN,
)
SECRET_UNREADABLE = _reason(
    "secret_unreadable", "The secret for the destination cannot be read.",
    "Look at secret_file of the peer in the settings; the delivery is tried again.", Who.ADMIN,
)
CERTIFICATE_UNTRUSTED = _reason(
    "certificate_untrusted", "The destination's certificate is not trusted; nothing was sent.",
    "Look at the certificate's names, dates and issuer, and at ca_file of the peer in the settings; the delivery is tried again.", Who.ADMIN,
)
DESTINATION_GONE = _reason(
    "destination_gone", "The settings no longer name the destination.",
    "Name it in the settings again, then retry the case; or cancel the case.", Who.ADMIN,
)
NO_SERVICE = _reason(
    "no_service", "At the destination's address there is no such service.", "Correct url of the peer in the settings, then retry the case.",
    Who.ADMIN,
)
NO_CONTEXT = _reason(
    "no_context", "The destination does not accept this kind of object.",
    "Let the destination accept the SOP class, or choose another result profile.", Who.ADMIN,
)
OBJECT_REFUSED = _reason(
    "object_refused", "The destination refused the object for good.", "Look at the status and at the destination's log.", Who.ADMIN,
)
NOT_COMMITTED = _reason(
    "not_committed", "The destination says that it does not keep the object safely.", "Look at the destination; then retry the case.",
    Who.ADMIN,
)
NO_COMMITMENT = _reason(
    "no_commitment", "The destination offers no storage commitment.", "Nothing to do; the case ends unconfirmed.", Who.ADMIN,
)
NO_QUERY = _reason(
    "no_query", "The destination cannot be asked what it has (C-FIND or QIDO-RS).", "Nothing to do; the case ends unconfirmed.", Who.ADMIN,
)
COMMITMENT_OVERDUE = _reason(
    "commitment_overdue", "The destination did not report on storage commitment in time.",
    "Look whether the destination can open an association to our AE title.", Who.ADMIN,
)
NOT_LISTED = _reason(
    "not_listed", "Asked for our objects, the destination does not list every one of them, though it acknowledged them.",
    "Look whether the objects are at the destination; then retry the case, which sends them again.", Who.ADMIN,
)
PROOF_NOT_ASKED = _reason(
    "proof_not_asked", "By the settings the destination is not asked whether it has the objects.",
    "Nothing to do; to have it asked, set proof of the destination.", Who.ADMIN,
)
DATABASE_AWAY = _reason(
    "database_away", "The database does not answer.", "Look at PostgreSQL; receiving goes on meanwhile.", Who.ADMIN,
)
DEADLINE = _reason(
    "deadline", "The step was tried until its deadline.", "Mend what the last error names, then retry the case.", Who.ADMIN,
)

_ALL = tuple(value for value in list(globals().values()) if isinstance(value, Reason))
REASONS: Mapping[str, Reason] = MappingProxyType({reason.code: reason for reason in _ALL})
"""Every reason by its code."""
