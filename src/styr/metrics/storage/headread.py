"""What the head holds for a query, as a `ChunkSet`. Called by `db`; calls `postings`, `headstate`, `kernels.gather`.

Under the head's lock only copies are made: label ids, the list of closed chunks, the bytes of open ones. Sorting comes after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import gather
from styr.metrics.kernels import head as headkernels
from styr.metrics.kernels import registry as kernels
from styr.metrics.kernels.order import order_rows
from styr.metrics.model.frame import LabelFrame, Symbols
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.chunkset import ChunkSet
from styr.metrics.storage.head import Head
from styr.metrics.storage.postings import match
from styr.metrics.storage.series import Registry

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Slots = NDArray[np.int32]
Bytes = NDArray[np.uint8]

Extra = tuple[int, int, int, int, bytes]
"""A chunk that is copied one by one: (row of the series, encoding, mint, maxt, data)."""


def head_chunks(head: Head, matchers: Sequence[Matcher], start: int, end: int) -> ChunkSet:
    """All series that `matchers` find and their chunks with samples in start..end."""
    with head.lock:
        slots = match(head.registry, matchers)
        return chunks_of(head, slots, start, end)


def chunks_of(head: Head, slots: Slots, start: int, end: int, late: bool = True, in_order: bool = True) -> ChunkSet:
    """The same for known slots; the caller holds the lock or is the only one."""
    with head.lock:
        names, ids, symbols = label_ids(head.registry, slots)
        state, disk = head.state, head.disk
        closed, rows = (
            state.list_chunks(slots, start, end) if in_order else (np.zeros(len(slots) + 1, np.int64), slots[:0])
        )
        times = np.ascontiguousarray(state.rows[slots][:, [headkernels.MINT, headkernels.LAST_T]])
        wanted = (times[:, 0] <= end) & (times[:, 1] >= start) & state.has_open(slots) if in_order else slots < 0
        open_slots = slots[wanted]
        data, some = state.copy_open(open_slots)
        staged = int(state.info[headkernels.STAGED])
        segments: list[Bytes] = [*disk.segments, data, np.concatenate([state.stage[:staged], np.zeros(16, np.uint8)])]
        first = disk.first
        edge = np.array([state.info[headkernels.FILE], state.info[headkernels.BASE], len(segments) - 1], np.int64)
        extras = _extras(head, slots, start, end, late, in_order)
        deleted = (
            {int(r): head.tombstones[int(r)] for r in head.registry.refs[slots].tolist() if r in head.tombstones}
            if (head.tombstones)
            else {}
        )
        refs, chunks = head.registry.refs[slots], state.chunks
    order = order_rows(ids, ranks(symbols))
    starts = np.zeros(len(slots) + 1, np.int64)
    starts[1:] = np.cumsum(np.where(wanted, _spread(np.diff(some), wanted), 0))
    total = len(rows) + len(open_slots)
    found = ChunkSet(
        frame_of(names, ids[order], symbols), np.zeros(len(slots) + 1, np.int64), np.zeros(total, np.int32),
        np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros(total, np.uint8), np.zeros(total, np.int64),
        np.zeros(total, np.int64), segments,
    )  # fmt: skip
    gather.collect(
        order, closed, np.ascontiguousarray(rows, np.int64), chunks, first, starts, times.reshape(-1), len(segments) - 2,
        found.offsets, edge, found.segment, found.position, found.length, found.encoding, found.mint, found.maxt,
    )  # fmt: skip
    if deleted:
        found.deleted = {row: deleted[ref] for row, ref in enumerate(refs[order].tolist()) if ref in deleted}
    return _with_extras(found, order, extras) if extras else found


def _spread(values: Ints, wanted: NDArray[np.bool_]) -> Ints:
    out = np.zeros(len(wanted), np.int64)
    out[wanted] = values
    return out


def label_ids(registry: Registry, slots: Slots) -> tuple[list[str], Ids, Symbols]:
    """Sorted label names, a row of value ids for each slot, and what the ids mean."""
    used = np.zeros(max(1, len(registry.pairs)), np.uint8)
    kernels.mark_pairs(slots, registry.labels, registry.at, registry.count, used)
    pairs = np.flatnonzero(used)
    symbol, symbols = np.zeros(len(used), np.int32), Symbols()
    number, known = symbols.id, registry.pairs
    symbol[pairs] = [number(known[pair][1]) for pair in pairs.tolist()]  # type: ignore[index]
    name_ids = sorted(set(registry.name_of[pairs].tolist()), key=registry.names.__getitem__)
    column = np.zeros(max(1, len(registry.names)), np.int32)
    column[name_ids] = np.arange(len(name_ids))
    ids = np.zeros((len(slots), len(name_ids)), np.int32)
    kernels.fill_columns(slots, registry.labels, registry.at, registry.count, registry.name_of, column, symbol, ids)
    return [registry.names[i] for i in name_ids], ids, symbols


def ranks(symbols: Symbols) -> Ids:
    """The place of each string among all, sorted."""
    strings = symbols.strings
    rank = np.zeros(len(strings), np.int32)
    rank[sorted(range(len(strings)), key=strings.__getitem__)] = np.arange(len(strings))
    return rank


def frame_of(names: list[str], ids: Ids, symbols: Symbols) -> LabelFrame:
    return LabelFrame(symbols, len(ids), {name: np.ascontiguousarray(ids[:, i]) for i, name in enumerate(names)})


def _extras(head: Head, slots: Slots, start: int, end: int, late: bool, in_order: bool) -> list[Extra]:
    """Open chunks of histograms, and everything late."""
    found: list[Extra] = []
    if not (head.histograms.open and in_order) and not (head.out_of_order.series and late):
        return found
    for row, slot in enumerate(slots.tolist()):
        opened = head.histograms.open.get(slot) if in_order else None
        if opened is not None and opened.encoder.mint <= end and opened.encoder.maxt >= start:
            encoder = opened.encoder
            found.append((row, encoder.encoding, encoder.mint, encoder.maxt, encoder.data()))
        behind = head.out_of_order.series.get(slot) if late else None
        if behind is not None:
            if behind.t and behind.t[0] <= end and behind.t[-1] >= start:
                found += [(row, encoding, mint, maxt, data) for encoding, data, mint, maxt in behind.chunks()]
            found += [
                (row, chunk.encoding, chunk.mint, chunk.maxt, head.state.read(chunk.where, chunk.length))
                for chunk in behind.closed
                if chunk.mint <= end and chunk.maxt >= start
            ]
    return found


def _with_extras(found: ChunkSet, order: Ints, extras: list[Extra]) -> ChunkSet:
    """With more chunks, all of a series sorted by time."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    rows = place[[extra[0] for extra in extras]]
    lengths = np.array([len(extra[4]) for extra in extras], np.int64)
    data = np.frombuffer(bytearray(b"".join(extra[4] for extra in extras) + bytes(16)), np.uint8)
    series = np.concatenate([np.repeat(np.arange(len(order)), np.diff(found.offsets)), rows])
    mint = np.concatenate([found.mint, [extra[2] for extra in extras]]).astype(np.int64)
    maxt = np.concatenate([found.maxt, [extra[3] for extra in extras]]).astype(np.int64)
    sort = np.lexsort((maxt, mint, series))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(series, minlength=len(order)))]).astype(np.int64)
    return replace(
        found,
        offsets=offsets,
        segment=np.concatenate([found.segment, np.full(len(extras), len(found.segments), np.int32)])[sort].astype(
            np.int32
        ),
        position=np.concatenate([found.position, np.cumsum(lengths) - lengths])[sort],
        length=np.concatenate([found.length, lengths])[sort],
        encoding=np.concatenate([found.encoding, [extra[1] for extra in extras]])[sort].astype(np.uint8),
        mint=mint[sort],
        maxt=maxt[sort],
        segments=[*found.segments, data],
    )
