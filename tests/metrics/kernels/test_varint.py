"""Variable-length integers: the bytes are Go's, and no bytes read past their end."""

import numpy as np
import pytest

from styr.metrics.kernels import varint

EDGES = [0, 1, 63, 64, 127, 128, 300, 16383, 16384, 2**31, 2**32 - 1, 2**62, 2**63 - 1]


def encoded(write: object, value: int) -> bytes:
    out = np.zeros(16, np.uint8)
    end = write(out, 0, value)  # type: ignore[operator]
    assert write(out[:end], 0, value) == end  # type: ignore[operator]
    assert write(out[: end - 1], 0, value) == -1  # type: ignore[operator]
    return out[:end].tobytes()


@pytest.mark.parametrize("value", EDGES)
def test_round_trip_and_every_truncation(value: int) -> None:
    for write, read, signs in [
        (varint.write_uvarint, varint.read_uvarint, [1]),
        (varint.write_varint, varint.read_varint, [1, -1]),
    ]:
        for sign in signs:
            data = np.frombuffer(encoded(write, sign * value), np.uint8).copy()
            assert read(data, 0, len(data)) == (sign * value, len(data))
            for end in range(len(data)):
                assert read(data, 0, end)[1] == -1


def test_bytes_are_those_of_the_definition() -> None:
    assert encoded(varint.write_uvarint, 300) == b"\xac\x02"
    assert encoded(varint.write_varint, -1) == b"\x01"
    assert encoded(varint.write_varint, 1) == b"\x02"
    assert encoded(varint.write_uvarint, -1) == b"\xff" * 9 + b"\x01"
    assert encoded(varint.write_varint, -(2**63)) == b"\xff" * 9 + b"\x01"


@pytest.mark.parametrize("data", [b"\x80" * 10, b"\xff" * 9 + b"\x02", b"\xff" * 20])
def test_more_than_64_bits_are_refused(data: bytes) -> None:
    array = np.frombuffer(data, np.uint8).copy()
    assert varint.read_uvarint(array, 0, len(array))[1] == -1


@pytest.mark.parametrize("value", [0, 1, 2**31, 2**32 - 1])
def test_words(value: int) -> None:
    out = np.zeros(8, np.uint8)
    assert varint.write_u32(out, 4, value) == 8
    assert out[4:].tobytes() == value.to_bytes(4, "big")
    assert varint.read_u32(out, 4) == value
    assert varint.write_u32(out, 5, value) == -1
    assert varint.write_u64(out, 0, value << 20) == 8
    assert varint.read_u64(out, 0) == value << 20
    assert varint.write_u64(out, 1, value) == -1
