"""Writes the index of a block (version 2) from columns. Called by `writer`; calls `kernels.indexwriter`.

Nothing goes through Python series by series: symbols are sorted once, labels become pairs of ordinals, and the kernels lay out
series, postings and the offset table. The dead label index sections of the format are left out, as Prometheus leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import indexwriter as kernels
from styr.metrics.kernels.crc import crc32c, crc32c_continue
from styr.metrics.model.errors import StorageError
from styr.metrics.model.frame import LabelFrame
from styr.metrics.storage.block import files
from styr.metrics.storage.block.index import MAGIC, Toc

VERSION = 2
_BATCH = 16384
"""Series laid out at a time."""
_MOST = (1 << 32) - 1

Bytes = NDArray[np.uint8]
Ids = NDArray[np.int32]
Ints = NDArray[np.int64]


@dataclass(slots=True)
class _Table:
    """The sorted symbols: string i is `blob[bounds[i]:bounds[i + 1]]`. `ordinals` translates the frame's ids, `names` its label
    names."""

    blob: Bytes
    bounds: Ints
    ordinals: Ids
    names: dict[str, int]


def write_index(path: Path, frame: LabelFrame, chunk_at: Ints, refs: Ints, mints: Ints, maxts: Ints) -> None:
    """`frame` sorted strictly; chunks of series i are `chunk_at[i]:chunk_at[i + 1]`, at least one, rising in time without
    overlap, with rising `refs`. Raises StorageError when they are not, or when the format cannot hold so much; OSError."""
    table = _symbols(frame)
    label_at, names, values = _pairs(frame, table)
    unsorted = kernels.first_unsorted(label_at, names, values)
    if unsorted >= 0:
        raise StorageError(
            f"cannot write index {path}: series {frame.labels(unsorted)} is not in order, or there twice"
        )
    with files.create(path) as file:
        file.write(MAGIC.to_bytes(4, "big") + bytes([VERSION]))
        symbols = file.position
        _write_symbols(file, table)
        series = file.position
        ids = _write_series(file, label_at, names, values, chunk_at, refs, mints, maxts)
        label_indices = file.position
        _pad(file, 4)
        postings = file.position
        entries = _write_postings(file, frame, table, ids)
        postings_offsets = file.position
        _write_table(file, table, *entries)
        _write_toc(file, Toc(symbols, series, label_indices, postings_offsets, postings, postings_offsets))


def _symbols(frame: LabelFrame) -> _Table:
    strings = frame.symbols.strings
    used = np.zeros(len(strings), np.bool_)
    for column in frame.columns.values():
        used[column] = True
    used[0] = False
    present = [name for name, column in frame.columns.items() if column.any()]
    numbers = np.flatnonzero(used).tolist()
    ordered = sorted({strings[i] for i in numbers}.union(present))
    try:
        encoded = [string.encode() for string in ordered]
    except UnicodeEncodeError as error:
        raise StorageError(f"cannot write a label that is not Unicode: {error}") from None
    ordinal = {string: i for i, string in enumerate(ordered)}
    ordinals = np.zeros(len(strings), np.int32)
    ordinals[numbers] = [ordinal[strings[i]] for i in numbers]
    bounds = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=bounds[1:])
    blob = np.frombuffer(bytearray(b"".join(encoded)), np.uint8)
    return _Table(blob, bounds, ordinals, {name: ordinal[name] for name in sorted(present)})


def _pairs(frame: LabelFrame, table: _Table) -> tuple[Ints, Ids, Ids]:
    """The labels of all series one after another, as ordinals; series i's begin at `label_at[i]`."""
    counts = np.zeros(frame.size + 1, np.int64)
    for name in table.names:
        counts[1:] += frame.columns[name] != 0
    label_at = np.cumsum(counts)
    cursor = label_at[:-1].copy()
    names, values = np.zeros(label_at[-1], np.int32), np.zeros(label_at[-1], np.int32)
    for name, number in table.names.items():
        column = np.ascontiguousarray(frame.columns[name])
        kernels.add_pairs(column, table.ordinals, number, cursor, names, values)
    return label_at, names, values


def _pad(file: files.File, size: int) -> None:
    file.write(bytes(-file.position % size))


