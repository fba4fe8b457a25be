"""CRC-32C (Castagnoli), the checksum of every file of a data directory: blocks, head chunks, write-ahead log.

Called by the other kernels and by `storage`; calls nothing. Eight bytes a step through eight tables ("slicing by 8"), which
needs no special instruction and so gives the same code on every processor. Polynomial 0x1EDC6F41, reflected 0x82F63B78 (RFC
3720, appendix B.4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.jit import kernel

Bytes = NDArray[np.uint8]


def _tables() -> NDArray[np.uint32]:
    """Row k: what a byte does to the checksum when k zero bytes follow it."""
    row = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        row = np.where(row & 1, (row >> 1) ^ np.uint32(0x82F63B78), row >> 1).astype(np.uint32)
    rows = [row]
    for _ in range(7):
        rows.append(rows[0][rows[-1] & 0xFF] ^ (rows[-1] >> 8))
    return np.ascontiguousarray(np.stack(rows))


_T = _tables()
_LOW = np.uint64(0xFFFFFFFF)
_BYTE = np.uint64(0xFF)


@kernel("u4(i8, u1[::1], i8, i8)")
def crc32c_continue(seed: int, data: Bytes, start: int, end: int) -> int:
    """The checksum of what `seed` is the checksum of, followed by `data[start:end]`. The caller has checked the bounds."""
    crc = np.uint64(seed) ^ _LOW
    at = start
    while at + 8 <= end:
        low = crc ^ (
            np.uint64(data[at])
            | np.uint64(data[at + 1]) << np.uint64(8)
            | np.uint64(data[at + 2]) << np.uint64(16)
            | np.uint64(data[at + 3]) << np.uint64(24)
        )
        crc = np.uint64(
            _T[7, low & _BYTE]
            ^ _T[6, (low >> np.uint64(8)) & _BYTE]
            ^ _T[5, (low >> np.uint64(16)) & _BYTE]
            ^ _T[4, (low >> np.uint64(24)) & _BYTE]
            ^ _T[3, data[at + 4]]
            ^ _T[2, data[at + 5]]
            ^ _T[1, data[at + 6]]
            ^ _T[0, data[at + 7]]
        )
        at += 8
    while at < end:
        crc = np.uint64(_T[0, (crc ^ np.uint64(data[at])) & _BYTE]) ^ (crc >> np.uint64(8))
        at += 1
    return np.uint32(crc ^ _LOW)  # type: ignore[return-value]  # an integer to its callers


@kernel("u4(u1[::1], i8, i8)")
def crc32c(data: Bytes, start: int, end: int) -> int:
    """The checksum of `data[start:end]`. The caller has checked the bounds."""
    return crc32c_continue(0, data, start, end)
