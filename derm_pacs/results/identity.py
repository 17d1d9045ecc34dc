"""Names, numbers and times of the objects of one revision; all follow from the inputs, none from the clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from derm_pacs.domain.composed import Form, Identity, Reference
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import Run
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.results.arrange import Arrangement, LesionTold

COMPOSER_VERSION = "2"
"""Raised whenever the same inputs would give other bytes than before."""

PRODUCT_VERSION = version("derm-pacs")
_LIBRARIES = tuple(
    version(name)
    for name in (
        "highdicom", "pydicom", "pylibjpeg-rle",  # write objects
        "numpy", "scikit-image", "pillow", "pymupdf-fonts", "reportlab",  # measure, draw, typeset
        "pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "python-gdcm",  # decode what a picture shows
    )
)
"""Versions of what the bytes depend on: another one may give other bytes, which need other UIDs."""

_SERIES_OF = {
    Form.OVERLAY_SR: 1, Form.REPORT_SR: 2, Form.PDF: 3, Form.PICTURE: 101, Form.SEG: 301, Form.PRESENTATION: 501,
}
_FURTHER_OVERLAYS = 700
_SERIES_A_REVISION = 1000
_TITLE_OF = {
    Form.OVERLAY_SR: "AI overlay", Form.REPORT_SR: "AI report", Form.SEG: "AI outline",
    Form.PICTURE: "AI picture", Form.PRESENTATION: "AI contour", Form.PDF: "AI report, PDF",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What every object of one revision is called."""

    identity: Identity
    edition: Edition
    made_at: datetime
    """`Identity.made_at` in the source's own offset where it names one, so that copied study times and ours agree."""
    parts: tuple[str, ...]
    synthetic: bool
    demonstration: bool

    def instance_uid(self, form: Form, about: Sequence[str], frame: int) -> str:
        """Return the SOP Instance UID of an object of `form` about these images; `frame` is 0 for all frames."""
        return derived_uid([*self.parts, "instance", form, self.edition.variant(form), str(frame), *about])

    def series_uid(self, form: Form, about: Sequence[str], frame: int) -> str:
        """Return the Series Instance UID: one an object, since viewers open only a series' first SEG or SR."""
        scope = [] if form in (Form.REPORT_SR, Form.PDF) else [str(frame), *about]
        return derived_uid([*self.parts, "series", form, self.edition.variant(form), *scope])

    def series_number(self, form: Form, ordinal: int) -> int:
        """Return the series number: from 9001 on, away from the modality's, a thousand for each revision.

        The first overlay leads, report and PDF follow, then pictures, outlines and presentation states, each from a
        hundred of its own on; overlays of further images come behind them.
        """
        further = _FURTHER_OVERLAYS if form is Form.OVERLAY_SR and ordinal else 0
        return 9000 + _SERIES_A_REVISION * (self.identity.revision - 1) + _SERIES_OF[form] + ordinal + further

    def series_description(self, form: Form, lesion: int | None = None) -> str:
        """Return the line that a clinician sees first, at most 64 characters; `lesion` is the number of the one lesion."""
        title = _TITLE_OF[form] + ("" if lesion is None else f" {lesion}")
        said = f"{title} r{self.identity.revision}, research use"
        if self.demonstration:
            said += ", demonstration"
        return ("SYNTHETIC, " if self.synthetic else "") + said

    def dimension_organization_uid(self, instance_uid: str) -> str:
        """Return the Dimension Organization UID of a SEG."""
        return derived_uid(["dimensions", instance_uid])

    def predecessors(self, form: Form) -> tuple[Reference, ...]:
        """Return the earlier documents of the same form and SOP class."""
        sop_class = self.edition.sop_class(form)
        return tuple(one for one in self.identity.predecessors if one.form is form and one.sop_class_uid == sop_class)

    @property
    def date(self) -> str:
        """Return the DA of everything that we date."""
        return self.made_at.strftime("%Y%m%d")

    @property
    def time(self) -> str:
        """Return the TM of everything that we date."""
        return self.made_at.strftime("%H%M%S.%f")

    @property
    def offset(self) -> str:
        """Return Timezone Offset From UTC (0008,0201), e.g. +0100."""
        return self.made_at.strftime("%z")[:5]


def naming(identity: Identity, arrangement: Arrangement, edition: Edition) -> Naming:
    """Gather what names the objects of a revision.

    Raises `Defect` for a `made_at` without time zone.
    """
    if identity.made_at.utcoffset() is None:
        raise Defect(RESULT_INVALID, "Identity.made_at has no time zone; give it in the facility's")
    first = arrangement.images[0]
    made_at = identity.made_at.astimezone(first.zone or identity.made_at.tzinfo)
    parts = (
        identity.installation_uid, first.study_uid, identity.facility, str(identity.revision), identity.revision_hash,
        made_at.isoformat(), COMPOSER_VERSION, PRODUCT_VERSION, *_LIBRARIES,
        *(part for run in arrangement.runs for part in _run_parts(run)),
        *(part for one in identity.predecessors for part in (one.form, one.sop_instance_uid)),
        *(part for one in arrangement.lesions for part in _lesion_parts(one)),
        "unreadable", *arrangement.unreadable,
    )
    return Naming(
        identity=identity, edition=edition, made_at=made_at, parts=parts,
        synthetic=arrangement.synthetic, demonstration=arrangement.demonstration,
    )


def _run_parts(run: Run) -> list[str]:
    parts = ["run", run.bundle.content_hash]
    for point in sorted(run.operating_points, key=lambda one: one.id):
        parts += [point.id, point.output, point.positive, repr(point.threshold), point.set_by]
    for rule in sorted(run.lesion_rules, key=lambda one: one.output):
        parts += ["rule", rule.output, rule.combine]
    return parts


def _lesion_parts(told: LesionTold) -> list[str]:
    """Return what names a lesion beyond its images: how they are grouped and with which visit they are compared."""
    before = [told.earlier.report.sop_instance_uid, told.earlier.tracking_uid] if told.earlier else []
    return ["lesion", told.lesion.tracking_uid, *before]
