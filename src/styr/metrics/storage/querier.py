"""Queries over head and blocks together. Made by `db`; implements `model.samples.Querier`; calls `headread`, `block`, `select`.

The head is read before the list of blocks is taken: what the head forgets in between is in a block of that list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.labels import Labels
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.head import Head
from styr.metrics.storage.headread import frame_of, head_chunks, label_ids
from styr.metrics.storage.postings import match
from styr.metrics.storage.select import ChunkSelection


class DatabaseQuerier:
    def __init__(self, head: Head, blocks: Callable[[], Sequence[Block]]) -> None:
        self._head, self._blocks = head, blocks

    def select(self, matchers: Sequence[Matcher], start: int, end: int) -> ChunkSelection:
        """Raises Corrupt."""
        sets = [head_chunks(self._head, matchers, start, end)] if self._head.overlaps(start, end) else []
        sets += [block.chunks(matchers, start, end) for block in self._overlapping(start, end)]
        return ChunkSelection(sets, start, end)

    def _overlapping(self, start: int, end: int) -> list[Block]:
        return [block for block in self._blocks() if block.meta.overlaps(start, end)]

    def _frames(self, matchers: Sequence[Matcher], start: int, end: int) -> list[LabelFrame]:
        frames = []
        if self._head.overlaps(start, end):
            with self._head.lock:
                registry = self._head.registry
                frames.append(frame_of(*label_ids(registry, match(registry, matchers))))
        return frames + [block.find(matchers, start, end).frame for block in self._overlapping(start, end)]

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        names: set[str] = set()
        if not matchers:
            if self._head.overlaps(start, end):
                with self._head.lock:
                    registry = self._head.registry
                    names.update(name for name, number in registry.name_ids.items() if registry.pairs_of_name[number])
            for block in self._overlapping(start, end):
                names.update(block.label_names())
        for each in matchers:
            for frame in self._frames(each, start, end):
                names.update(name for name, column in frame.columns.items() if column.any())
        names.discard("")
        return sorted(names)

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        values: set[str] = set()
        if not matchers:
            if self._head.overlaps(start, end):
                with self._head.lock:
                    values.update(self._head.registry.values(name))
            for block in self._overlapping(start, end):
                values.update(block.label_values(name))
        for each in matchers:
            for frame in self._frames(each, start, end):
                strings = frame.symbols.strings
                values.update(strings[i] for i in np.unique(frame.column(name)).tolist())
        values.discard("")
        return sorted(values)

    def series(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[Labels]:
        found: set[Labels] = set()
        for each in matchers:
            for frame in self._frames(each, start, end):
                found.update(frame.all_labels())
        return sorted(found)
