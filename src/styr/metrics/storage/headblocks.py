"""The head's samples into blocks. Called by `db`'s maintenance, in a thread; calls `headread`, `block.writer`, `block.merge`.

Chunks are copied as they are, since a chunk does not cross the end of a block's range, unless blocks had other ranges when it
was made. Only those, late samples and what deletes left are merged and encoded anew.
Each function writes blocks and returns their metas; forgetting what is in them (`truncate`) comes after they are served.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import head as kernels
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.storage.block import meta
from styr.metrics.storage.block.merge import merge
from styr.metrics.storage.block.meta import Meta
from styr.metrics.storage.block.writer import write_block
from styr.metrics.storage.chunkset import ChunkSet
from styr.metrics.storage.head import Head
from styr.metrics.storage.headread import chunks_of
from styr.metrics.storage.headstate import LATE
from styr.metrics.storage.select import merged

Slots = NDArray[np.int32]
_SLICE = 4_000
"""Series whose chunks are copied at a time, under the lock."""
Name = Callable[[], str]
"""Makes the name of a new block."""


@dataclass(frozen=True, slots=True)
class Span:
    """start inclusive, end exclusive; milliseconds."""

    start: int
    end: int


def compactable(head: Head) -> Span | None:
    """The oldest block range, when the head's samples span one and a half ranges."""
    width, low, high = head.settings.chunk_range, head.state.min_t, head.state.max_t
    if low > high or high - low <= width * 3 // 2:
        return None
    start = low // width * width
    return Span(start, start + width)


def write_range(head: Head, root: Path, span: Span, name: Name) -> Meta | None:
    """One block of what is in order in a range. Raises StorageError."""
    with head.lock:
        live = head.registry.live()
    return write_block(root, _in_order(head, live, span), meta.new(name(), span.start, span.end))


def _in_order(head: Head, slots: Slots, span: Span) -> ChunkSet:
    """The chunks of some series, copied under the lock for a slice of them at a time."""
    sets = []
    for first in range(0, len(slots), _SLICE):
        found = chunks_of(head, slots[first : first + _SLICE], span.start, span.end - 1, late=False)
        if (found.mint < span.start).any() or (found.maxt >= span.end).any():
            found = merge([found], span.start, span.end - 1)  # Written when the ranges of blocks were others.
        sets.append(merge([found]) if found.deleted else found)
    return merged(sets)


def write_late(head: Head, root: Path, name: Name) -> list[Meta]:
    """A block for each range that has late samples; those of the head's log are forgotten then. Raises StorageError."""
    with head.lock:
        bounds = head.out_of_order.span()
        slots = np.array(sorted(head.out_of_order.series), np.int32)
    if bounds is None:
        return []
    width, made = head.settings.chunk_range, []
    for start in range(bounds[0] // width * width, bounds[1] + 1, width):
        found = chunks_of(head, slots, start, start + width - 1, in_order=False)
        if not len(found.segment):
            continue
        found = merge([found], start, start + width - 1)
        written = write_block(root, found, meta.new(name(), start, start + width, hints=(meta.OUT_OF_ORDER,)))
        if written is not None:
            made.append(written)
    return made


def stale_slots(head: Head) -> Slots:
    """Series that have ended: their newest sample is a staleness marker. Without late samples."""
    with head.lock:
        live = head.registry.live()
        rows = head.state.rows[live]
        ended: Slots = live[(rows[:, kernels.LAST_V] == STALE_BITS) & head.state.has_open(live)]
        late = np.array(sorted(head.out_of_order.series), np.int32)
    keep: Slots = ended[~np.isin(ended, late)]
    return keep


def write_stale(head: Head, root: Path, slots: Slots, name: Name) -> list[Meta]:
    """Blocks of all that the head has of some series. Raises StorageError."""
    width, made = head.settings.chunk_range, []
    low, high = head.state.min_t, head.state.max_t
    for start in range(low // width * width, high + 1, width):
        found = _in_order(head, slots, Span(start, start + width))
        written = write_block(root, found, meta.new(name(), start, start + width, hints=(meta.STALE_SERIES,)))
        if written is not None:
            made.append(written)
    return made


def forget_stale(head: Head, slots: Slots) -> None:
    """Those of the series that are still ended: none has come back while the block was written."""
    with head.lock:
        head.forget(slots[head.state.rows[slots, kernels.LAST_V] == STALE_BITS])
    _sweep(head)


def _sweep(head: Head) -> None:
    """Forgets the labels that only forgotten series had, a part of them at a time."""
    more = True
    while more:
        with head.lock:
            more = head.registry.sweep()


def truncate(head: Head, mint: int, empty: set[int]) -> set[int]:
    """Forgets everything before `mint`, which is in blocks. `empty` are series that had no sample at the last call; returns
    those that have none now: a series without samples goes at the second call, so that its maker has time to append."""
    with head.lock:
        emptied = _truncate(head, mint, empty)
    _sweep(head)
    return emptied


def _truncate(head: Head, mint: int, empty: set[int]) -> set[int]:
    head.min_valid = max(head.min_valid, mint)
    live = head.registry.live()
    newest = head.state.rows[live, kernels.LAST_T]
    without = newest == kernels.NEVER
    refs = head.registry.refs[live]
    gone = (newest < mint) & (~without | np.isin(refs, np.array(sorted(empty), np.int64)))
    late = np.array(sorted(head.out_of_order.series), np.int32)
    gone &= ~np.isin(live, late)
    head.forget(live[gone])
    head.state.drop_before(mint)
    info = head.state.info
    if info[kernels.MIN_T] != LATE:
        info[kernels.MIN_T] = max(head.state.oldest(), mint)
    head.disk.drop_before(mint)
    head.tombstones = {
        ref: kept for ref, ranges in head.tombstones.items() if (kept := [each for each in ranges if each[1] >= mint])
    }
    return set(refs[without & ~gone].tolist())
