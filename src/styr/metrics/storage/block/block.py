"""One block, open for reading. Called by `storage.select` and `storage.db`, compaction, deletes; calls `index` and `chunkfile`.

Files are mapped and read as queries need them; checksums are verified whenever something is read. What matchers find is
remembered for a while (`recent`). A block may be deleted while it is read: the maps stay. Thread-safe: nothing changes but
`meta` and `tombstones`, which are replaced whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np

from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block import matching, meta, tombstones
from styr.metrics.storage.block.chunkfile import ChunkFiles
from styr.metrics.storage.block.index import FILE as INDEX
from styr.metrics.storage.block.index import FIRST, LAST, Found, Index
from styr.metrics.storage.block.meta import Meta
from styr.metrics.storage.block.recent import RECENT
from styr.metrics.storage.block.tombstones import Tombstones
from styr.metrics.storage.chunkset import ChunkSet

CHUNKS = "chunks"
MANY = 50_000
"""Series; of more, only the chunks of the time asked for are read, and nothing is remembered."""
_numbers = count()
"""Of the blocks opened in this process: two directories of one name are two blocks."""


class Block:
    def __init__(self, directory: Path) -> None:
        """Opens it. Raises Corrupt and OSError."""
        self.directory = directory
        self.meta: Meta = meta.read(directory)
        self.index = Index.open(directory / INDEX)
        self.files = ChunkFiles(directory / CHUNKS)
        self.tombstones: Tombstones = tombstones.read(directory)
        self._number = next(_numbers)

    def __repr__(self) -> str:
        return f"Block({self.meta.ulid}, {self.meta.mint} .. {self.meta.maxt})"

    @property
    def size(self) -> int:
        """Bytes on disk."""
        small = (self.directory / name for name in (meta.FILE, tombstones.FILE))
        return self.index.size + self.files.size + sum(path.stat().st_size for path in small if path.exists())

    def find(self, matchers: Sequence[Matcher], start: int = FIRST, end: int = LAST) -> Found:
        """The series that all `matchers` match and that have a chunk overlapping `start .. end` (inclusive). Raises Corrupt."""
        key = self._number, tuple(matchers)
        known = RECENT.get(key)
        if known is None:
            ids, rest = matching.find(self.index, matchers)
            if rest:
                ids = ids[matching.keep(self.index.series(ids).frame, rest)]
            if len(ids) > MANY:
                return self.index.series(ids, start, end)
            known = self.index.series(ids)
            RECENT.put(key, known)
        return known.within(start, end)

    def chunks(self, matchers: Sequence[Matcher], start: int = FIRST, end: int = LAST) -> ChunkSet:
        """The same, with where their chunks lie and what has been deleted. Raises Corrupt."""
        found = self.find(matchers, start, end)
        located = self.files.locate(found.refs)
        return ChunkSet(
            found.frame,
            found.chunk_at,
            located.segment,
            located.position,
            located.length,
            located.encoding,
            found.mints,
            found.maxts,
            self.files.segments,
            self._deleted(found, start, end),
        )

    def _deleted(self, found: Found, start: int, end: int) -> dict[int, list[tuple[int, int]]]:
        stones = self.tombstones
        if not stones or not len(found.ids):
            return {}
        refs = np.fromiter(stones, np.int64, len(stones))
        rows = np.minimum(np.searchsorted(found.ids, refs), len(found.ids) - 1)
        hit = np.flatnonzero(found.ids[rows] == refs)
        ranges = {
            row: [each for each in stones[ref] if each[0] <= end and each[1] >= start]
            for row, ref in zip(rows[hit].tolist(), refs[hit].tolist(), strict=True)
        }
        return {row: each for row, each in ranges.items() if each}

    def label_names(self, matchers: Sequence[Matcher] = ()) -> list[str]:
        """Sorted; of the series that `matchers` match, whatever their time. Raises Corrupt."""
        if not matchers:
            return list(self.index.table.names)
        return sorted(name for name, column in self.find(matchers).frame.columns.items() if column.any())

    def label_values(self, name: str, matchers: Sequence[Matcher] = ()) -> list[str]:
        """Sorted; as `label_names`."""
        if not matchers:
            return [value for value in self.index.table.values(name)[0] if value] if name else []
        frame = self.find(matchers).frame
        used = np.flatnonzero(np.bincount(frame.column(name)))
        return sorted(frame.symbols.strings[i] for i in used.tolist() if i)
