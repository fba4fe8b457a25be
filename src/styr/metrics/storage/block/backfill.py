"""Makes blocks of samples from elsewhere, as `promtool tsdb create-blocks-from` does. Called by the command line.

Calls `writer`. All samples are held in memory, 20 bytes each. Blocks begin at multiples of their range; what they overlap is
merged by the next compaction.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.xor import xor_encode_many
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.labels import Labels, make
from styr.metrics.storage.block import compact, meta
from styr.metrics.storage.block.meta import Meta
from styr.metrics.storage.block.writer import write_block
from styr.metrics.storage.chunk import MOST_SAMPLES
from styr.metrics.storage.chunkset import XOR, ChunkSet

Ints = NDArray[np.int64]


def create_blocks(
    root: Path,
    samples: Iterable[tuple[Labels, int, float]],
    name: Callable[[], str],
    *,
    longest: int = compact.BLOCK_RANGE,
    extra: Mapping[str, str] | None = None,
) -> list[Meta]:
    """Writes `samples` (labels, ms, value; in any order) to blocks under `root` that are as long as the longest block range
    up to `longest` ms; returns their metas. `name()` gives the ULID of the next block, `extra` labels every series gets. Of
    samples of a series with the same time the first stays. Raises StorageError; blocks that were finished before stay."""
    series: dict[Labels, int] = {}
    rows, times, bits = array("i"), array("q"), array("q")
    for labels, time, value in samples:
        key = make({**dict(labels), **extra}) if extra else labels
        rows.append(series.setdefault(key, len(series)))
        times.append(time)
        bits.append(struct.unpack("q", struct.pack("d", value))[0])
    length = compact.ranges(longest)[-1]
    row, t, v = np.array(rows, np.int64), np.array(times, np.int64), np.array(bits, np.int64)
    ordered = sorted(series)
    rank = np.zeros(len(series), np.int64)
    rank[[series[labels] for labels in ordered]] = np.arange(len(series))
    row = rank[row]
    root.mkdir(parents=True, exist_ok=True)
    block = t // length
    made = []
    for number in np.unique(block).tolist():
        which = np.flatnonzero(block == number)
        chunks = _chunks(ordered, row[which], t[which], v[which])
        written = write_block(root, chunks, meta.new(name(), number * length, (number + 1) * length))
        made += [written] if written else []
    return made


def _chunks(ordered: list[Labels], row: Ints, t: Ints, v: Ints) -> ChunkSet:
    order = np.lexsort((t, row))  # Stable: of equal times the first comes first.
    row, t, v = row[order], t[order], v[order]
    new = np.ones(len(row), np.bool_)
    new[1:] = (np.diff(row) != 0) | (np.diff(t) != 0)
    row, t, v = row[new], np.ascontiguousarray(t[new]), np.ascontiguousarray(v[new])
    present, starts, counts = np.unique(row, return_index=True, return_counts=True)
    per_series = -(-counts // MOST_SAMPLES)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_series)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], per_series)
    first = np.repeat(starts, per_series) + within * MOST_SAMPLES
    bounds = np.append(first, len(t)).astype(np.int64)
    out = np.zeros(19 * len(t) + 32 * len(bounds), np.uint8)
    places = np.zeros(len(bounds), np.int64)
    end = xor_encode_many(t, v, bounds, out, places)
    frame = LabelFrame.of([ordered[i] for i in present.tolist()])
    return ChunkSet(
        frame,
        offsets,
        np.zeros(len(first), np.int32),
        places[:-1].copy(),
        np.diff(places),
        np.full(len(first), XOR, np.uint8),
        t[bounds[:-1]],
        t[bounds[1:] - 1],
        [out[: end + 8]],
    )
