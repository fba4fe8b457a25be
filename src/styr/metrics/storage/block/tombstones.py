"""The tombstones file of a block: which time ranges of which series have been deleted. Called by `block` and `delete`.

File: magic (4 bytes), version (1), then for each range the series' number (uvarint), its first and last time (varint, both
inclusive), at the end CRC-32C of what is behind the version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from styr.metrics.kernels.crc import crc32c
from styr.metrics.model.errors import Corrupt
from styr.metrics.storage.block import files

FILE = "tombstones"
MAGIC = 0x0130BA30
VERSION = 1

Range = tuple[int, int]
Tombstones = dict[int, list[Range]]
"""By number of the series (as in the index): sorted ranges that neither overlap nor touch."""


def add(ranges: Iterable[Range], new: Range) -> list[Range]:
    """With one more range; those that overlap or touch become one."""
    start, end = new
    kept = []
    for low, high in ranges:
        if high < start - 1 or low > end + 1:
            kept.append((low, high))
        else:
            start, end = min(start, low), max(end, high)
    return sorted([*kept, (start, end)])


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(value: int) -> bytes:
    return _uvarint(value << 1 if value >= 0 else ~value << 1 | 1)


def encode(stones: Mapping[int, Iterable[Range]]) -> bytes:
    body = b"".join(
        _uvarint(ref) + _varint(low) + _varint(high) for ref, ranges in sorted(stones.items()) for low, high in ranges
    )
    return MAGIC.to_bytes(4, "big") + bytes([VERSION]) + body + _checksum(body).to_bytes(4, "big")


def _checksum(body: bytes) -> int:
    return int(crc32c(np.frombuffer(body, np.uint8).copy(), 0, len(body)))


def decode(data: bytes, file: str = "") -> Tombstones:
    """Raises Corrupt."""
    if len(data) < 9:
        raise Corrupt("a tombstones file is at least 9 bytes long", file, len(data))
    if int.from_bytes(data[:4], "big") != MAGIC:
        raise Corrupt("not a tombstones file: wrong magic number", file, 0)
    if data[4] != VERSION:
        raise Corrupt(f"tombstones of version {data[4]}; {VERSION} can be read", file, 4)
    body = data[5:-4]
    if _checksum(body) != int.from_bytes(data[-4:], "big"):
        raise Corrupt("tombstones do not match their checksum", file, len(data) - 4)
    stones: Tombstones = {}
    at = 0
    while at < len(body):
        begin = at
        ref, at = _read(body, at, file)
        low, at = _read(body, at, file)
        high, at = _read(body, at, file)
        low, high = (~(low >> 1) if low & 1 else low >> 1), (~(high >> 1) if high & 1 else high >> 1)
        if low > high:
            raise Corrupt(f"the deleted range {low} .. {high} ends before it begins", file, begin + 5)
        stones[ref] = add(stones.get(ref, ()), (low, high))
    return stones


def _read(body: bytes, at: int, file: str) -> tuple[int, int]:
    value = shift = 0
    for i in range(at, min(at + 10, len(body))):
        value |= (body[i] & 0x7F) << shift
        if body[i] < 0x80 and value < 1 << 64:
            return value, i + 1
        shift += 7
    raise Corrupt("a tombstone is cut off", file, at + 5)


def read(directory: Path) -> Tombstones:
    """Empty when there is no file. Raises Corrupt and OSError."""
    path = directory / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    return decode(data, str(path))


def write(directory: Path, stones: Mapping[int, Iterable[Range]]) -> None:
    """In one step, in place of the one that is there; the folder is not synced."""
    files.write_file(directory / FILE, [encode(stones)])
