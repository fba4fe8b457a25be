"""Open chunks of native histograms in the head. Called by `head` and `recovery` under the head's lock; calls `histograms` and
`headstate`.

A series has one open chunk, of floats or of histograms. Where a chunk of histograms ends: as Prometheus (tsdb/head_append.go),
at the end of the block range, when an even share of the range is full once a quarter of 1,024 bytes is there, at twice that,
never below ten histograms but at the range's end, and wherever the encoder cannot go on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import head as kernels
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.storage.headstate import HeadState
from styr.metrics.storage.histograms import Encoder

_TARGET, _LEAST = 1024, 10
_STALE: float = struct.unpack(">d", STALE_BITS.to_bytes(8, "big"))[0]


@dataclass(slots=True)
class Open:
    encoder: Encoder
    next: int
    """When to cut."""
    range_end: int
    estimated: bool = False
    last: Histogram | None = None


class HeadHistograms:
    def __init__(self, state: HeadState) -> None:
        self._state = state
        self.open: dict[int, Open] = {}
        """By slot."""
        self._last: dict[int, Histogram] = {}

    def append(self, slot: int, t: int, h: Histogram) -> int:
        """What became of it: `kernels.OK` ... Raises Unavailable."""
        state = self._state
        row, info = state.rows[slot], state.info
        last = int(row[kernels.LAST_T])
        if t <= last or t < int(info[kernels.MIN_VALID]):
            return self._refusal(slot, t, h)
        opened = self.open.get(slot)
        if opened is None:
            if state.has_open(_one(slot)).any():
                state.cut(_one(slot))
            self._begin(slot, t, Encoder(t, h))
        else:
            self._continue(slot, opened, t, h)
        self.open[slot].last = h
        row[kernels.LAST_T] = t
        info[kernels.MAX_T] = max(int(info[kernels.MAX_T]), t)
        info[kernels.MIN_T] = min(int(info[kernels.MIN_T]), t)
        return kernels.OK

    def _refusal(self, slot: int, t: int, h: Histogram) -> int:
        row, info = self._state.rows[slot], self._state.info
        if t < int(info[kernels.MIN_VALID]):
            return kernels.IS_TOO_OLD
        if t == int(row[kernels.LAST_T]):
            opened = self.open.get(slot)
            unknown = int(row[kernels.PACKED]) >> 56 & kernels.UNKNOWN
            if unknown or (opened is not None and opened.last == h):
                return kernels.OK
            return kernels.IS_DUPLICATE
        return kernels.IS_OUT_OF_ORDER

    def _begin(self, slot: int, t: int, encoder: Encoder) -> None:
        end = int(kernels.range_end(t, int(self._state.info[kernels.RANGE])))
        self.open[slot] = Open(encoder, end, end)
        self._state.rows[slot, kernels.MINT] = t
        self._state.rows[slot, kernels.PACKED] = 1 << 16 | kernels.HISTOGRAM << 56

    def _continue(self, slot: int, opened: Open, t: int, h: Histogram) -> None:
        encoder = opened.encoder
        if not opened.estimated and encoder.size >= _TARGET // 4:
            opened.next = _even(encoder.mint, encoder.maxt, opened.next, _TARGET / encoder.size)
            opened.estimated = True
        full = t >= opened.next or encoder.size >= 2 * _TARGET
        if full and (encoder.count >= _LEAST or t >= opened.range_end):
            self.close(slot)
            self._begin(slot, t, Encoder(t, h, encoder))
            return
        cut = encoder.append(t, h)
        if cut is not None:
            self.close(slot)
            self._begin(slot, t, cut)

    def close(self, slot: int) -> None:
        """Ends the open chunk of a series and puts it with the closed ones. Raises Unavailable."""
        opened = self.open.pop(slot)
        encoder = opened.encoder
        self._state.stage_chunk(slot, encoder.mint, encoder.maxt, encoder.encoding, encoder.data())
        self._state.rows[slot, kernels.PACKED] = 0

    def stale(self, slot: int) -> Histogram:
        """A staleness marker for a series of histograms: one whose sum is the marker."""
        return Histogram(sum=_STALE, integer=self.open[slot].encoder.integer)


def _even(mint: int, maxt: int, end: int, ratio: float) -> int:
    """`kernels.even_end` for a chunk that is 1 / `ratio` full."""
    n = (end - mint) / ((maxt - mint + 1) * ratio)
    return end if n <= 1 else int(mint + (end - mint) / int(n))


def _one(slot: int) -> NDArray[np.int32]:
    return np.array([slot], np.int32)
