"""Several chunk sets to one without overlaps and without what is deleted. Called by `compact`; calls `rewrite` and kernels.

Series meet by their label sets. A chunk that overlaps no other of its series and lost nothing stays as it is, byte for byte;
the others are decoded, merged and encoded anew. Of samples with the same time, that of the chunk that begins first stays, then
that of the set that is named first: as in queries (`storage.select`), so that compaction changes no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.order import number_rows, order_rows
from styr.metrics.kernels.rewrite import find_clusters
from styr.metrics.model.frame import LabelFrame, Symbols
from styr.metrics.storage.block.index import FIRST, LAST
from styr.metrics.storage.block.rewrite import Chunks, Cuts, rewrite
from styr.metrics.storage.chunkset import ChunkSet

Ids = NDArray[np.int32]
Ints = NDArray[np.int64]


def merge(sets: Sequence[ChunkSet], start: int = FIRST, end: int = LAST) -> ChunkSet:
    """The union, of the samples of `start .. end` (inclusive). Series without samples are not in it. Raises Corrupt when a
    chunk that has to be decoded cannot be."""
    if len(sets) == 1:
        frame, series_of = sets[0].frame, [np.arange(sets[0].frame.size)]
    else:
        frame, series_of = _union([each.frame for each in sets])
    segments = [segment for each in sets for segment in each.segments]
    parts, ranges, base, number = [], [], 0, 0
    for source, (each, series) in enumerate(zip(sets, series_of, strict=True)):
        parts.append(_chunks(each, series, source, base, number))
        ranges.append(_deleted(each, number))
        base += len(each.segments)
        number += len(each.length)
    chunks = Chunks.join(parts)
    cuts = Cuts.of(chunks, [*ranges, _outside(chunks, start, end)])
    chunks = chunks.take(np.flatnonzero(~cuts.gone)).take_sorted()
    first = np.zeros(len(chunks.series), np.bool_)
    find_clusters(chunks.series, chunks.mint, chunks.maxt, first)
    cluster = np.cumsum(first) - 1
    touched = np.bincount(cluster, cuts.touched[chunks.number]) + (np.bincount(cluster) > 1) > 0
    again = touched[cluster]
    if again.any():
        made, fresh = rewrite(chunks.take(np.flatnonzero(again)), cluster[again], cuts, segments)
        for segment, part in zip(fresh, made, strict=True):
            part.segment[:] = len(segments)
            segments.append(segment)
        chunks = Chunks.join([chunks.take(np.flatnonzero(~again)), *made]).take_sorted()
    return _chunk_set(frame, chunks, segments)


def _chunk_set(frame: LabelFrame, chunks: Chunks, segments: Sequence[NDArray[np.uint8]]) -> ChunkSet:
    present = chunks.series[np.diff(chunks.series, prepend=-1) > 0]
    offsets = np.append(np.searchsorted(chunks.series, present), len(chunks.series)).astype(np.int64)
    return ChunkSet(
        frame.take(present),
        offsets,
        chunks.segment,
        chunks.position,
        chunks.length,
        chunks.encoding,
        chunks.mint,
        chunks.maxt,
        segments,
    )


def _union(frames: Sequence[LabelFrame]) -> tuple[LabelFrame, list[Ints]]:
    """(all label sets, sorted; for each frame the row of each of its series)."""
    symbols = Symbols()
    names = sorted({name for frame in frames for name in frame.columns})
    ids = np.zeros((sum(frame.size for frame in frames), len(names)), np.int32)
    at = 0
    for frame in frames:
        own = np.array([symbols.id(string) for string in frame.symbols.strings], np.int32)
        for k, name in enumerate(names):
            if name in frame.columns:
                ids[at : at + frame.size, k] = own[frame.columns[name]]
        at += frame.size
    rank = np.zeros(len(symbols), np.int32)
    rank[sorted(range(len(symbols)), key=symbols.strings.__getitem__)] = np.arange(len(symbols))
    order = order_rows(ids, rank)
    number = np.zeros(len(order), np.int64)
    count = number_rows(ids, rank, order, number)
    row_of = np.empty(len(order), np.int64)
    row_of[order] = number
    firsts = order[np.searchsorted(number, np.arange(count))]
    columns = {name: np.ascontiguousarray(ids[firsts, k]) for k, name in enumerate(names)}
    bounds = np.cumsum([0, *(frame.size for frame in frames)]).tolist()
    rows = [row_of[low:high] for low, high in pairwise(bounds)]
    return LabelFrame(symbols, count, columns), rows


def _chunks(each: ChunkSet, series: Ints, source: int, base: int, number: int) -> Chunks:
    """The chunks of one set; they are numbered from `number` on."""
    count = len(each.length)
    return Chunks(
        np.repeat(series, np.diff(each.offsets)),
        np.full(count, source, np.int32),
        np.arange(number, number + count),
        each.segment + np.int32(base),
        each.position,
        each.length,
        each.encoding,
        each.mint,
        each.maxt,
    )


def _deleted(each: ChunkSet, number: int) -> Ints:
    """Rows (chunk, first time, last time): each range that is deleted, for each chunk of its series."""
    ranges = [(row, low, high) for row, own in each.deleted.items() for low, high in own]
    rows, lows, highs = np.array(ranges, np.int64).reshape(-1, 3).T
    counts = np.diff(each.offsets)[rows]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    chunk = np.repeat(each.offsets[:-1][rows], counts) + within + number
    return np.stack([chunk, np.repeat(lows, counts), np.repeat(highs, counts)], axis=1)


def _outside(chunks: Chunks, start: int, end: int) -> Ints:
    """The same of what is outside `start .. end`, for the chunks that reach there."""
    early, late = chunks.number[chunks.mint < start], chunks.number[chunks.maxt > end]
    before = np.stack([early, np.full(len(early), FIRST), np.full(len(early), start - (start > FIRST))], axis=1)
    after = np.stack([late, np.full(len(late), end + (end < LAST)), np.full(len(late), LAST)], axis=1)
    return np.concatenate([before, after])
