"""Each kind of destination that hospitals have, over real sockets: every case ends as the table of ends says."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest

from derm_pacs.domain.case import State
from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.domain.findings import Refusal
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.reading import RevisionStory
from derm_pacs.ledger.reading_results import DeliveryLine
from derm_pacs.pipeline import person
from tests.acceptance import studies
from tests.acceptance.peers import CAPTURE, SEGMENTATION, SR_2D, SR_3D, Pacs, RecordSystem, WebArchive
from tests.acceptance.way import Way, settings_for

pytestmark = pytest.mark.acceptance

Open = Callable[..., Way]


@pytest.fixture
def open_way(tmp_path: Path, database: Database) -> Iterator[Open]:
    """Start an installation with these archives and record systems as destinations of one route."""
    with ExitStack() as stack:

        def begin(say: Any = None, *, destinations: dict[str, Any] | None = None, **others: Pacs | RecordSystem | WebArchive) -> Way:
            for one in others.values():
                stack.enter_context(one)
            archives = {name: one.port for name, one in others.items() if isinstance(one, Pacs)}
            records = {name: one.port for name, one in others.items() if isinstance(one, RecordSystem)}
            webs = {name: one.port for name, one in others.items() if isinstance(one, WebArchive)}
            named = [
                {"name": name, "peer": name, **({"results": ["message"]} if name in records else {}), **(destinations or {}).get(name, {})}
                for name in others
            ]
            settings = settings_for(tmp_path, named, peers=archives, record_peers=records, web_peers=webs)
            return Way(tmp_path, database, settings, **({"say": say} if say else {}))

        yield begin


@pytest.fixture
def image() -> pydicom.Dataset:
    return studies.drawn(studies.new_study())


def delivery(ended: RevisionStory, destination: str) -> DeliveryLine:
    (found,) = [one for one in ended.deliveries if one.destination == destination]
    return found


def sent(archive: Pacs) -> set[str]:
    return {str(one.SOPClassUID) for one in archive.datasets()}


def test_a_destination_that_takes_everything_gets_all_forms_and_commits(open_way: Open, image: pydicom.Dataset) -> None:
    archive = Pacs()
    ended = open_way(archive=archive).end_of(image)
    assert ended.state is State.CONFIRMED
    assert sent(archive) == {SEGMENTATION, CAPTURE, SR_3D}
    line = delivery(ended, "archive")
    assert (line.state, line.proof, line.left_out) == (DeliveryState.PROVEN, Proof.COMMITMENT, ())
    assert {one.sop_instance_uid for one in ended.results} == set(archive.objects)


def test_a_destination_that_takes_only_secondary_capture_gets_the_picture(open_way: Open, image: pydicom.Dataset) -> None:
    archive = Pacs(takes=[CAPTURE])
    ended = open_way(archive=archive).end_of(image)
    assert ended.state is State.CONFIRMED
    assert sent(archive) == {CAPTURE}
    assert set(delivery(ended, "archive").left_out) == {Form.REPORT_SR, Form.OVERLAY_SR, Form.SEG}


def test_a_destination_without_seg_gets_reports_that_refer_to_none(open_way: Open, image: pydicom.Dataset) -> None:
    archive = Pacs(takes=[CAPTURE, SR_3D])
    ended = open_way(archive=archive).end_of(image)
    assert ended.state is State.CONFIRMED
    assert sent(archive) == {CAPTURE, SR_3D}
    assert delivery(ended, "archive").left_out == (Form.SEG,)
    assert all(SEGMENTATION not in str(one) for one in archive.datasets())


def test_a_destination_without_3d_sr_gets_comprehensive_sr(open_way: Open, image: pydicom.Dataset) -> None:
    archive = Pacs(takes=[SEGMENTATION, CAPTURE, SR_2D])
    ended = open_way(archive=archive).end_of(image)
    assert ended.state is State.CONFIRMED
    assert sent(archive) == {SEGMENTATION, CAPTURE, SR_2D}
    assert delivery(ended, "archive").left_out == ()


def test_what_a_destination_took_is_made_at_once_the_next_time(open_way: Open) -> None:
    way = open_way(archive=Pacs(takes=[CAPTURE]))
    first = way.end_of(studies.drawn(studies.new_study(), seed=1))
    second = way.end_of(studies.drawn(studies.new_study(), seed=2))
    assert {Form.REPORT_SR, Form.PICTURE} <= {one.form for one in first.results}
    assert {one.form for one in second.results} == {Form.PICTURE}


def test_without_commitment_a_query_that_finds_everything_is_the_proof(open_way: Open, image: pydicom.Dataset) -> None:
    ended = open_way(archive=Pacs(commits=False)).end_of(image)
    assert ended.state is State.CONFIRMED
    assert delivery(ended, "archive").proof is Proof.QUERY


def test_without_commitment_and_without_query_the_case_ends_unconfirmed(open_way: Open, image: pydicom.Dataset) -> None:
    ended = open_way(archive=Pacs(commits=False, answers_queries=False)).end_of(image)
    assert (ended.state, ended.reason_code) == (State.UNCONFIRMED, "no_commitment")
    assert delivery(ended, "archive").proof is None


def test_a_query_that_lists_too_few_is_repeated_and_then_holds_the_case_until_a_person_has_it_sent_again(open_way: Open, image: pydicom.Dataset) -> None:
    archive = Pacs(commits=False)
    archive.lists = lambda uid: uid != next(iter(archive.objects))
    ended = open_way(archive=archive).end_of(image)
    assert (ended.state, ended.reason_code) == (State.HELD, "not_listed")
    assert delivery(ended, "archive").attempts > 1
    assert next(iter(archive.objects)) in (delivery(ended, "archive").reason_detail or "")


def test_an_archive_that_lists_late_is_believed_when_it_does(open_way: Open, image: pydicom.Dataset) -> None:
    archive = Pacs(commits=False)
    way = open_way(archive=archive)
    begun = way.clock()
    archive.lists = lambda _uid: way.clock() > begun + timedelta(minutes=10)
    assert way.end_of(image).state is State.CONFIRMED


def test_a_destination_that_is_asked_for_no_proof_ends_the_case_unconfirmed(open_way: Open, image: pydicom.Dataset) -> None:
    ended = open_way(destinations={"archive": {"proof": "none"}}, archive=Pacs()).end_of(image)
    assert (ended.state, ended.reason_code) == (State.UNCONFIRMED, "proof_not_asked")


def test_a_destination_that_takes_nothing_holds_the_case_and_the_others_stay_delivered(
    open_way: Open, image: pydicom.Dataset
) -> None:
    archive, wall = Pacs(), Pacs(takes=[])
    way = open_way(archive=archive, wall=wall)
    ended = way.end_of(image)
    assert (ended.state, ended.reason_code) == (State.HELD, "no_context")
    assert "wall" in (ended.reason_detail or "")
    assert delivery(ended, "archive").state is DeliveryState.PROVEN
    assert delivery(ended, "wall").state is DeliveryState.REFUSED
    before = dict(archive.objects)

    wall.close()
    wall.takes = [CAPTURE]
    wall.open()
    person.retry(way.database, way.story(str(image.StudyInstanceUID)).case_id, actor="admin", reason="mended", now=way.clock())
    way.walk()
    again = way.newest(str(image.StudyInstanceUID))
    assert again.state is State.CONFIRMED
    assert sent(wall) == {CAPTURE}
    assert archive.objects == before


def test_a_destination_out_of_resources_for_an_hour_is_waited_for(open_way: Open, image: pydicom.Dataset) -> None:
    archive = Pacs()
    way = open_way(archive=archive)
    mended = way.clock() + timedelta(hours=1)
    archive.status = lambda: 0x0000 if way.clock() >= mended else 0xA700
    ended = way.end_of(image)
    assert ended.state is State.CONFIRMED
    assert mended <= way.clock() <= mended + timedelta(minutes=10)
    assert archive.stores < 40
    assert set(archive.objects) == {one.sop_instance_uid for one in ended.results}


def test_a_destination_out_of_resources_past_its_deadline_holds_the_case(open_way: Open, image: pydicom.Dataset) -> None:
    way = open_way(full=Pacs(status=lambda: 0xA700), archive=Pacs())
    begun = way.clock()
    ended = way.end_of(image)
    assert (ended.state, ended.reason_code) == (State.HELD, "deadline")
    assert "full" in (ended.reason_detail or "")
    assert timedelta(hours=2.9) < way.clock() - begun < timedelta(hours=3.1)
    assert delivery(ended, "archive").state is DeliveryState.PROVEN


def test_a_destination_that_hangs_amid_an_association_gets_the_rest_the_next_time(
    open_way: Open, image: pydicom.Dataset
) -> None:
    archive = Pacs(hangs_at=lambda number: number == 2)
    ended = open_way(archive=archive).end_of(image)
    assert ended.state is State.CONFIRMED
    assert set(archive.objects) == {one.sop_instance_uid for one in ended.results}
    assert archive.stores == len(ended.results) + 1, "what was acknowledged went again"


def test_a_destination_that_takes_less_than_before_keeps_what_was_begun_and_holds_the_case(
    open_way: Open, image: pydicom.Dataset
) -> None:
    archive = Pacs(hangs_at=lambda number: number == 2)
    way = open_way(archive=archive)
    way.complete(image)
    while not archive.objects:
        assert way.step() is not None
    archive.close()
    archive.takes, archive.hangs_at = [CAPTURE], lambda _number: False
    archive.open()
    way.walk()
    ended = way.newest(str(image.StudyInstanceUID))
    assert (ended.state, ended.reason_code) == (State.HELD, "no_context")


def test_a_commitment_that_is_never_reported_on_is_asked_for_three_times_and_then_a_query_decides(
    open_way: Open, image: pydicom.Dataset
) -> None:
    way = open_way(archive=Pacs(reports=False))
    begun = way.clock()
    ended = way.end_of(image)
    assert ended.state is State.CONFIRMED
    assert delivery(ended, "archive").proof is Proof.QUERY
    assert timedelta(minutes=29) < way.clock() - begun < timedelta(minutes=35)


def test_a_commitment_that_is_never_reported_on_without_a_query_ends_the_case_unconfirmed(
    open_way: Open, image: pydicom.Dataset
) -> None:
    ended = open_way(archive=Pacs(reports=False, answers_queries=False)).end_of(image)
    assert (ended.state, ended.reason_code) == (State.UNCONFIRMED, "commitment_overdue")


def test_an_archive_that_is_spoken_to_by_dicomweb_proves_by_its_list(open_way: Open, image: pydicom.Dataset) -> None:
    web = WebArchive()
    ended = open_way(web=web, archive=Pacs()).end_of(image)
    assert ended.state is State.CONFIRMED
    assert (delivery(ended, "web").state, delivery(ended, "web").proof) == (DeliveryState.PROVEN, Proof.QUERY)
    edition = delivery(ended, "web").edition
    assert set(web.objects) == {one.sop_instance_uid for one in ended.results if edition in one.editions}


def test_a_record_system_that_accepts_the_message_has_proven_it(open_way: Open, image: pydicom.Dataset) -> None:
    record = RecordSystem()
    ended = open_way(record=record).end_of(image)
    assert ended.state is State.CONFIRMED
    assert (delivery(ended, "record").state, delivery(ended, "record").proof) == (DeliveryState.PROVEN, Proof.ACKNOWLEDGED)
    (message,) = record.messages
    assert b"ORU^R01" in message


def test_a_record_system_that_refuses_the_message_holds_the_case(open_way: Open, image: pydicom.Dataset) -> None:
    ended = open_way(record=RecordSystem(code=lambda: "AR"), archive=Pacs()).end_of(image)
    assert (ended.state, ended.reason_code) == (State.HELD, "object_refused")
    assert delivery(ended, "archive").state is DeliveryState.PROVEN


MIXED: list[tuple[dict[str, Callable[[], Any]], State]] = [
    ({"archive": Pacs, "viewer": lambda: Pacs(takes=[CAPTURE]), "record": RecordSystem}, State.CONFIRMED),
    ({"archive": Pacs, "dumb": lambda: Pacs(commits=False, answers_queries=False), "record": RecordSystem}, State.UNCONFIRMED),
    ({"archive": Pacs, "viewer": lambda: Pacs(takes=[CAPTURE], commits=False), "plain": lambda: Pacs(takes=[SR_2D])}, State.CONFIRMED),
    ({"dumb": lambda: Pacs(commits=False, answers_queries=False), "wall": lambda: Pacs(takes=[]), "record": RecordSystem}, State.HELD),
    ({"archive": Pacs, "web": WebArchive, "record": RecordSystem}, State.CONFIRMED),
    ({"wall": lambda: Pacs(takes=[]), "full": lambda: Pacs(status=lambda: 0xA700)}, State.HELD),
]


@pytest.mark.parametrize(("kinds", "end"), MIXED, ids=["-".join(kinds) for kinds, _ in MIXED])
def test_mixed_destinations_end_by_the_worst_of_them(
    open_way: Open, image: pydicom.Dataset, kinds: dict[str, Callable[[], Any]], end: State
) -> None:
    made = {name: kind() for name, kind in kinds.items()}
    ended = open_way(**made).end_of(image)
    assert ended.state is end, ended.reason_detail
    for name, one in made.items():
        if name in ("archive", "viewer", "plain"):
            assert delivery(ended, name).state is DeliveryState.PROVEN
        if isinstance(one, RecordSystem):
            assert len(one.messages) == 1


def test_all_destinations_of_an_edition_get_the_same_bytes(open_way: Open, image: pydicom.Dataset) -> None:
    one, other = Pacs(), Pacs()
    assert open_way(one=one, other=other).end_of(image).state is State.CONFIRMED
    assert one.objects == other.objects


def test_a_refused_study_is_answered_where_the_settings_want_it(open_way: Open, image: pydicom.Dataset) -> None:
    told, untold = Pacs(), Pacs()
    way = open_way(
        lambda _image: (Refusal(reason="poor_quality_blur", detail="0.4, at least 8"),),
        destinations={"untold": {"answer_refusals": False}}, told=told, untold=untold,
    )
    ended = way.end_of(image)
    assert (ended.state, ended.reason_code) == (State.REJECTED, "poor_quality_blur")
    assert [one.destination for one in ended.deliveries] == ["told"]
    assert any(one.Modality == "SR" and "not analysed" in str(one).lower() for one in told.datasets())
    assert untold.objects == {}


def test_a_refused_study_that_nobody_wants_to_hear_of_ends_rejected_without_results(
    open_way: Open, image: pydicom.Dataset
) -> None:
    archive = Pacs()
    way = open_way(
        lambda _image: (Refusal(reason="poor_quality_dark"),), destinations={"archive": {"answer_refusals": False}}, archive=archive
    )
    ended = way.end_of(image)
    assert (ended.state, ended.reason_code, ended.results) == (State.REJECTED, "poor_quality_dark", ())
    assert archive.objects == {}
