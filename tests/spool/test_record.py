"""The form of a record on disk."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.spool.record import (
    PREFIX,
    RecordHeader,
    decode_head,
    decode_header,
    encode_head,
    encode_header,
    head_length,
    payload_checksum,
    total_length,
)

KEY = b"12345678"
headers = st.builds(
    RecordHeader,
    kind=st.sampled_from(["object", "commitment_report"]),
    calling_ae=st.text(max_size=16),
    called_ae=st.text(max_size=16),
    received_at=st.datetimes(timezones=st.just(UTC)),
    sop_class_uid=st.text(max_size=64),
    sop_instance_uid=st.text(max_size=64),
    study_instance_uid=st.text(max_size=64),
    series_instance_uid=st.text(max_size=64),
    transfer_syntax_uid=st.text(max_size=64),
)


@given(headers)
def test_a_header_comes_back_as_it_was_written(header: RecordHeader) -> None:
    assert decode_header(encode_header(header)) == header


@given(headers, st.integers(0, 2**40), st.integers(0, 2**32 - 1))
def test_a_head_comes_back_with_its_lengths_and_checksum(header: RecordHeader, length: int, crc: int) -> None:
    data = encode_head(KEY, encode_header(header), length, crc)
    head = decode_head(data)
    assert head is not None
    assert (head.header, head.length, head.payload_length, head.payload_crc) == (header, len(data), length, crc)
    assert head_length(data[: PREFIX.size], KEY) == len(data)


@given(st.data())
def test_no_flipped_byte_of_a_head_goes_unseen(data: st.DataObject) -> None:
    header = data.draw(headers)
    written = bytearray(encode_head(KEY, encode_header(header), 1000, 7))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] ^= data.draw(st.integers(1, 255))
    length = head_length(bytes(written[: PREFIX.size]), KEY)
    assert length != len(written) or decode_head(bytes(written)) is None


def test_times_of_other_zones_are_written_as_utc() -> None:
    local = datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    header = RecordHeader(kind="object", calling_ae="A", called_ae="B", received_at=local)
    assert decode_header(encode_header(header)).received_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert b"12:00:00+00:00" in encode_header(header)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        RecordHeader(kind="object", calling_ae="A", called_ae="B", received_at=datetime(2026, 3, 1))  # noqa: DTZ001


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        decode_header(
            encode_header(RecordHeader(kind="object", calling_ae="A", called_ae="B", received_at=datetime.now(UTC))).replace(
                b'"object"', b'"letter"'
            )
        )


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"kind": 3}', b"\xff", b"{"])
def test_a_header_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_header(data)


def test_a_header_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        encode_header(RecordHeader(kind="object", calling_ae="A" * 70_000, called_ae="B", received_at=datetime.now(UTC)))


def test_parts_count_in_bytes_whatever_their_items_are() -> None:
    wide = memoryview(bytearray(8)).cast("I")
    assert total_length([b"abc", wide]) == 11
    assert payload_checksum([b"abc", b"def"]) == payload_checksum([b"abcdef"])
