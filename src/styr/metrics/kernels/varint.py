"""Variable-length integers as Go's encoding/binary writes them, and big-endian words: helpers of the other kernels.

Readers take the end of what may be read and return (value, position after it); the position is -1 when the bytes end too early
or say more than 64 bits. Writers return the position after what they wrote, -1 when it does not fit. All values are int64; an
unsigned one above 2**63 comes out negative, with the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.jit import kernel

Bytes = NDArray[np.uint8]
Int = Any
"""A machine integer in a kernel: numba, not mypy, gives it its width."""


@kernel()
def read_uvarint(data: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    value = np.uint64(0)
    shift = np.uint64(0)
    for i in range(at, min(end, at + 10)):
        byte = np.uint64(data[i])
        if byte < np.uint64(0x80):
            if shift == np.uint64(63) and byte > np.uint64(1):
                return 0, -1
            return np.int64(value | byte << shift), i + 1
        value |= (byte & np.uint64(0x7F)) << shift
        shift += np.uint64(7)
    return 0, -1


@kernel()
def read_varint(data: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Zigzag: 0, -1, 1, -2, ..."""
    raw, after = read_uvarint(data, at, end)
    bits = np.uint64(raw)
    half = np.int64(bits >> np.uint64(1))
    return (~half if bits & np.uint64(1) else half), after


@kernel()
def write_uvarint(out: Bytes, at: Int, value: Int) -> Int:
    bits = np.uint64(value)
    while bits >= np.uint64(0x80):
        if at >= len(out):
            return -1
        out[at] = np.uint8(bits & np.uint64(0x7F) | np.uint64(0x80))
        bits >>= np.uint64(7)
        at += 1
    if at >= len(out):
        return -1
    out[at] = np.uint8(bits)
    return at + 1


@kernel()
def write_varint(out: Bytes, at: Int, value: Int) -> Int:
    """Zigzag."""
    signed = np.int64(value)
    bits = np.uint64(signed) << np.uint64(1)
    return write_uvarint(out, at, np.int64(~bits if signed < 0 else bits))


@kernel()
def read_u32(data: Bytes, at: Int) -> Int:
    """Big endian. The caller has checked that four bytes are there."""
    high = np.int64(data[at]) << 24 | np.int64(data[at + 1]) << 16
    return high | np.int64(data[at + 2]) << 8 | np.int64(data[at + 3])


@kernel()
def write_u32(out: Bytes, at: Int, value: Int) -> Int:
    """Big endian; -1 when it does not fit."""
    if at + 4 > len(out):
        return -1
    out[at] = np.uint8(value >> 24 & 0xFF)
    out[at + 1] = np.uint8(value >> 16 & 0xFF)
    out[at + 2] = np.uint8(value >> 8 & 0xFF)
    out[at + 3] = np.uint8(value & 0xFF)
    return at + 4


@kernel()
def read_u64(data: Bytes, at: Int) -> Int:
    """Big endian. The caller has checked that eight bytes are there."""
    return read_u32(data, at) << 32 | read_u32(data, at + 4)


@kernel()
def write_u64(out: Bytes, at: Int, value: Int) -> Int:
    """Big endian; -1 when it does not fit."""
    if at + 8 > len(out):
        return -1
    write_u32(out, at, value >> 32 & 0xFFFFFFFF)
    return write_u32(out, at + 4, value & 0xFFFFFFFF)
