"""QIDO-RS as user: which of our objects a service has (PS3.18 section 10.6).

That it lists an object proves that it is there, not that it will be kept.
"""

from collections.abc import Iterable
from http import HTTPStatus

from derm_pacs.delivery import dicom_json, web
from derm_pacs.delivery.interface import Instance, WebDestination
from derm_pacs.delivery.query import MOST_ANSWERS, by_series
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.reasons import NO_QUERY

_NO_STUDY = {"StudyInstanceUID": "2.25.0", "limit": "1"}
"""A search that finds nobody's study: only whether it is answered is of interest."""
_SOP_INSTANCE_UID = "00080018"


def present(destination: WebDestination, study_uid: str, instances: Iterable[Instance]) -> frozenset[str]:
    """Return the SOP Instance UIDs of those of our instances that the service lists.

    Raises `Rejected` (NO_QUERY) where it offers no QIDO-RS, else as `web.opened` and `web.refusal`.
    """
    with web.opened(destination) as service:
        found = [
            wanted & _listed(service, f"/studies/{study_uid}/series/{series}/instances", wanted)
            for series, wanted in by_series(instances).items()
        ]
    return frozenset[str]().union(*found)


def require_query(destination: WebDestination) -> None:
    """Return where the service answers a search for studies; raises as `present` where it does not."""
    with web.opened(destination) as service:
        _page(service, "/studies", _NO_STUDY)


def _listed(service: web.Web, path: str, wanted: frozenset[str]) -> frozenset[str]:
    """Return what a search lists; page by page, since a service may answer a part and say so only in a header."""
    seen: frozenset[str] = frozenset()
    while True:
        page = _page(service, path, {"offset": str(len(seen))} if seen else {})
        if page is None:
            # Nothing of that name: the series, or the whole of QIDO-RS.
            _page(service, "/studies", _NO_STUDY)
            return seen
        new = page - seen
        seen |= page
        if not new or wanted <= seen:
            return seen
        if len(seen) > MOST_ANSWERS:
            raise Rejected(NO_QUERY, f"{web.where(service.destination)}: more than {MOST_ANSWERS} answers for one series")


def _page(service: web.Web, path: str, params: dict[str, str]) -> frozenset[str] | None:
    answer = service.ask(
        "GET", path, seconds=service.destination.answer_seconds, headers={}, params={**params, "includefield": _SOP_INSTANCE_UID},
    )
    if answer.status == HTTPStatus.NO_CONTENT:
        return frozenset()
    if answer.status == HTTPStatus.NOT_FOUND and path != "/studies":
        return None
    if answer.status != HTTPStatus.OK:
        error = web.refusal(service.destination, answer.status, "a search")
        if isinstance(error, Rejected):
            raise Rejected(NO_QUERY, error.detail)
        raise error
    listed = dicom_json.datasets(answer.body)
    if listed is None:
        raise Rejected(NO_QUERY, f"{web.where(service.destination)}: what a search answers is no DICOM JSON")
    return frozenset(dicom_json.text(one, _SOP_INSTANCE_UID) for one in listed)