def _write_section(file: files.File, head: bytes, body: Bytes) -> None:
    """Length, `head`, `body`, checksum of both."""
    length = len(head) + len(body)
    if length > _MOST:
        raise StorageError(f"a section of the index would have {length} bytes; the format has room for {_MOST}")
    checksum = crc32c_continue(crc32c(np.frombuffer(bytearray(head), np.uint8), 0, len(head)), body, 0, len(body))
    file.write(length.to_bytes(4, "big") + head)
    file.write(body)
    file.write(int(checksum).to_bytes(4, "big"))


def _write_symbols(file: files.File, table: _Table) -> None:
    count = len(table.bounds) - 1
    out = np.zeros(len(table.blob) + 10 * count + 16, np.uint8)
    length = kernels.write_symbols(table.blob, table.bounds, out)
    _write_section(file, count.to_bytes(4, "big"), out[:length])


def _write_series(
    file: files.File, label_at: Ints, names: Ids, values: Ids, chunk_at: Ints, refs: Ints, mints: Ints, maxts: Ints
) -> Ints:
    """Returns the number of each series."""
    count = len(label_at) - 1
    ids = np.zeros(count, np.int64)
    out = np.zeros(0, np.uint8)
    for first in range(0, count, _BATCH):
        last = min(first + _BATCH, count)
        labels, chunks = int(label_at[last] - label_at[first]), int(chunk_at[last] - chunk_at[first])
        bound = kernels.series_bound(labels, chunks, last - first)
        if len(out) < bound:
            out = np.zeros(bound, np.uint8)
        _pad(file, kernels.ALIGNMENT)
        begin = file.position
        length = kernels.write_series(first, last, label_at, names, values, chunk_at, refs, mints, maxts, out, ids)
        ids[first:last] = (ids[first:last] + begin) // kernels.ALIGNMENT
        file.write(out[:length])
    if count and ids[-1] > _MOST:
        raise StorageError(f"the index would have {file.position} bytes of series; the format has room for 64 GiB")
    return ids


def _write_postings(file: files.File, frame: LabelFrame, table: _Table, ids: Ints) -> tuple[Ids, Ids, Ints]:
    """Returns the offset table's entries: name and value (ordinals; -1 is "") and where each list begins."""
    everything = np.concatenate([np.array([len(ids)], np.int64), ids]).astype(">u4").view(np.uint8)
    names, values, starts = [np.array([-1], np.int32)], [np.array([-1], np.int32)], [np.array([file.position])]
    _write_section(file, b"", everything)
    counts = np.zeros(len(table.bounds) - 1, np.int64)
    for name, number in table.names.items():
        column = np.ascontiguousarray(frame.columns[name])
        entries = int(np.count_nonzero(column))
        lists = min(entries, len(counts))
        out = np.zeros(4 * entries + 12 * lists, np.uint8)
        found, places = np.full(lists, -1, np.int32), np.zeros(lists, np.int64)
        length = kernels.write_postings(column, table.ordinals, ids, counts, out, found, places)
        used = int(np.count_nonzero(found >= 0))
        names.append(np.full(used, number, np.int32))
        values.append(found[:used])
        starts.append(places[:used] + file.position)
        file.write(out[:length])
    return np.concatenate(names), np.concatenate(values), np.concatenate(starts)


def _write_table(file: files.File, table: _Table, names: Ids, values: Ids, offsets: Ints) -> None:
    """The first entry is that of all series, whose name and value are ""."""
    sizes = np.diff(table.bounds)
    first = bytearray(b"\x02\x00\x00")
    offset = int(offsets[0])
    while offset >= 0x80:
        first.append(offset & 0x7F | 0x80)
        offset >>= 7
    first.append(offset)
    out = np.zeros(int(sizes[names[1:]].sum() + sizes[values[1:]].sum()) + 32 * len(names), np.uint8)
    length = kernels.write_table(names[1:], values[1:], offsets[1:], table.blob, table.bounds, out)
    _write_section(file, len(names).to_bytes(4, "big") + bytes(first), out[:length])


def _write_toc(file: files.File, toc: Toc) -> None:
    places = (toc.symbols, toc.series, toc.label_indices, toc.label_offsets, toc.postings, toc.postings_offsets)
    raw = b"".join(place.to_bytes(8, "big") for place in places)
    file.write(raw + int(crc32c(np.frombuffer(bytearray(raw), np.uint8), 0, len(raw))).to_bytes(4, "big"))
