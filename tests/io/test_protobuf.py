import pytest
from hypothesis import given
from hypothesis import strategies as st
from tf_bundles import fixed32, message, number, varint

from isl.io.protobuf import parse_message, read_varint


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_integers_survive(value, before):
    encoded = before + varint(value)
    assert read_varint(encoded + b"\x01", len(before)) == (value, len(encoded))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x01"])
def test_bad_integers_are_refused(data):
    with pytest.raises(ValueError, match="no valid integer at byte 0"):
        read_varint(data, 0)


def test_fields_are_read():
    inner = number(1, 300)
    data = number(1, 5) + fixed32(6, 7) + message(2, inner) + message(2, b"") + number(1, 9)
    parsed = parse_message(data)
    assert (parsed.integer(1), parsed.integer(6), parsed.integer(99)) == (9, 7, 0)
    assert [m.integer(1) for m in parsed.messages(2)] == [300, 0]
    assert parsed.messages(99) == ()


def test_eight_byte_numbers_are_read():
    assert parse_message(varint(3 << 3 | 1) + (513).to_bytes(8, "little")).integer(3) == 513


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (message(1, b"abc")[:-1], "a field of 3 bytes at byte 2 of 4"),
        (fixed32(1, 1)[:-1], "a field of 4 bytes"),
        (varint(1 << 3 | 3), "unknown wire type 3"),
        (number(1, 300)[:-1], "no valid integer"),
    ],
)
def test_bad_messages_are_refused(data, found):
    with pytest.raises(ValueError, match=found):
        parse_message(data)


def test_fields_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="field 1 should be a number"):
        parse_message(message(1, b"abc")).integer(1)
    with pytest.raises(ValueError, match="field 1 should be a message"):
        parse_message(number(1, 5)).messages(1)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_value_error(data):
    try:
        fields = parse_message(data).fields
    except ValueError:
        return
    assert len(fields) <= len(data)
