"""The postings offset table of an index: which label names and values there are, and where the postings of each lie.

Called by `index`; calls `kernels.index`. In memory are one integer for each entry and one object for each name; values are
read from the map when they are asked for, one at a time by bisection or a whole name at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import index as kernels
from styr.metrics.kernels.crc import crc32c
from styr.metrics.model.errors import Corrupt
from styr.metrics.storage.block import strings

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Run:
    """The entries of one name: `entries[first:last]`. Each has `skip` bytes before the value's length."""

    first: int
    last: int
    skip: int


class OffsetTable:
    """`names` sorted, without "", whose one entry (value "") lists all series."""

    def __init__(self, data: Bytes, at: int, file: str, ordered: bool = True) -> None:
        """The section at `at`. `ordered`: entries are sorted by name and value, as all versions but the first write them.
        Raises Corrupt."""
        self._data, self._file = data, file
        size = section(data, at, file, "postings offset table")
        if size < 4:
            raise Corrupt("the postings offset table is too short", file, at)
        count = int.from_bytes(data[at + 4 : at + 8].tobytes(), "big")
        if count > size // 4:
            raise Corrupt(f"the postings offset table says that it has {count} entries in {size} bytes", file, at)
        self._end = at + 4 + size
        entries, runs = np.zeros(count, np.int64), np.zeros(count, np.int64)
        names = kernels.scan_table(data, at + 8, self._end, entries, runs)
        if names < 0:
            raise Corrupt("an entry of the postings offset table is malformed", file, at)
        self._view = data.data
        if not ordered:
            entries, runs = self._sorted(entries)
            names = len(runs)
        self._entries = entries
        self._runs = self._by_name(runs[:names].tolist(), count)
        self.names = sorted(name for name in self._runs if name)

    def _by_name(self, firsts: list[int], count: int) -> dict[str, _Run]:
        runs: dict[str, _Run] = {}
        for first, last in zip(firsts, [*firsts[1:], count], strict=True):
            entry = int(self._entries[first])
            start, end = self._string(entry + 1)
            name = self._text(start, end)
            if name in runs:
                raise Corrupt(f"the postings of label {name!r} are in two places", self._file, entry)
            runs[name] = _Run(first, last, end - entry)
        return runs

    def _sorted(self, entries: Ints) -> tuple[Ints, Ints]:
        """Entries of a table of version 1 in the order of the later ones, and where names begin."""
        keys = []
        for entry in entries.tolist():
            start, end = self._string(entry + 1)
            value, after = self._string(end)
            keys.append((self._view[start:end].tobytes(), self._view[value:after].tobytes(), entry))
        keys.sort()
        firsts = [i for i in range(len(keys)) if i == 0 or keys[i][0] != keys[i - 1][0]]
        return np.array([key[2] for key in keys], np.int64), np.array(firsts, np.int64)

    def _uvarint(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = self._view[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7

    def _string(self, at: int) -> tuple[int, int]:
        """The bounds of a string whose length is at `at`."""
        size, start = self._uvarint(at)
        return start, start + size

    def _text(self, start: int, end: int) -> str:
        try:
            return self._view[start:end].tobytes().decode()
        except UnicodeDecodeError:
            raise Corrupt("a label name is not UTF-8", self._file, start) from None

    def count(self, name: str) -> int:
        """How many values a name has."""
        run = self._runs.get(name)
        return 0 if run is None else run.last - run.first

    def _bisect(self, run: _Run, key: bytes) -> int:
        """The first entry of the run whose value is not less than `key`."""
        low, high = run.first, run.last
        while low < high:
            middle = (low + high) >> 1
            start, end = self._string(int(self._entries[middle]) + run.skip)
            if self._view[start:end].tobytes() < key:
                low = middle + 1
            else:
                high = middle
        return low

    def offset(self, name: str, value: str) -> int:
        """Where the postings of a name and value are, -1 when there are none."""
        run = self._runs.get(name)
        if run is None:
            return -1
        key = value.encode()
        found = self._bisect(run, key)
        if found == run.last:
            return -1
        start, end = self._string(int(self._entries[found]) + run.skip)
        return self._uvarint(end)[0] if self._view[start:end].tobytes() == key else -1

    def values(self, name: str, prefix: str = "") -> tuple[list[str], Ints]:
        """The values of a name that begin with `prefix`, sorted, and where the postings of each are."""
        run = self._runs.get(name)
        if run is None:
            return [], np.zeros(0, np.int64)
        first, last = run.first, run.last
        if prefix:
            key = prefix.encode()
            first = self._bisect(run, key)
            last = self._bisect(_Run(first, last, run.skip), key + b"\xff") if first < last else first
        entries = self._entries[first:last]
        starts, ends, offsets = (np.zeros(len(entries), np.int64) for _ in range(3))
        kernels.table_values(self._data, self._end, entries, starts, ends, offsets)
        return strings.decode(self._data, starts, ends, self._file), offsets


def section(data: Bytes, at: int, file: str, name: str) -> int:
    """The size of the section at `at`: length (4 bytes), that many bytes, checksum. Raises Corrupt when it is cut off or does
    not match."""
    if at < 0 or at + 8 > len(data):
        raise Corrupt(f"the {name} is outside the file", file, at)
    size = int.from_bytes(data[at : at + 4].tobytes(), "big")
    if size > len(data) - at - 8:
        raise Corrupt(f"the {name} is cut off", file, at)
    if int(crc32c(data, at + 4, at + 4 + size)) != int.from_bytes(data[at + 4 + size : at + 8 + size].tobytes(), "big"):
        raise Corrupt(f"the {name} does not match its checksum", file, at)
    return size
