"""Reads everything in a block and checks that it goes together. Called by the command line and by tests.

Opening a block checks the checksums of what it reads; this goes further, to every chunk and every postings list, and compares
what the parts say of each other.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import Corrupt
from styr.metrics.model.frame import LabelFrame
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.index import Found
from styr.metrics.storage.chunk import decode, decode_floats
from styr.metrics.storage.chunkset import FLOATS


def verify(block: Block) -> None:
    """Raises Corrupt with the first fault. Decodes all samples: about a second for ten million."""
    file = block.index.file
    ids = block.index.postings("", "")
    found = block.index.series(ids)
    if len(ids) > 1 and np.diff(ids).min() <= 0:
        raise Corrupt("the list of all series is not sorted", file)
    if len(found.ids) != len(ids):
        raise Corrupt(f"{len(ids) - len(found.ids)} series have no chunks", file)
    _check_order(found.frame, file)
    _check_postings(block, found)
    _check_times(block, found)
    _check_samples(block)
    for ref in block.tombstones:
        if ref not in ids:
            raise Corrupt(f"series {ref} has deleted ranges but is not there", str(block.directory))


def _check_order(frame: LabelFrame, file: str) -> None:
    sets = frame.all_labels()
    for before, after in pairwise(sets):
        if before >= after:
            raise Corrupt(f"series {after} is not in order", file)


def _check_postings(block: Block, found: Found) -> None:
    """Each list has exactly the series with its label."""
    names = block.index.table.names
    present = sorted(name for name, column in found.frame.columns.items() if column.any())
    if names != present:
        raise Corrupt("the offset table has other label names than the series", block.index.file)
    for name in names:
        column = found.frame.columns[name]
        values, offsets = block.index.table.values(name)
        if values != sorted({found.frame.symbols.strings[i] for i in np.unique(column).tolist() if i}):
            raise Corrupt(f"the offset table has other values of {name!r} than the series", block.index.file)
        order = np.argsort(column, kind="stable")
        order = order[column[order] > 0]
        lists = np.split(order, np.flatnonzero(np.diff(column[order])) + 1)
        by_value = {found.frame.symbols.strings[column[rows[0]]]: found.ids[rows] for rows in lists}
        for value, offset in zip(values, offsets.tolist(), strict=True):
            if not np.array_equal(block.index.postings_at(offset), by_value[value]):
                raise Corrupt(f"the postings of {name}={value!r} are not the series with it", block.index.file, offset)


def _check_times(block: Block, found: Found) -> None:
    overlap = found.mints[1:] <= found.maxts[:-1]
    inside = np.ones(len(found.mints), np.bool_)
    inside[found.chunk_at[:-1]] = False
    if (overlap & inside[1:]).any() or (found.maxts < found.mints).any():
        raise Corrupt("chunks of a series overlap or are out of order", block.index.file)
    meta = block.meta
    if len(found.mints) and (int(found.mints.min()) < meta.mint or int(found.maxts.max()) >= meta.maxt):
        raise Corrupt(f"there are chunks outside {meta.mint} .. {meta.maxt}", block.index.file)
    if (meta.stats.series, meta.stats.chunks) != (len(found.ids), len(found.mints)):
        raise Corrupt("the meta file counts other series or chunks than there are", str(block.directory))


def _times(data: NDArray[np.uint8], encoding: int) -> NDArray[np.int64]:
    if encoding in FLOATS:
        return decode_floats(data, encoding)[0]
    return np.array([t for t, _ in decode(data, encoding)], np.int64)


def _check_samples(block: Block) -> None:
    """Each chunk holds what the index says."""
    chunks = block.chunks([])
    total = 0
    for c in range(len(chunks.length)):
        at = int(chunks.position[c])
        data = chunks.segments[int(chunks.segment[c])][at : at + int(chunks.length[c])]
        times = _times(data, int(chunks.encoding[c]))
        if not len(times) or times[0] != chunks.mint[c] or times[-1] != chunks.maxt[c] or (np.diff(times) <= 0).any():
            raise Corrupt("a chunk has other times than the index says", str(block.files.directory), at)
        total += len(times)
    if total != block.meta.stats.samples:
        raise Corrupt(
            f"the meta file counts {block.meta.stats.samples} samples; there are {total}", str(block.directory)
        )
