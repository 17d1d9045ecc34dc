"""What every test that kills processes does: send until it is acknowledged, and find one whole set of results."""

from pathlib import Path

from derm_pacs.domain.case import State
from derm_pacs.ledger.reading import CaseStory
from tests.acceptance import studies
from tests.acceptance.hospital import Hospital, wait_for

KILLING = Path(__file__).with_name("killing")
"""The folder whose sitecustomize ends processes at named points of their code."""


def send_until_acknowledged(hospital: Hospital, seed: int) -> str:
    """Send a study as a modality does: what is not acknowledged is sent again."""
    image = studies.drawn(studies.new_study(), seed=seed)
    wait_for("the study is acknowledged", lambda: True if hospital.send([image]) == [0] else None)
    return str(image.StudyInstanceUID)


def assert_whole(hospital: Hospital, study: str, story: CaseStory) -> None:
    """One revision, confirmed; one set of results, the ledger's, in the PACS."""
    assert [(one.number, one.state) for one in story.revisions] == [(1, State.CONFIRMED)], story.revisions[0].last_error
    assert len([one for one in story.objects if one.role == "image"]) == 1
    in_pacs = sorted(str(one.SOPInstanceUID) for one in hospital.results(study))
    (delivery,) = story.revisions[0].deliveries
    assert in_pacs == sorted(one.sop_instance_uid for one in story.revisions[0].results if delivery.edition in one.editions)
