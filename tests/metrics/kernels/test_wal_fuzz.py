"""The kernels that read files, fed with bytes that no writer wrote: every index is checked, and none is out of bounds."""

from __future__ import annotations

import os
import subprocess
import sys

FUZZ = """
import numpy as np
from styr.metrics.kernels import headscan, replay, wal, walseries
random = np.random.default_rng(11)

def bytes_(kind):
    data = random.integers(0, 256, int(random.integers(1, 300))).astype(np.uint8)
    if random.random() < 0.5:
        data[random.random(len(data)) < 0.7] &= 7
    data[0] = kind
    return data

def padded(data):
    return np.concatenate([data, np.zeros(16, np.uint8)])

def damaged(data):
    data = data.copy()
    for _ in range(int(random.integers(0, 4))):
        data[int(random.integers(0, len(data)))] ^= np.uint8(1 << int(random.integers(0, 8)))
    return data[: int(random.integers(1, len(data) + 1))]

def deframe(raw):
    most = len(raw) // 7 + 2
    out, starts, good = np.zeros(len(raw) + 16, np.uint8), np.zeros(most, np.int64), np.zeros(2, np.int64)
    count = wal.deframe(raw, len(raw), out, starts, np.zeros(most, np.uint8), good)
    assert 0 <= count < most and 0 <= good[0] <= len(raw)

def row_of(n):
    out, last = np.zeros(64 + 20 * n, np.uint8), np.zeros(n, np.int64)
    values = random.integers(-2**63, 2**63 - 1, n) >> random.integers(0, 64, n)
    length = wal.encode_row(3, 123456789, last, values, np.uint8(1), out)
    assert wal.decode_row(padded(out[:length]), 10, length, last) == length and (last == values).all()
    return out[:length]

def row(data, n):
    last = np.zeros(n, np.int64)
    end = wal.decode_row(padded(data), min(10, len(data)), len(data), last)
    assert end <= len(data)

def series(data):
    most = len(data)
    ends, count = np.zeros(most + 2, np.int64), np.zeros(2, np.int64)
    refs, offsets = np.zeros(most // 9 + 1, np.int64), np.zeros(most // 9 + 2, np.int64)
    pairs = np.zeros(most // 2 + 1, np.int32)
    walseries.decode_series(padded(data), 1, len(data), refs, offsets, pairs, np.zeros(most + 16, np.uint8), ends,
                      np.zeros(1024, np.int32), count)

frames = np.zeros(100_000, np.uint8)
for turn in range(4000):
    raw = bytes_(int(random.integers(0, 20)))
    end = wal.frame(raw, 0, len(raw), np.uint8(0), frames, 0, 0)
    end = wal.frame(raw, 0, len(raw), np.uint8(8), frames, end, end)
    deframe(frames[:end].copy())
    deframe(damaged(frames[:end]))
    deframe(raw)
    n = int(random.integers(1, 40))
    row(damaged(row_of(n)), n)
    row(bytes_(97), n)
    data = bytes_(2)
    most = len(data) // 10 + 1
    arrays = [np.zeros(most, np.int64) for _ in range(3)]
    assert wal.decode_samples(padded(data), 0, len(data), *arrays) <= most
    series(bytes_(1))
    wal.decode_layout(data, 2, len(data), np.zeros(n, np.int64))
    found = np.zeros((len(raw) // 40 + 1, 6), np.int64)
    assert headscan.scan_chunks(raw, min(8, len(raw)), found, np.zeros(2, np.int64)) <= len(found)
    entries = np.zeros(len(data) // 56 + 1, np.int64)
    assert replay.open_refs(padded(data), 1, len(data), entries) <= len(entries)
"""


def test_random_bytes_stay_in_bounds() -> None:
    environment = {**os.environ, "STYR_KERNEL_BOUNDSCHECK": "1"}
    done = subprocess.run([sys.executable, "-c", FUZZ], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
