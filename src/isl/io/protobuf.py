"""The wire format of protocol buffers: the fields of a message without its schema."""

from __future__ import annotations

from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES = 10


@dataclass(frozen=True)
class Message:
    """The fields of one message in the order of the file.

    Attributes
    ----------
    fields
        Number and value of each; numbers as unsigned integers, all else as bytes.
    """

    fields: tuple[tuple[int, int | bytes], ...]

    def integer(self, number: int) -> int:
        """Return the last value of a number field, 0 where it is absent.

        Raises
        ------
        ValueError
            Where the field is not a number.
        """
        value: int | bytes = 0
        for found, candidate in self.fields:
            if found == number:
                value = candidate
        if isinstance(value, bytes):
            raise ValueError(f"field {number} should be a number but is a text or a message")
        return value

    def messages(self, number: int) -> tuple[Message, ...]:
        """Return all values of a message field.

        Raises
        ------
        ValueError
            Where one of them is not a message.
        """
        return tuple(parse_message(value) for value in self._all_bytes(number))

    def _all_bytes(self, number: int) -> list[bytes]:
        values = []
        for found, value in self.fields:
            if found == number:
                if isinstance(value, int):
                    raise ValueError(f"field {number} should be a message but is a number")
                values.append(value)
        return values


def parse_message(data: bytes) -> Message:
    """Split a serialized message into its fields.

    Raises
    ------
    ValueError
        Where the bytes are no message.
    """
    fields: list[tuple[int, int | bytes]] = []
    position = 0
    while position < len(data):
        tag, position = read_varint(data, position)
        value, position = _read_value(data, position, tag & 7)
        fields.append((tag >> 3, value))
    return Message(tuple(fields))


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Read an unsigned integer of seven bits a byte.

    Returns
    -------
    value
        In ``0 .. 2**64 - 1``.
    position
        Of the byte that follows.

    Raises
    ------
    ValueError
        Where the data end inside the number or it needs more than 64 bits.
    """
    value = 0
    for count, byte in enumerate(data[position : position + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, position + count + 1
    raise ValueError(f"no valid integer at byte {position} of {len(data)}")


def _read_value(data: bytes, position: int, wire_type: int) -> tuple[int | bytes, int]:
    if wire_type == _VARINT:
        return read_varint(data, position)
    if wire_type == _BYTES:
        size, position = read_varint(data, position)
    elif wire_type in _WIDTH:
        size = _WIDTH[wire_type]
    else:
        raise ValueError(f"unknown wire type {wire_type} at byte {position}")
    if size > len(data) - position:
        raise ValueError(f"a field of {size} bytes at byte {position} of {len(data)}")
    value = data[position : position + size]
    number = value if wire_type == _BYTES else int.from_bytes(value, "little")
    return number, position + size
