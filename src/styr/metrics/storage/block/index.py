"""The index file of a block, read lazily from a map. Called by `block`; calls `kernels.index` and `offsettable`.

Reads versions 1, 2 and 3. Everything that is read is checked against its checksum, when it is read. Knows nothing of chunks'
data. In memory are 8 bytes for each symbol and for each label pair; strings are made when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import index as kernels
from styr.metrics.kernels.crc import crc32c
from styr.metrics.model.errors import Corrupt
from styr.metrics.model.frame import LabelFrame, Symbols
from styr.metrics.storage.block import strings
from styr.metrics.storage.block.offsettable import OffsetTable, section
from styr.metrics.storage.mapping import Bytes, map_file

FILE = "index"
MAGIC = 0xBAAAD700
VERSIONS = (1, 2, 3)
TOC_SIZE = 6 * 8 + 4
ALIGNMENT = 16

Ids = NDArray[np.int32]
Ints = NDArray[np.int64]

FIRST, LAST = -(1 << 63), (1 << 63) - 1
"""All of time."""


@dataclass(frozen=True, slots=True)
class Toc:
    """Where the sections begin; 0 when there is none."""

    symbols: int
    series: int
    label_indices: int
    label_offsets: int
    postings: int
    postings_offsets: int


@dataclass(slots=True)
class Found:
    """Series that `Index.series` read. Chunks of series i: `chunk_at[i]:chunk_at[i + 1]`; `maxts` are inclusive."""

    ids: Ints
    frame: LabelFrame
    chunk_at: Ints
    refs: Ints
    mints: Ints
    maxts: Ints

    def within(self, start: int, end: int) -> Found:
        """The chunks that overlap `start .. end` (inclusive), and the series that have one."""
        wanted = (self.mints <= end) & (self.maxts >= start)
        chunks = np.flatnonzero(wanted)
        if len(chunks) == len(wanted):
            return self
        at = _starts(wanted)[self.chunk_at]
        ids, frame = self.ids, self.frame
        kept = np.flatnonzero(at[1:] > at[:-1])
        if len(kept) < len(ids):
            ids, frame, at = ids[kept], frame.take(kept), np.append(at[kept], at[-1:])
        return Found(ids, frame, at, self.refs[chunks], self.mints[chunks], self.maxts[chunks])


class Index:
    def __init__(self, data: Bytes, file: str) -> None:
        """Raises Corrupt when the head, the table of contents, the symbols or the offset table cannot be read."""
        self._data, self.file = data, file
        if len(data) < 5 + TOC_SIZE:
            raise Corrupt("an index is at least 57 bytes long", file, len(data))
        if int.from_bytes(data[:4].tobytes(), "big") != MAGIC:
            raise Corrupt("not an index: wrong magic number", file, 0)
        self.version = int(data[4])
        if self.version not in VERSIONS:
            raise Corrupt(f"an index of version {self.version}; 1 to 3 can be read", file, 4)
        self.toc = self._read_toc()
        self._symbols = self._read_symbols()
        self.table = OffsetTable(data, self.toc.postings_offsets, file, ordered=self.version > 1)

    @classmethod
    def open(cls, path: Path) -> Index:
        """Raises Corrupt and OSError."""
        try:
            data = map_file(path)
        except FileNotFoundError:
            raise Corrupt("there is no index", str(path)) from None
        return cls(data, str(path))

    def _read_toc(self) -> Toc:
        at = len(self._data) - TOC_SIZE
        raw = self._data[at:].tobytes()
        if int(crc32c(self._data, at, at + 48)) != int.from_bytes(raw[48:], "big"):
            raise Corrupt("the table of contents does not match its checksum", self.file, at)
        places = [int.from_bytes(raw[i : i + 8], "big") for i in range(0, 48, 8)]
        if any(place > at for place in places):
            raise Corrupt("the table of contents points outside the file", self.file, at)
        return Toc(*places)

    def _read_symbols(self) -> Ints:
        at = self.toc.symbols
        size = section(self._data, at, self.file, "symbol table")
        count = int.from_bytes(self._data[at + 4 : at + 8].tobytes(), "big") if size >= 4 else size + 1
        if count > size:
            raise Corrupt(f"the symbol table says that it has {count} symbols in {size} bytes", self.file, at)
        entries = np.zeros(count, np.int64)
        if kernels.scan_symbols(self._data, at + 8, at + 4 + size, entries) < 0:
            raise Corrupt("the symbol table is cut off", self.file, at)
        return entries

    @property
    def size(self) -> int:
        return len(self._data)

    def symbols(self, ordinals: Ints) -> list[str]:
        """Strings by their numbers in the symbol table."""
        starts, ends = np.zeros(len(ordinals), np.int64), np.zeros(len(ordinals), np.int64)
        kernels.strings_at(self._data, self._symbols, ordinals, starts, ends)
        return strings.decode(self._data, starts, ends, self.file)

    def postings_at(self, offset: int) -> Ints:
        """The series of one postings list, sorted. Raises Corrupt."""
        size = section(self._data, offset, self.file, "postings list")
        body = self._data[offset + 4 : offset + 4 + size]
        count = int.from_bytes(body[:4].tobytes(), "big")
        if size != 4 + 4 * count:
            raise Corrupt(f"a postings list of {size} bytes says that it has {count} entries", self.file, offset)
        return np.frombuffer(body[4:].tobytes(), ">u4").astype(np.int64)

    def postings(self, name: str, value: str) -> Ints:
        """The series with a label. ("", "") are all."""
        offset = self.table.offset(name, value)
        return np.zeros(0, np.int64) if offset < 0 else self.postings_at(offset)

    def union(self, offsets: Iterable[int]) -> Ints:
        """The series of several lists, sorted. Lists of the same name have none in common."""
        lists = [self.postings_at(offset) for offset in offsets]
        if len(lists) < 2:
            return lists[0] if lists else np.zeros(0, np.int64)
        found = np.concatenate(lists)
        limit = int(found.max()) + 1
        if len(found) < limit >> 6:
            return np.sort(found)
        marks = np.zeros(limit, np.bool_)  # Of many series: marking is faster than sorting.
        marks[found] = True
        return np.flatnonzero(marks)

    def series(self, ids: Ints, start: int = FIRST, end: int = LAST) -> Found:
        """The label sets and chunks of the series `ids` that have a chunk overlapping `start .. end` (inclusive), and these
        chunks. Raises Corrupt."""
        bodies, labels, chunks = (np.zeros(len(ids), np.int64) for _ in range(3))
        positions = ids if self.version == 1 else ids * ALIGNMENT
        limit = len(self._data) - TOC_SIZE
        bad = kernels.count_series(self._data, positions, limit, start, end, bodies, labels, chunks)
        if bad >= 0:
            raise Corrupt("a series is cut off or does not match its checksum", self.file, int(positions[bad]))
        keep = np.flatnonzero(chunks > 0)
        bodies, label_at, chunk_at = bodies[keep], _starts(labels[keep]), _starts(chunks[keep])
        names, values = np.zeros(label_at[-1], np.int32), np.zeros(label_at[-1], np.int32)
        refs, mints, maxts = (np.zeros(chunk_at[-1], np.int64) for _ in range(3))
        bad = kernels.read_series(
            self._data,
            bodies,
            start,
            end,
            self._symbols,
            int(self.version == 1),
            label_at,
            chunk_at,
            names,
            values,
            refs,
            mints,
            maxts,
        )
        if bad >= 0:
            raise Corrupt("a series refers to a symbol that is not there", self.file, int(bodies[bad]))
        frame = self._frame(names, values, label_at)
        return Found(ids[keep], frame, chunk_at, refs, mints, maxts)

    def _frame(self, names: Ids, values: Ids, label_at: Ints) -> LabelFrame:
        """The columns; ids of values are numbered in their order."""
        distinct, names, column_of = _dense(names, len(self._symbols))
        used, values, rank = _dense(values, len(self._symbols))
        texts = self.symbols(used)
        if texts and not texts[0]:  # An empty value means that the label is not there.
            texts, id_of = texts[1:], rank
        else:
            id_of = rank + np.int32(1)
        out = np.zeros((len(distinct), len(label_at) - 1), np.int32)
        kernels.fill_columns(names, values, label_at, column_of, id_of, out)
        columns = dict(zip(self.symbols(distinct), out, strict=True))
        return LabelFrame(Symbols.of(texts), len(label_at) - 1, columns)


def _dense(ordinals: Ids, symbols: int) -> tuple[Ints, Ids, Ids]:
    """(the ordinals that occur, sorted; what to look up in the third; the rank that it finds). Of few ordinals among many
    symbols it takes time for the few."""
    if len(ordinals) < symbols >> 3:
        few, rank = np.unique(ordinals, return_inverse=True)
        return few.astype(np.int64), rank.reshape(-1).astype(np.int32), np.arange(len(few)).astype(np.int32)
    marks = np.zeros(symbols, np.bool_)
    marks[ordinals] = True
    used = np.flatnonzero(marks).astype(np.int64)
    ranks = np.zeros(symbols, np.int32)
    ranks[used] = np.arange(len(used))
    return used, ordinals, ranks


def _starts(counts: Ints | NDArray[np.bool_]) -> Ints:
    at = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=at[1:])
    return at
