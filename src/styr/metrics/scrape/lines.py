"""The layout of a target's text: its lines, and what each of them feeds. Called by `ingest`, calls `kernels.text`.

It holds on to the body that it was made from, because the next one is compared with that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styr.metrics.exposition.entry import Sample
from styr.metrics.kernels import text
from styr.metrics.scrape.buffers import Body

Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Floats = NDArray[np.float64]

_FLOATS, _INTS, _BYTES = np.empty(0), np.empty(0, np.int64), np.empty(0, np.uint8)


class Scratch:
    """What a walk writes to and nobody keeps; one for all targets, because one walk at a time runs."""

    def __init__(self) -> None:
        self.found = np.empty((4096, 2), np.int32)
        self.slow = np.empty(4096, np.int32)
        self.counts = np.zeros(5, np.int64)

    def make_room(self, lines: int) -> None:
        if len(self.found) < lines:
            self.found, self.slow = np.empty((lines, 2), np.int32), np.empty(lines, np.int32)


@dataclass(slots=True)
class Row:
    """The values that lines feed: `values` by column of the row; `own`, `stamps` and `fresh` (1: new since it was last
    cleared) of samples with timestamps of their own."""

    values: Floats
    own: Floats = field(default_factory=lambda: _FLOATS)
    stamps: Ints = field(default_factory=lambda: _INTS)
    fresh: NDArray[np.uint8] = field(default_factory=lambda: _BYTES)


class Lines:
    def __init__(self, body: Body, table: Small, mode: int) -> None:
        self.body, self.table, self.mode = body, table, mode
        self._turn = 0
        self._slots: Small | None = None
        columns = table[:-1, text.COLUMN]
        self.samples = int(np.count_nonzero(columns != text.OTHER))
        self.dropped = int(np.count_nonzero(columns == text.DROPPED))
        self.duplicates = int(np.count_nonzero(columns == text.DUPLICATE))

    @classmethod
    def of(cls, body: Body, samples: Sequence[Sample], columns: Sequence[int], mode: int) -> Lines:
        """The layout of a body (it ends with a newline) that was parsed to `samples`, each on a line of its own; `columns`
        says what they feed. Offsets of samples count from the body's beginning."""
        newlines = np.flatnonzero(body.buffer[body.begin : body.end] == 10) + body.begin
        table = np.zeros((len(newlines) + 1, 4), np.int32)
        table[0, text.START] = body.begin
        table[1:, text.START] = newlines + 1
        table[:-1, text.KEY] = newlines - table[:-1, text.START]
        table[:-1, text.COLUMN] = text.OTHER
        starts = np.fromiter((each.start for each in samples), np.int64, len(samples)) + body.begin
        values = np.fromiter((each.value_at for each in samples), np.int64, len(samples)) + body.begin
        at = np.searchsorted(table[:, text.START], starts)
        table[at, text.KEY] = values - starts
        table[at, text.COLUMN] = columns
        return cls(body, table, mode)

    def walk(self, body: Body, row: Row, scratch: Scratch) -> None:
        """Compares; the result is in `scratch` and `row`. `scratch.counts[IN_ORDER]` says that nothing was amiss."""
        slots = self._slots
        if slots is None:
            slots = self._slots = np.full(1 << max(4, (2 * len(self.table)).bit_length()), -1, np.int32)
            text.index(self.body.buffer, self.table, slots)
        if self._turn == 2**31 - 1:
            self.table[:, text.SEEN], self._turn = 0, 0
        self._turn += 1
        scratch.make_room(2 * len(self.table) + 1024)
        text.walk(
            self.body.buffer,
            self.table,
            slots,
            body.buffer,
            body.begin,
            body.end,
            self._turn,
            self.mode,
            scratch.found,
            scratch.slow,
            row.values,
            row.own,
            row.stamps,
            row.fresh,
            scratch.counts,
        )
