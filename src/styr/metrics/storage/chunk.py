"""One chunk of any kind <-> its samples, as Python values. Called by `oo`, compaction and verification wherever samples of both
kinds meet or are few; calls `kernels.xor`, `kernels.xor2` and `histograms`. Many chunks of floats go through kernels instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.xor import xor_decode, xor_encode
from styr.metrics.kernels.xor2 import xor2_decode
from styr.metrics.model.errors import Corrupt
from styr.metrics.model.histogram import Histogram
from styr.metrics.storage import histograms
from styr.metrics.storage.chunkset import FLOATS, XOR

Ints = NDArray[np.int64]

MOST_SAMPLES = 120
"""In a new chunk."""

Value = int | Histogram
"""The bits of a float, or a histogram."""
Sample = tuple[int, Value]
"""Time and value."""
Encoded = tuple[int, bytes, int, int]
"""A chunk: encoding, data, times of the first and the last sample."""


def decode(data: NDArray[np.uint8], encoding: int) -> list[Sample]:
    """All samples of a chunk. Raises Corrupt."""
    if encoding in FLOATS:
        t, v = decode_floats(data, encoding)
        return list(zip(t.tolist(), v.tolist(), strict=True))
    return list(zip(*histograms.decode(data.tobytes(), encoding), strict=True))


def decode_floats(data: NDArray[np.uint8], encoding: int) -> tuple[Ints, Ints]:
    """Times and the values' bits. Raises Corrupt."""
    count = int(data[0]) << 8 | int(data[1])
    t, v = np.zeros(count, np.int64), np.zeros(count, np.int64)
    run = xor_decode if encoding == XOR else xor2_decode
    if run(data, 0, len(data), t, v, 0) < 0:
        raise Corrupt("a chunk of floats cannot be decoded")
    return t, v


def encode(times: Sequence[int], values: Sequence[Value]) -> list[Encoded]:
    """The fewest chunks with at most 120 samples of one kind each. `times` rise."""
    made: list[Encoded] = []
    first = 0
    for kind, group in groupby(
        values, key=type
    ):  # Where integer and float histograms alternate is the encoder's business.
        last = first + len(list(group))
        run = _encode_floats if kind is int else _encode_histograms
        for at in range(first, last, MOST_SAMPLES):
            behind = min(at + MOST_SAMPLES, last)
            made += run(times[at:behind], values[at:behind])
        first = last
    return made


def _encode_floats(times: Sequence[int], values: Sequence[Value]) -> list[Encoded]:
    out = np.zeros(20 * len(times) + 64, np.uint8)
    length = xor_encode(np.array(times, np.int64), np.array(values, np.int64), 0, len(times), out, 0)
    return [(XOR, out[:length].tobytes(), times[0], times[-1])]


def _encode_histograms(times: Sequence[int], values: Sequence[Value]) -> list[Encoded]:
    encoders = histograms.encode(times, [value for value in values if isinstance(value, Histogram)])
    return [(each.encoding, each.data(), each.mint, each.maxt) for each in encoders]
