"""What is offered, and to whom."""

from copy import deepcopy
from pathlib import Path

from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from derm_pacs.domain import classes
from derm_pacs.receive.negotiate import contexts, policy
from derm_pacs.settings.model import DestinationSettings, ListenerSettings, ProofBy, Settings, SpoolSettings
from derm_pacs.settings.peers import Peer

PEERS = (
    Peer(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=4242, may_send=True),
    Peer(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=4243),
    Peer(name="other", ae_title="OTHER", host="127.0.0.1", port=4244),
)


def test_senders_and_destinations_that_report_are_let_in_nobody_else(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        peers=PEERS,
        destinations=(
            DestinationSettings(name="one", peer="archive", proof=ProofBy.COMMITMENT),
            DestinationSettings(name="two", peer="other", proof=ProofBy.QUERY),
        ),
    )
    made = policy(settings)
    assert made.callers == {"ORTHANC", "ARCHIVE"}
    assert made.senders == {"ORTHANC"}


def test_the_policy_takes_over_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        listener=ListenerSettings(ae_title="DERM", host="0.0.0.0", port=11113, processes=2, maximum_associations=7),  # noqa: S104
        spool=SpoolSettings(segment_megabytes=3, disk_reserve_megabytes=5),
    )
    made = policy(settings)
    assert (made.ae_title, made.host, made.port, made.maximum_associations) == ("DERM", "0.0.0.0", 11113, 7)  # noqa: S104
    assert made.share_port
    assert not policy(Settings(data_dir=tmp_path)).share_port
    assert made.spool_dir == tmp_path / "spool"
    assert (made.segment_bytes, made.reserve_bytes) == (3_000_000, 5_000_000)
    assert made.callers == made.senders == frozenset()


def test_every_class_of_the_table_is_offered_once_and_known_as_storage() -> None:
    offered = {str(one.abstract_syntax): one for one in contexts()}
    assert len(offered) == len(contexts())
    for one in (*classes.ANALYSABLE, *classes.EVIDENCE):
        assert one.uid in offered
        assert uid_to_service_class(one.uid) is StorageServiceClass
    assert set(offered) == {one.uid for one in (*classes.ANALYSABLE, *classes.EVIDENCE)} | {
        classes.VERIFICATION,
        classes.STORAGE_COMMITMENT_PUSH,
    }


def test_compressed_syntaxes_come_first_and_lossless_before_lossy() -> None:
    offered = next(one for one in contexts() if one.abstract_syntax == "1.2.840.10008.5.1.4.1.1.77.1.7")
    order = [str(one) for one in offered.transfer_syntax or ()]
    assert order == [one.uid for one in classes.TRANSFER_SYNTAXES]
    compressed = [one.compressed for one in classes.TRANSFER_SYNTAXES]
    assert compressed == sorted(compressed, reverse=True)
    assert order.index("1.2.840.10008.1.2.4.90") < order.index("1.2.840.10008.1.2.4.50")
    assert order.index("1.2.840.10008.1.2.4.50") < order.index("1.2.840.10008.1.2.1")
    assert order.index("1.2.840.10008.1.2.1") < order.index("1.2.840.10008.1.2")


def test_classes_without_pixels_are_offered_uncompressed_only() -> None:
    offered = next(one for one in contexts() if one.abstract_syntax == "1.2.840.10008.5.1.4.1.1.88.33")
    assert "1.2.840.10008.1.2.4.50" not in (offered.transfer_syntax or ())
    assert "1.2.840.10008.1.2" in (offered.transfer_syntax or ())


def test_every_role_proposal_for_commitment_is_accepted() -> None:
    offered = next(one for one in contexts() if one.abstract_syntax == classes.STORAGE_COMMITMENT_PUSH)
    assert (offered.scu_role, offered.scp_role) == (True, True)


def test_contexts_are_shared_instead_of_copied() -> None:
    made = contexts()
    assert deepcopy(made) is made
