"""Chunks in the segment files of a block: framing many into a buffer, finding and checking many in a map.

Called by `storage.block` (chunkfile). An entry is: length of the data (uvarint), encoding (1 byte), data, CRC-32C of encoding
and data (4 bytes, big endian). Never looks into a chunk, but for the number of samples, which every encoding has first (u16;
its first two bits are flags in encodings 5 and 6).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int
from styr.metrics.kernels.crc import crc32c
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_u32, read_uvarint, write_u32, write_uvarint

Ints = NDArray[np.int64]


@kernel("i8(u1[::1], i8[::1], i8[::1], u1[::1], i8[::1], i8[::1], u1[::1], i8[::1])")
def frame(
    source: Bytes,
    position: Ints,
    length: Ints,
    encoding: Bytes,
    which: Ints,
    target: Ints,
    out: Bytes,
    samples: Ints,
) -> Int:
    """Copies chunk `c = which[i]`, `source[position[c]:position[c] + length[c]]`, as an entry to `out[target[i]:]`. Adds its
    samples to `samples[encoding]` (as long as there are encodings). Returns -1, or the first `c` that is out of bounds."""
    for i in range(len(which)):
        c = which[i]
        start, size = position[c], length[c]
        if start < 0 or size < 2 or start + size > len(source) or target[i] + size + 15 > len(out):
            return c
        if encoding[c] >= len(samples):
            return c
        at = write_uvarint(out, target[i], size)
        out[at] = encoding[c]
        for k in range(size):
            out[at + 1 + k] = source[start + k]
        write_u32(out, at + 1 + size, np.int64(crc32c(out, at, at + 1 + size)))
        count = np.int64(source[start]) << 8 | np.int64(source[start + 1])
        samples[encoding[c]] += count if encoding[c] < 5 else count & 0x3FFF
    return -1


@kernel("i8(u1[::1], i8[::1], i8[::1], i8[::1], i8[::1], u1[::1])")
def locate(data: Bytes, offset: Ints, which: Ints, position: Ints, length: Ints, encoding: Bytes) -> Int:
    """Reads the entry at `offset[c]` for each `c` of `which`; fills `position`, `length` (of the data) and `encoding`.
    Returns -1, or the first `c` that is out of bounds or whose checksum is wrong."""
    for i in range(len(which)):
        c = which[i]
        if offset[c] < 0:
            return c
        size, at = read_uvarint(data, offset[c], len(data))
        if at < 0 or size < 2 or size > len(data) - at - 5:
            return c
        end = at + 1 + size
        if np.int64(crc32c(data, at, end)) != read_u32(data, end):
            return c
        position[c], length[c], encoding[c] = at + 1, size, data[at]
    return -1


@kernel("i8(u1[::1], i8[::1], i8[::1], i8[::1], i8[::1], u1[::1])")
def gather(source: Bytes, position: Ints, length: Ints, which: Ints, target: Ints, out: Bytes) -> Int:
    """Copies the data of chunk `c = which[i]` to `out[target[i]:]`. Returns -1, or the first `c` that is out of bounds."""
    for i in range(len(which)):
        c = which[i]
        start, size = position[c], length[c]
        if start < 0 or size < 0 or start + size > len(source) or target[i] + size > len(out):
            return c
        for k in range(size):
            out[target[i] + k] = source[start + k]
    return -1
