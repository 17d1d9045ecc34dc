"""What `serving.json` cannot say is refused by the name of the key."""

import json
from typing import Any

import pytest

from derm_pacs.bundles.description import NotDescribed, parse


def test_a_whole_description_is_read(whole: dict[str, Any]) -> None:
    assert parse(json.dumps(whole).encode()).name == "tiny"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("explanation", {}, "explanation is not known"),
        ("network/_target_", "os.system", "network._target_ is not known"),
        ("preprocessing/0/op", "python", "preprocessing.0 is wrong"),
        ("preprocessing/0/height", 9999, "preprocessing.0.resize.height is wrong"),
        ("preprocessing/0/_requires_", "$exec('')", "preprocessing.0.resize._requires_ is not known"),
        ("weights/file", "../../etc/shadow", "weights.file is wrong"),
        ("weights/file", "/etc/shadow", "weights.file is wrong"),
        ("weights/file", "a\\..\\b", "weights.file is wrong"),
        ("golden/0/file", "golden/../../0.png", "golden.0.file is wrong"),
        ("schema", 2, "schema is wrong"),
        ("version", "latest", "version is wrong"),
        ("name", "Tiny Bundle", "name is wrong"),
        ("golden", [], "golden is wrong"),
        ("operating_points/0/output", "none", "names no classification output"),
        ("operating_points/0/threshold", 1.5, "operating_points.0.threshold is wrong"),
        ("quality/min_contrast", "2", "quality.min_contrast is wrong"),
    ],
)
def test_a_wrong_key_is_named(whole: dict[str, Any], key: str, value: object, said: str) -> None:
    *way, last = key.split("/")
    inside: Any = whole
    for step in way:
        inside = inside[int(step) if step.isdigit() else step]
    inside[last] = value
    with pytest.raises(NotDescribed, match=said):
        parse(json.dumps(whole).encode())


def test_every_missing_key_is_named(whole: dict[str, Any]) -> None:
    for missing in set(whole) - {"operating_points"}:
        with pytest.raises(NotDescribed, match=missing):
            parse(json.dumps({key: value for key, value in whole.items() if key != missing}).encode())


def test_a_key_that_stands_twice_is_named(whole: dict[str, Any]) -> None:
    content = json.dumps(whole).replace('"tiny"', '"tiny", "name": "other"')
    with pytest.raises(NotDescribed, match="name stands twice"):
        parse(content.encode())


def test_what_is_no_number_is_refused(whole: dict[str, Any]) -> None:
    with pytest.raises(NotDescribed, match="NaN is no number"):
        parse(json.dumps(whole).replace("0.7", "NaN").encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b"\xff\xfe", b"{}"])
def test_what_is_no_description_is_refused(content: bytes) -> None:
    with pytest.raises(NotDescribed, match=r"configs/serving\.json"):
        parse(content)
