"""STOW-RS and QIDO-RS against a real PACS: Orthanc with its DICOMweb plugin, by password, plain and behind a gateway that ends TLS."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from derm_pacs.delivery import query, stow, web_query
from derm_pacs.delivery.interface import Basic, Destination, WebDestination
from derm_pacs.demonstration.orthanc import Orthanc, Web, dicomweb_plugin, program
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.errors import Rejected, Transient
from derm_pacs.domain.identifiers import derived_uid
from derm_pacs.domain.reasons import ACCESS_DENIED, CERTIFICATE_UNTRUSTED

from .web_peer import certificates, tls_before

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(program() is None or dicomweb_plugin() is None, reason="not installed: apt-get install orthanc orthanc-dicomweb"),
]
PASSWORD = "geheim4711"
STUDY = derived_uid(["study"])


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    web = Web(user="derm", password=PASSWORD)
    with Orthanc(tmp_path_factory.mktemp("orthanc"), modalities={"dermpacs": ("DERMPACS", 1)}, web=web) as running:
        yield running


@pytest.fixture(params=["plain", "tls"])
def destination(orthanc: Orthanc, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebDestination]:
    plain = WebDestination(name="web", url=orthanc.dicomweb_url, access=Basic(user="derm", secret=lambda: PASSWORD))
    if request.param == "plain":
        yield plain
        return
    ca_file, certificate = certificates(tmp_path)
    with tls_before(orthanc.http_port, certificate) as port:
        yield replace(plain, url=f"https://127.0.0.1:{port}/dicom-web", ca_file=ca_file)


def test_objects_arrive_whole_and_are_listed_by_qido_and_by_c_find(
    orthanc: Orthanc, destination: WebDestination, objects: list[Composed]
) -> None:
    log: list[tuple[str, int]] = []
    stow.send(destination, objects, lambda uid, status: log.append((uid, status)))
    assert [uid for uid, _ in log] == [one.sop_instance_uid for one in objects]
    kept = orthanc.instances(STUDY)
    for one in objects:
        assert kept[one.sop_instance_uid] == one.data
    everything = {one.sop_instance_uid for one in objects}
    missing = replace(objects[0], sop_instance_uid="2.25.404")
    elsewhere = replace(objects[0], sop_instance_uid="2.25.405", series_instance_uid="2.25.406")
    assert web_query.present(destination, STUDY, [*objects, missing, elsewhere]) == everything
    dicom = Destination(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port, calling_ae="DERMPACS")
    assert query.present(dicom, STUDY, [*objects, missing, elsewhere]) == everything
    assert web_query.present(destination, "2.25.7", [missing]) == frozenset()
    assert query.present(dicom, "2.25.7", [missing]) == frozenset()


def test_the_same_objects_again_do_no_harm(destination: WebDestination, objects: list[Composed]) -> None:
    for _ in range(2):
        log: list[str] = []
        stow.send(destination, objects, lambda uid, _status, log=log: log.append(uid))  # type: ignore[misc]
        assert log == [one.sop_instance_uid for one in objects]


def test_a_wrong_password_is_tried_again_until_it_is_mended(destination: WebDestination, objects: list[Composed]) -> None:
    wrong = replace(destination, access=Basic(user="derm", secret=lambda: "other"))
    with pytest.raises(Transient) as caught:
        stow.send(wrong, objects, lambda _uid, _status: None)
    assert caught.value.reason is ACCESS_DENIED
    with pytest.raises(Transient) as caught:
        web_query.present(wrong, STUDY, objects)
    assert caught.value.reason is ACCESS_DENIED


def test_what_is_no_dicom_is_refused_by_name_and_the_rest_is_stored(destination: WebDestination, objects: list[Composed]) -> None:
    broken = replace(objects[0], sop_instance_uid="2.25.500", data=b"no DICOM")
    log: list[str] = []
    with pytest.raises(Rejected) as caught:
        stow.send(destination, [broken, *objects[1:]], lambda uid, _status: log.append(uid))
    assert "2.25.500" in caught.value.detail
    assert log == [one.sop_instance_uid for one in objects[1:]]


@pytest.mark.parametrize("destination", ["tls"], indirect=True)
def test_without_the_authority_of_its_certificate_it_is_not_asked(destination: WebDestination) -> None:
    web_query.require_query(destination)
    with pytest.raises(Transient) as caught:
        web_query.require_query(replace(destination, ca_file=None))
    assert caught.value.reason is CERTIFICATE_UNTRUSTED
