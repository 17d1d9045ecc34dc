"""Writing settings: what is written reads back as the same, and the pages stay in step with the models."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.domain.composed import Form
from derm_pacs.domain.edition import SegGeometry, SegKind, SrClass
from derm_pacs.domain.reasons import REASONS
from derm_pacs.domain.visits import Grouping
from derm_pacs.settings.example import EXAMPLE, example_toml
from derm_pacs.settings.model import (
    AnalysisSettings,
    DatabaseSettings,
    DestinationSettings,
    LesionSettings,
    ListenerSettings,
    ProofBy,
    RouteSettings,
    Settings,
    SpoolSettings,
    StudySettings,
)
from derm_pacs.settings.peers import Peer, RecordPeer, WebAuth, WebPeer
from derm_pacs.settings.read import parse
from derm_pacs.settings.reference import reference_markdown
from derm_pacs.settings.write import to_toml

ROOT = Path(__file__).parents[2]
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
LABEL = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True)
AE = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=16)


@st.composite
def settings(draw: st.DrawFn) -> Settings:
    ours, *titles = draw(st.lists(AE, min_size=3, max_size=5, unique=True))
    names = draw(st.lists(LABEL, min_size=len(titles), max_size=len(titles), unique=True))
    peers = tuple(
        Peer(name=name, ae_title=title, host="pacs.example", port=draw(st.integers(1, 65535)), may_send=draw(st.booleans()))
        for name, title in zip(names, titles, strict=True)
    )
    web, record = WebPeer(
        name="web_0", url="https://pacs.example/dicom-web", auth=WebAuth.OAUTH2, user=draw(TEXT), secret_file=Path("/etc/secret"),
        token_url="https://login.example/token", scope=draw(st.none() | TEXT),
    ), RecordPeer(name="record_0", host="ris.example", port=2575, facility=draw(st.none() | TEXT))
    destination = DestinationSettings(
        name=draw(LABEL), peer=draw(st.sampled_from([peers[0].name, "web_0"])), proof=draw(st.sampled_from(ProofBy)),
        results=(Form.PICTURE, *draw(st.lists(st.sampled_from([Form.REPORT_SR, Form.SEG, Form.PDF]), unique=True))),
        sr=draw(st.sampled_from(SrClass)), seg=draw(st.sampled_from(SegKind)), seg_geometry=draw(st.sampled_from(SegGeometry)),
    )
    route = RouteSettings(
        name=draw(LABEL), modalities=tuple(draw(st.lists(st.sampled_from(["XC", "DMS", "GM"]), unique=True))),
        bundles=("skin_lesion_deeplabv3plus", "melanoma_nevus_alexnet"), destinations=(destination.name,),
        reads_crops_of=draw(st.sampled_from([{}, {"melanoma_nevus_alexnet": "skin_lesion_deeplabv3plus"}])), clinical=draw(st.booleans()),
    )
    return Settings(
        facility=draw(TEXT), timezone=draw(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"])),
        data_dir=Path("/srv") / draw(st.from_regex(r"[\w \"'#-]{1,20}", fullmatch=True).filter(lambda name: name.strip())),
        installation_uid=draw(st.sampled_from([None, "2.25.1"])),
        database=DatabaseSettings(url=draw(st.sampled_from([None, "postgresql://derm@db/derm?sslmode=verify-full"]))),
        listener=ListenerSettings(ae_title=ours, port=draw(st.integers(1, 65535))),
        spool=SpoolSettings(disk_reserve_megabytes=draw(st.integers(0, 10**6))),
        study=StudySettings(quiet_seconds=draw(st.floats(0.001, 3600)), cap_seconds=draw(st.floats(3600, 604800))),
        analysis=AnalysisSettings(max_megapixels=draw(st.floats(0.001, 10000))),
        lesions=LesionSettings(grouping=draw(st.sampled_from(Grouping))),
        peers=peers, web_peers=(web,), record_peers=(record,), destinations=(destination,), routes=(route,),
    )


@hypothesis.settings(deadline=None)  # a busy machine is no failure
@given(settings(), st.booleans())
def test_what_is_written_reads_back_as_the_same(one: Settings, commented: bool) -> None:
    assert parse(tomllib.loads(to_toml(one, commented=commented)), "x") == one


def test_the_example_file_is_made_from_the_models() -> None:
    assert (ROOT / "deploy/derm-pacs.example.toml").read_text(encoding="utf-8") == example_toml(), (
        "run: python -m derm_pacs.settings.example > deploy/derm-pacs.example.toml"
    )


def test_the_example_reads_back_as_the_example() -> None:
    assert parse(tomllib.loads(example_toml()), "x") == EXAMPLE


def _keys(plain: dict[str, Any]) -> set[str]:
    keys = set(plain)
    for value in plain.values():
        for table in value if isinstance(value, list) else [value]:
            keys |= set(table) if isinstance(table, dict) else set()
    return keys


def test_every_key_stands_in_the_example_and_in_the_reference() -> None:
    keys = _keys(EXAMPLE.model_dump(mode="json", by_alias=True)) | {*WebPeer.model_fields, *RecordPeer.model_fields}
    assert {"quiet_seconds", "ae_title", "answer_refusals", "installation_uid", "token_url"} <= keys
    for key in keys:
        assert re.search(rf"(?m)^(# )?\[*{key}\b", example_toml()), key
        assert re.search(rf"`\[*{key}\]*`", reference_markdown()), key


def test_every_key_says_what_it_is_for() -> None:
    for row in reference_markdown().splitlines():
        if row.startswith("| `"):
            assert row.rstrip(" |").endswith("."), row


def test_the_reference_page_is_in_step() -> None:
    page = ROOT / "docs/reference/settings.md"
    checked = subprocess.run([sys.executable, "-m", "cogapp", "--check", str(page)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_a_remedy_names_only_settings_that_exist(reason: Any) -> None:
    plain = Settings().model_dump(mode="json")
    for section, key in re.findall(r"\b([a-z]+)\.([a-z_]+)\b", reason.remedy):
        if section in plain:
            assert key in plain[section], f"{section}.{key}"
