"""Reading the settings file: what is taken, and what each refusal says."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from derm_pacs.settings.model import ProofBy, Settings
from derm_pacs.settings.read import SettingsError, read

PEER = """
[[peers]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = 4242
may_send = true
"""
DESTINATION = """
[[destinations]]
name = "pacs"
peer = "pacs"
"""
WEB = """
[[web_peers]]
name = "pacs"
url = "https://pacs.example/dicom-web/"
"""
RECORD = """
[[record_peers]]
name = "pacs"
host = "ris.example"
port = 2575
"""
ROUTE = """
[[routes]]
name = "dermoscopy"
sop_classes = ["1.2.840.10008.5.1.4.1.1.77.1.7"]
bundles = ["melanoma_nevus_alexnet"]
destinations = ["pacs"]
"""


def _file(folder: Path, text: str) -> Path:
    file = folder / "derm-pacs.toml"
    file.write_text(text, encoding="utf-8")
    return file


def _problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        read(_file(folder, text))
    return refused.value.problems


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read(_file(tmp_path, "")) == Settings()


def test_a_whole_file_becomes_typed_values(tmp_path: Path) -> None:
    settings = read(_file(tmp_path, 'timezone = "Europe/Berlin"\n[study]\nquiet_seconds = 5\n' + PEER + DESTINATION + ROUTE))
    assert settings.zone == ZoneInfo("Europe/Berlin")
    assert settings.study.quiet().quiet.total_seconds() == 5
    assert settings.peers[0].port == 4242
    assert settings.peer("pacs") is settings.peers[0]
    assert settings.destination("pacs").proof is ProofBy.COMMITMENT
    assert [(one.name, one.bundles) for one in settings.routing()] == [("dermoscopy", ("melanoma_nevus_alexnet",))]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[study]\nquite_seconds = 60", "unknown key 'quite_seconds' in [study]; did you mean 'quiet_seconds'?"),
        ("[listner]\nport = 1", "unknown table 'listner'; did you mean 'listener'?"),
        ('facilty = "x"', "unknown key 'facilty'; did you mean 'facility'?"),
        ("[workers]\nzzz = 1", "unknown key 'zzz' in [workers]; known keys: processes"),
        (PEER + "AE_Title = 'X'", "unknown key 'AE_Title' in [[peers]] entry 1 ('pacs'); did you mean 'ae_title'?"),
        ('[[peers]]\nname = "a"', "key 'ae_title' in [[peers]] entry 1 ('a') is missing; add it"),
        ("[listener]\nport = 0", "key 'port' in [listener]: 0 is outside the limits; it must be at least 1"),
        ("[listener]\nport = 70000", "key 'port' in [listener]: 70000 is outside the limits; it must be at most 65535"),
        ('[listener]\nport = "104"', "key 'port' in [listener]: must be a whole number, not a text; correct it"),
        ("[workers]\nprocesses = true", "key 'processes' in [workers]: must be a whole number, not true or false; correct it"),
        ("study = 3", "key 'study': must be a table, not a whole number; correct it"),
        ('timezone = "Europe/Berln"', "key 'timezone': 'Europe/Berln' is not a time zone of the IANA list"),
        ('data_dir = "derm"', "key 'data_dir': the path is not absolute; write it from the root on"),
        ("[study]\nquiet_seconds = 90\ncap_seconds = 30", "[study]: cap_seconds is below quiet_seconds"),
        ('[listener]\nae_title = "SEVENTEEN LETTERS"', "key 'ae_title' in [listener]: an AE title has 1 to 16 characters"),
        ('[listener]\nae_title = "A\\\\B"', "an AE title has printable ASCII characters, no backslash"),
        ('[listener]\nae_title = " A"', "no space at its ends"),
        ('installation_uid = "1.02"', "key 'installation_uid': '1.02' is not a legal UID"),
        (PEER + PEER, "key 'name' in [[peers]] entry 2 ('pacs'): 'pacs' stands already in entry 1; give each entry its own"),
        (PEER + PEER.replace('"pacs"', '"b"'), "key 'ae_title' in [[peers]] entry 2 ('b'): 'ORTHANC' stands already in entry 1"),
        (PEER.replace("ORTHANC", "DERMPACS"), "'DERMPACS' is our own AE title (listener.ae_title)"),
        (PEER.replace("port = 4242", ""), "[[peers]] entry 1: host and port go together"),
        (DESTINATION, "key 'peer' in [[destinations]] entry 1 ('pacs'): no peer is named 'pacs'; add a [[peers]] entry"),
        (
            PEER.replace("port = 4242", "").replace('host = "127.0.0.1"', "") + DESTINATION,
            "the peer 'pacs' has no host and port; give its [[peers]] entry host and port",
        ),
        (PEER + ROUTE, "key 'destinations' in [[routes]] entry 1 ('dermoscopy'): no destination is named 'pacs'; add"),
        (PEER + DESTINATION + ROUTE.replace(".77.1.7", ".2"), "a SOP class that is never analysed"),
        (PEER + DESTINATION + ROUTE.replace("melanoma_nevus_alexnet", "Melanoma"), "'Melanoma' is not a name of lower-case letters"),
        (PEER + DESTINATION + ROUTE.replace('["pacs"]', "[]"), "key 'destinations' in [[routes]] entry 1 ('dermoscopy'): is empty"),
        (PEER + DESTINATION + ROUTE.replace('["pacs"]', '["pacs", "pacs"]'), "'pacs' stands here twice; name it once"),
        (PEER + DESTINATION + ROUTE + 'modalities = ["xc"]', "'xc' is not a value of Modality (0008,0060)"),
        (
            PEER + DESTINATION + ROUTE + 'reads_crops_of = { other = "melanoma_nevus_alexnet" }',
            "key 'reads_crops_of' in [[routes]] entry 1 ('dermoscopy'): 'other' is no bundle of the route 'dermoscopy'; add it to bundles",
        ),
        (
            PEER + DESTINATION + ROUTE + 'reads_crops_of = { melanoma_nevus_alexnet = "melanoma_nevus_alexnet" }',
            "'melanoma_nevus_alexnet' reads crops of 'melanoma_nevus_alexnet', which does not run before it",
        ),
        (
            PEER + DESTINATION + ROUTE.replace('["melanoma_nevus_alexnet"]', '["a", "b", "c"]') + 'reads_crops_of = { b = "a", c = "b" }',
            "'b' itself reads crops, so it finds none in the image",
        ),
        (
            PEER + DESTINATION + ROUTE + ROUTE.replace('"dermoscopy"', '"second"'),
            "the route 'second' is never reached: 'dermoscopy' takes all its images; put the narrower route first",
        ),
        ('[database]\nurl = "mysql://a/b"', "key 'url' in [database]: the URL is not one of PostgreSQL"),
        ("a = [", "this is not TOML"),
        (PEER + DESTINATION + 'results = ["seg"]', "[[destinations]] entry 1: results: none of these says the whole result; add"),
        (PEER + DESTINATION + 'results = ["pcture"]', "is none of the values that this key has; write 'seg', 'overlay_sr'"),
        (PEER + DESTINATION + 'results = []', "key 'results' in [[destinations]] entry 1 ('pacs'): is empty; write at least one"),
        (PEER + DESTINATION + 'results = ["message"]', "'pacs' is a PACS and takes no messages; name a peer of [[record_peers]]"),
        (PEER + DESTINATION + 'results = ["message", "pdf"]', "the message goes alone, to a record peer"),
        (PEER + DESTINATION + 'sr = "4d"', "key 'sr' in [[destinations]] entry 1 ('pacs'): is none of the values that this key has"),
        (RECORD + DESTINATION, "the record peer 'pacs' takes messages and nothing else; write results = [\"message\"]"),
        (RECORD + "ca_file = '/ca.pem'", "ca_file does nothing with tls = false"),
        (PEER + WEB, "key 'name' in [[web_peers]] entry 1 ('pacs'): 'pacs' stands already in [[peers]]; give each entry its own"),
        (WEB.replace('"pacs"', '"a-b"') + WEB.replace('"pacs"', '"a_b"'), "'a_b' and 'a-b' would have their secret in the same variable DERM_PACS_SECRET_A_B"),
        (WEB.replace("https://pacs", "http://pacs"), "http:// would send patients' data readable over the network; write https://"),
        (WEB.replace("https://pacs", "https://u:p@pacs"), "the address holds a user or a password; take it out"),
        (WEB.replace("https://pacs", "ftp://pacs"), "key 'url' in [[web_peers]] entry 1 ('pacs'): this is not a web address"),
        (WEB.replace("dicom-web", "dicom-web?x=1"), "the address has a part behind"),
        (WEB + 'auth = "basic"', "auth = \"basic\" needs user; write it"),
        (WEB + 'auth = "oauth2"\nuser = "u"', "auth = \"oauth2\" needs token_url; write it"),
        (WEB + 'user = "u"', "user does nothing with auth = \"none\"; take it out or change auth"),
        (WEB + 'auth = "basic"\nuser = "u"', "key 'secret_file' in [[web_peers]] entry 1 ('pacs'): auth = \"basic\" needs a secret; write it into a file"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(tmp_path: Path, text: str, sentence: str) -> None:
    problems = _problems(tmp_path, text)
    assert any(sentence in one for one in problems), problems
    assert all(one.startswith(f"{tmp_path / 'derm-pacs.toml'}: ") for one in problems)


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    assert len(_problems(tmp_path, "[study]\nx = 1\n[spool]\nsegment_megabytes = 0\n[workers]\nprocesses = 0")) == 3


def test_a_missing_file_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: the settings cannot be read .* --config or DERM_PACS_CONFIG"):
        read(tmp_path / "absent.toml")


def test_a_file_that_is_not_utf_8_is_refused_by_its_byte(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b'facility = "M\xfcnchen"')
    with pytest.raises(SettingsError, match=r"not UTF-8 .* at byte 13"):
        read(file)


@pytest.mark.parametrize("later", ["", 'modalities = ["XC"]'])
def test_a_narrower_route_may_stand_before_a_wider_one(tmp_path: Path, later: str) -> None:
    narrow = ROUTE + 'modalities = ["DMS"]\n'
    wide = ROUTE.replace('"dermoscopy"', '"rest"') + later
    assert len(read(_file(tmp_path, PEER + DESTINATION + narrow + wide)).routing()) == 2
