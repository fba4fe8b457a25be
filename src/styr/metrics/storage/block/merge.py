"""Several chunk sets to one without overlaps and without what is deleted. Called by `compact`; calls `rewrite` and kernels.

Series meet by their label sets. A chunk that overlaps no other of its series and lost nothing stays as it is, byte for byte;
the others are decoded, merged and encoded anew. Of samples with the same time, that of the set that is named first stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.order import number_rows, order_rows
from styr.metrics.kernels.rewrite import find_clusters
from styr.metrics.model.frame import LabelFrame, Symbols
from styr.metrics.storage.block.rewrite import Chunks, rewrite
from styr.metrics.storage.chunkset import ChunkSet

Ids = NDArray[np.int32]
Ints = NDArray[np.int64]


def merge(sets: Sequence[ChunkSet]) -> ChunkSet:
    """The union. Series whose samples are all deleted are not in it. Raises Corrupt when a chunk that has to be decoded cannot
    be."""
    frame, series_of = _union([each.frame for each in sets])
    segments = [segment for each in sets for segment in each.segments]
    parts, base = [], 0
    for number, (each, series) in enumerate(zip(sets, series_of, strict=True)):
        parts.append(_chunks(each, series, number, base))
        base += len(each.segments)
    chunks = Chunks.join(parts).take_sorted()
    first = np.zeros(len(chunks.series), np.bool_)
    find_clusters(chunks.series, chunks.mint, chunks.maxt, first)
    cluster = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(first)))
    touched = (sizes > 1) | (np.add.reduceat(chunks.cuts, starts) > 0 if len(starts) else np.zeros(0, np.bool_))
    again = touched[cluster]
    if again.any():
        made, fresh = rewrite(chunks.take(np.flatnonzero(again)), cluster[again], sets, segments)
        for segment, part in zip(fresh, made, strict=True):
            part.segment[:] = len(segments)
            segments.append(segment)
        chunks = Chunks.join([chunks.take(np.flatnonzero(~again)), *made]).take_sorted()
    return _chunk_set(frame, chunks, segments)


def _chunk_set(frame: LabelFrame, chunks: Chunks, segments: Sequence[NDArray[np.uint8]]) -> ChunkSet:
    present = np.unique(chunks.series)
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


def _chunks(each: ChunkSet, series: Ints, source: int, base: int) -> Chunks:
    """The chunks of one set, without those that are deleted whole; `cuts` is set where a part is."""
    counts = np.diff(each.offsets)
    row = np.repeat(np.arange(each.frame.size), counts)
    cuts = np.zeros(len(row), np.bool_)
    keep = np.ones(len(row), np.bool_)
    for number, ranges in each.deleted.items():
        span = slice(int(each.offsets[number]), int(each.offsets[number + 1]))
        mint, maxt = each.mint[span], each.maxt[span]
        for low, high in ranges:
            keep[span] &= ~((low <= mint) & (maxt <= high))
            cuts[span] |= (low <= maxt) & (mint <= high)
    chunks = Chunks(
        series[row],
        np.full(len(row), source, np.int32),
        row,
        each.segment + np.int32(base),
        each.position,
        each.length,
        each.encoding,
        each.mint,
        each.maxt,
        cuts,
    )
    return chunks if keep.all() else chunks.take(np.flatnonzero(keep))
