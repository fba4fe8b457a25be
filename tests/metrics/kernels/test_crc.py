"""The checksum against its published values and against the bit-by-bit definition."""

import numpy as np
import pytest

from styr.metrics.kernels.crc import crc32c, crc32c_continue


def bitwise(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"", 0),
    ],
)
def test_published_values(data: bytes, want: int) -> None:
    array = np.frombuffer(data, np.uint8).copy()
    assert crc32c(array, 0, len(array)) == want


def test_every_length_start_and_split() -> None:
    data = np.random.default_rng(7).integers(0, 256, 70, dtype=np.uint8)
    for start in range(9):
        for end in range(start, len(data)):
            want = bitwise(data[start:end].tobytes())
            assert crc32c(data, start, end) == want
            middle = (start + end) // 2
            assert crc32c_continue(crc32c(data, start, middle), data, middle, end) == want
