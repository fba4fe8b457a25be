"""Writes a block, whole or not at all. Called by the head's cut, compaction and backfill.

Calls `chunkfile`, `indexwriter`, `meta` and `tombstones`. Everything is written to `<ULID>.tmp-for-creation` and synced, then
the folder gets its name. What a crash leaves behind is removed by `catalog.clean` at the next start.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from styr.metrics.model.errors import StorageError
from styr.metrics.storage.block import chunkfile, files, meta, tombstones
from styr.metrics.storage.block.chunkfile import SEGMENT_SIZE, write_chunks
from styr.metrics.storage.block.index import FILE as INDEX
from styr.metrics.storage.block.indexwriter import write_index
from styr.metrics.storage.block.meta import Meta, Stats
from styr.metrics.storage.chunkset import FLOATS, ChunkSet

CREATING = ".tmp-for-creation"
CHUNKS = "chunks"


def write_block(root: Path, chunks: ChunkSet, new: Meta, segment_size: int = SEGMENT_SIZE) -> Meta | None:
    """Makes the block `root/<new.ulid>` of all `chunks`; returns its meta with the statistics, None (and no block) when there
    is no sample.

    `chunks.frame` is sorted strictly; the chunks of a series rise in time and do not overlap; `deleted` is not looked at. `new`
    says name, range and ancestry. Raises StorageError: the disk refused (nothing is left behind), or the chunks are not so.
    """
    chunks = _with_chunks(chunks)
    _check(chunks, new)
    if not len(chunks.length):
        return None
    temporary = root / (new.ulid + CREATING)
    with files.reported(f"write block {new.ulid}", "free some space, or shorten the retention"):
        try:
            files.remove_tree(temporary)
            temporary.mkdir(parents=True)
            written = _fill(temporary, chunks, new, segment_size)
            if written is not None:
                files.rename(temporary, root / new.ulid)
                return written
        except (OSError, StorageError):
            with contextlib.suppress(OSError):
                files.remove_tree(temporary)
            raise
        files.remove_tree(temporary)
    return None


def _fill(directory: Path, chunks: ChunkSet, new: Meta, segment_size: int) -> Meta | None:
    refs, samples = write_chunks(directory / CHUNKS, chunks, segment_size)
    total, floats = int(samples.sum()), int(samples[list(FLOATS)].sum())
    if not total:
        return None
    write_index(directory / INDEX, chunks.frame, chunks.offsets, refs, chunks.mint, chunks.maxt)
    stats = Stats(total, floats, total - floats, chunks.frame.size, len(refs), 0)
    written = replace(new, stats=stats)
    tombstones.write(directory, {})
    meta.write(directory, written)
    return written


def _with_chunks(chunks: ChunkSet) -> ChunkSet:
    """Without the series that have none."""
    counts = np.diff(chunks.offsets)
    if np.all(counts > 0):
        return chunks
    rows = np.flatnonzero(counts > 0)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[rows])])
    return replace(chunks, frame=chunks.frame.take(rows), offsets=offsets)


def _check(chunks: ChunkSet, new: Meta) -> None:
    """What the format demands of the order and the times of chunks. Raises StorageError."""
    count = len(chunks.length)
    if len(chunks.offsets) != chunks.frame.size + 1 or chunks.offsets[0] != 0 or chunks.offsets[-1] != count:
        raise StorageError(f"cannot write block {new.ulid}: its series and chunks do not go together")
    if not count:
        return
    wrong = chunks.maxt < chunks.mint
    wrong[1:] |= chunks.mint[1:] <= chunks.maxt[:-1]
    firsts = chunks.offsets[:-1]
    wrong[firsts] = chunks.maxt[firsts] < chunks.mint[firsts]
    if wrong.any():
        series = int(np.searchsorted(chunks.offsets, int(np.flatnonzero(wrong)[0]), "right")) - 1
        raise StorageError(
            f"cannot write block {new.ulid}: chunks of series {chunks.frame.labels(series)} overlap or are out of order"
        )
    if int(chunks.mint.min()) < new.mint or int(chunks.maxt.max()) >= new.maxt:
        raise StorageError(
            f"cannot write block {new.ulid}: samples of {int(chunks.mint.min())} .. {int(chunks.maxt.max())} are outside "
            f"its range {new.mint} .. {new.maxt - 1}"
        )
    if int(chunks.encoding.min()) < 1 or int(chunks.encoding.max()) >= chunkfile.ENCODINGS:
        raise StorageError(f"cannot write block {new.ulid}: a chunk has an unknown encoding")
