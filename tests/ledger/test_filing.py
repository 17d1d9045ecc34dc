"""Filing makes cases and revisions of the images of a study as they arrive."""

import pytest
from sqlalchemy import select

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.study import CloseReason, InstanceRole, Placement
from derm_pacs.ledger import cases
from derm_pacs.ledger.tables import Instance, Patient, Revision, RevisionInstance
from derm_pacs.spool import read
from tests.ledger.filing_site import Site, images

pytestmark = pytest.mark.server


def test_the_first_image_opens_a_case_and_its_first_revision(site: Site) -> None:
    filed = site.send(0)
    assert (filed.placement, filed.role, filed.closed) == (Placement.FIRST, InstanceRole.IMAGE, None)
    assert site.members(filed.revision_id) == ["1.2.3.1"]
    (stored,) = site.database.transaction(lambda tx: images(tx, filed.revision_id or 0))
    assert stored.place.length == len(read.payload(site.folder, stored.place))
    assert (stored.place.listener, stored.study_instance_uid) == ("listener-0", "1.2.3")


def test_an_image_within_the_quiet_period_joins_and_the_study_stays_open_longer(site: Site) -> None:
    first = site.send(0)
    second = site.send(59, SOPInstanceUID="1.2.3.2")
    assert (second.placement, second.revision_id) == (Placement.JOINS, first.revision_id)
    assert site.members(first.revision_id) == ["1.2.3.1", "1.2.3.2"]
    (open_one,) = site.database.transaction(cases.receiving)
    assert (open_one.arrivals.first_at, open_one.arrivals.last_at) == (site.at(0), site.at(59))


def test_a_resend_of_the_same_bytes_changes_nothing(site: Site) -> None:
    first = site.send(0)
    again = site.send(30)
    assert (again.placement, again.instance_id, again.revision_id) == (Placement.SAME, first.instance_id, None)
    (open_one,) = site.database.transaction(cases.receiving)
    assert open_one.arrivals.last_at == site.at(0)
    site.close_due(1000)
    late = site.send(2000)
    assert late.placement is Placement.SAME
    assert len(site.revisions()) == 1


def test_a_late_image_opens_the_next_revision_of_all_current_images(site: Site) -> None:
    first = site.send(0)
    site.close_due(60)
    late = site.send(100, SOPInstanceUID="1.2.3.2")
    assert (late.placement, late.closed) == (Placement.LATE, None)
    assert late.revision_id != first.revision_id
    assert site.members(late.revision_id) == ["1.2.3.1", "1.2.3.2"]
    assert site.members(first.revision_id) == ["1.2.3.1"]


def test_a_late_image_closes_what_the_clock_has_not_closed_yet_and_says_so(site: Site) -> None:
    first = site.send(0)
    late = site.send(60, SOPInstanceUID="1.2.3.2")
    assert (late.placement, late.closed) == (Placement.LATE, first.revision_id)
    (one, two) = site.revisions()
    assert one[3:] == (CloseReason.QUIET, site.at(60))
    assert two[2:] == (None, None, None)
    assert site.database.transaction(lambda tx: tx.get_one(Revision, first.revision_id).state) is State.QUEUED


def test_images_that_go_on_coming_are_cut_at_the_cap(site: Site) -> None:
    first = site.send(0)
    for index in range(1, 12):
        site.send(index * 50, SOPInstanceUID=f"1.2.3.{index + 1}")
    late = site.send(600, SOPInstanceUID="1.2.3.99")
    assert late.closed == first.revision_id
    assert site.revisions()[0][3:] == (CloseReason.CAP, site.at(600))


def test_corrected_demographics_replace_the_image_and_keep_its_pixels(site: Site) -> None:
    first = site.send(0)
    site.close_due(60)
    corrected = site.send(100, PatientName="Muster^Erica")
    assert corrected.placement is Placement.LATE
    assert site.members(corrected.revision_id) == ["1.2.3.1"]
    (before,) = site.database.transaction(lambda tx: images(tx, first.revision_id or 0))
    (after,) = site.database.transaction(lambda tx: images(tx, corrected.revision_id or 0))
    assert before.sha256 != after.sha256
    assert before.pixel_sha256 == after.pixel_sha256
    assert site.database.transaction(lambda tx: cases.conflicting_contents(tx, corrected.revision_id or 0)) == ()
    assert site.count(Patient) == 1


def test_a_correction_while_the_study_is_open_takes_the_images_place(site: Site) -> None:
    first = site.send(0)
    corrected = site.send(10, PatientName="Muster^Erica")
    assert (corrected.placement, corrected.revision_id) == (Placement.JOINS, first.revision_id)
    member = site.database.transaction(lambda tx: tx.scalars(select(RevisionInstance.instance_id)).one())
    assert member == corrected.instance_id != first.instance_id


def test_an_earlier_content_that_is_sent_again_becomes_current_again(site: Site) -> None:
    first = site.send(0)
    site.send(10, PatientName="Muster^Erica")
    back = site.send(20)
    assert (back.instance_id, back.placement) == (first.instance_id, Placement.JOINS)
    assert site.count(Instance) == 2
    assert site.count(RevisionInstance) == 1


def test_two_contents_under_one_uid_are_found(site: Site) -> None:
    site.send(0)
    filed = site.send(10, PixelData=bytes(12))
    revision = filed.revision_id or 0
    assert site.database.transaction(lambda tx: cases.conflicting_contents(tx, revision)) == ("1.2.3.1",)


def test_an_image_that_comes_again_with_its_pixels_is_no_second_content(site: Site) -> None:
    site.send(0, PixelData=None)
    filed = site.send(10)
    assert site.database.transaction(lambda tx: cases.conflicting_contents(tx, filed.revision_id or 0)) == ()


def test_an_image_after_a_cancelled_revision_opens_the_next(site: Site) -> None:
    first = site.send(0)
    site.database.transaction(
        lambda tx: cases.take(tx, first.revision_id or 0, Step.CANCEL, actor="admin", now=site.at(1))
    )
    assert site.send(2, SOPInstanceUID="1.2.3.2").placement is Placement.LATE
