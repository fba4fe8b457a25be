"""One chunk of any kind <-> its samples, as Python values. Called by `oo`, compaction and verification wherever samples of both
kinds meet or are few; calls `kernels.xor`, `kernels.xor2` and `histograms`. Many chunks of floats go through kernels instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.xor import xor_decode, xor_encode
from styr.metrics.kernels.xor2 import xor2_decode
from styr.metrics.model.errors import Corrupt
from styr.metrics.model.histogram import Histogram
from styr.metrics.storage import histograms
from styr.metrics.storage.chunkset import FLOAT_HISTOGRAM, FLOATS, HISTOGRAM, XOR

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


def encode(samples: Iterable[Sample]) -> list[Encoded]:
    """The fewest chunks with at most 120 samples of one kind each. `samples` rise in time."""
    made: list[Encoded] = []
    for _, group in groupby(samples, key=lambda sample: _kind(sample[1])):
        run = list(group)
        for at in range(0, len(run), MOST_SAMPLES):
            made += _encode_run(run[at : at + MOST_SAMPLES])
    return made


def _kind(value: Value) -> int:
    if isinstance(value, Histogram):
        return HISTOGRAM if value.integer else FLOAT_HISTOGRAM
    return XOR


def _encode_run(run: Sequence[Sample]) -> list[Encoded]:
    values = [value for _, value in run if isinstance(value, Histogram)]
    if values:
        encoders = histograms.encode([t for t, _ in run], values)
        return [(each.encoding, each.data(), each.mint, each.maxt) for each in encoders]
    t, v = np.array(run, np.int64).T.copy()
    out = np.zeros(20 * len(run) + 64, np.uint8)
    length = xor_encode(t, v, 0, len(run), out, 0)
    return [(XOR, out[:length].tobytes(), run[0][0], run[-1][0])]
