"""Chunks of histograms -> histograms. Called by whatever reads chunks; pure. Start timestamps (encodings 5 and 6) are passed
over."""

from __future__ import annotations

from styr.metrics.model.errors import Corrupt
from styr.metrics.model.histogram import GAUGE, NOT_RESET, UNKNOWN, Histogram
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.storage.chunkset import FLOAT_HISTOGRAM, FLOAT_HISTOGRAM_ST, HISTOGRAM, HISTOGRAM_ST
from styr.metrics.storage.histograms import layout as layouts
from styr.metrics.storage.histograms.bitstream import Reader, Window, bits_of, float_of, signed
from styr.metrics.storage.histograms.layout import Layout

HEADER = 3
"""Bytes before the bits: number of samples (u16), flags."""
FLAGS = 0xC0
GAUGE_FLAG = 0xC0

_MASK = (1 << 64) - 1


def decode(data: bytes, encoding: int) -> tuple[list[int], list[Histogram]]:
    """Times and histograms of a chunk. The hint of the first is UNKNOWN unless it is a gauge: whether the chunk before is there
    is not known. Raises Corrupt, also for an encoding that cannot be read."""
    if encoding not in (HISTOGRAM, FLOAT_HISTOGRAM, HISTOGRAM_ST, FLOAT_HISTOGRAM_ST):
        raise Corrupt(f"chunks of encoding {encoding} cannot be read as histograms")
    if len(data) < HEADER:
        raise Corrupt("a chunk of histograms is at least 3 bytes long")
    count, flags, starts = int.from_bytes(data[:2], "big"), data[2], 0
    if encoding in (HISTOGRAM_ST, FLOAT_HISTOGRAM_ST):
        count, flags, starts = count & 0x3FFF, data[0], data[2]
    if not count:
        return [], []
    bits = Reader(data[HEADER:])
    layout = layouts.read(bits)
    state = _Integers(bits, layout) if encoding in (HISTOGRAM, HISTOGRAM_ST) else _Floats(bits, layout)
    gauge = flags & FLAGS == GAUGE_FLAG
    times, found = [], []
    for number in range(count):
        if number:
            state.next(bits)
        _skip_start(bits, number, starts)
        times.append(state.t)
        found.append(state.histogram(GAUGE if gauge else NOT_RESET if number else UNKNOWN))
    return times, found


def _skip_start(bits: Reader, number: int, starts: int) -> None:
    """Passes over the start timestamp of a sample. Bit 7 of `starts` says that the first one has one, the rest from which
    sample on each has (0: none)."""
    if number == 0:
        if starts & 0x80:
            bits.go_varint()
    elif starts & 0x7F and number >= starts & 0x7F:
        bits.varint()


class _Integers:
    """What of a chunk of integer histograms has been read. Counts are differences of differences; buckets, differences to the
    bucket before, are too."""

    def __init__(self, bits: Reader, layout: Layout) -> None:
        self._layout = layout
        self.t, self._t_step = bits.varint(), 0
        self._counts, self._steps = [bits.uvarint(), bits.uvarint()], [0, 0]
        self._sum, self._window = bits.read(64), (0, 0)
        self._split = layouts.size(layout.positive)
        self._deltas = [bits.varint() for _ in range(self._split + layouts.size(layout.negative))]
        self._delta_steps = [0] * len(self._deltas)

    def next(self, bits: Reader) -> None:
        self._t_step += bits.varint()
        self.t = signed(self.t + self._t_step)
        for i in range(2):
            self._steps[i] += bits.varint()
            self._counts[i] = self._counts[i] + self._steps[i] & _MASK
        self._sum, self._window = bits.xor(self._sum, self._window)
        if self._sum == STALE_BITS:
            return
        for i in range(len(self._deltas)):
            self._delta_steps[i] += bits.varint()
            self._deltas[i] += self._delta_steps[i]

    def histogram(self, hint: int) -> Histogram:
        if self._sum == STALE_BITS:
            return Histogram(sum=float_of(self._sum), integer=True)
        return _histogram(
            self._layout,
            (float(self._counts[0]), float(self._counts[1]), float_of(self._sum)),
            (_absolute(self._deltas[: self._split]), _absolute(self._deltas[self._split :])),
            hint,
            True,
        )


def _absolute(deltas: list[int]) -> list[float]:
    count, found = 0, []
    for delta in deltas:
        count += delta
        found.append(float(count))
    return found


class _Floats:
    """The same of float histograms: every number is XORed with the one before in its place."""

    def __init__(self, bits: Reader, layout: Layout) -> None:
        self._layout = layout
        self.t, self._t_step = bits.varint(), 0
        self._split = 3 + layouts.size(layout.positive)
        count = self._split + layouts.size(layout.negative)
        if 64 * count > bits.left:
            raise Corrupt(f"a chunk of histograms says that it has {count - 3} buckets")
        self._words = [bits.read(64) for _ in range(count)]
        """Count, zero count, sum, then the buckets."""
        self._windows: list[Window] = [(0, 0)] * count

    def next(self, bits: Reader) -> None:
        self._t_step += bits.varint()
        self.t = signed(self.t + self._t_step)
        for i in range(len(self._words)):
            self._words[i], self._windows[i] = bits.xor(self._words[i], self._windows[i])
            if i == 2 and self._words[2] == STALE_BITS:
                return

    def histogram(self, hint: int) -> Histogram:
        if self._words[2] == STALE_BITS:
            return Histogram(sum=float_of(STALE_BITS))
        values = [float_of(word) for word in self._words]
        buckets = values[3 : self._split], values[self._split :]
        return _histogram(self._layout, (values[0], values[1], values[2]), buckets, hint, False)


def _histogram(
    layout: Layout,
    head: tuple[float, float, float],
    buckets: tuple[list[float], list[float]],
    hint: int,
    integer: bool,
) -> Histogram:
    return Histogram(
        layout.schema,
        layout.zero_threshold,
        head[1],
        head[0],
        head[2],
        list(layout.positive),
        buckets[0],
        list(layout.negative),
        buckets[1],
        list(layout.custom_values),
        hint,
        integer,
    )


def is_stale(h: Histogram) -> bool:
    return bits_of(h.sum) == STALE_BITS
