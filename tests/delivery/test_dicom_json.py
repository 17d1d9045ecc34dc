"""Reading DICOM JSON: whatever a service answers, what is malformed is absent and nothing breaks."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.delivery import dicom_json

TAG = "00081198"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([TAG, "Value", "vr", "x"]), inner, max_size=3),
    max_leaves=12,
)


@given(ANYTHING)
def test_any_json_is_read_without_an_error(value: Any) -> None:
    for dataset in dicom_json.datasets(json.dumps(value).encode()) or []:
        for one in (dataset, *dicom_json.items(dataset, TAG)):
            assert isinstance(dicom_json.text(one, TAG), str)
            assert isinstance(dicom_json.number(one, TAG), int | None)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    found = dicom_json.datasets(body)
    assert found is None or all(isinstance(one, dict) for one in found)


@given(st.lists(st.text(max_size=8), max_size=4), st.integers(0, 65535), st.booleans())
def test_what_is_well_formed_is_read(texts: list[str], number: int, as_text: bool) -> None:
    sent = {"1": {"vr": "UI", "Value": texts}, "2": {"vr": "US", "Value": [str(number) if as_text else number]}, "3": {"vr": "SQ", "Value": [{"4": {}}]}}
    for body in (json.dumps(sent), json.dumps([sent])):
        (dataset,) = dicom_json.datasets(body.encode()) or []
        assert dicom_json.text(dataset, "1") == (texts[0] if texts else "")
        assert dicom_json.number(dataset, "2") == number
        assert dicom_json.items(dataset, "3") == [{"4": {}}]
        assert dicom_json.text(dataset, "5") == ""
        assert dicom_json.number(dataset, "5") is None
