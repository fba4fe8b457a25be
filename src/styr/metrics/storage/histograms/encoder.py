"""Histograms -> chunks. Called by the head and by compaction; pure.

An `Encoder` is one chunk that grows. It decides as Prometheus' appenders do whether a histogram still belongs to it: not when
its counts went back (a reset), nor when schema, zero threshold or custom bounds changed, nor behind a staleness marker. New
buckets re-encode the chunk; buckets that the histogram lacks and that are empty in the chunk are added to the histogram.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, RESET, Histogram
from styr.metrics.storage.chunkset import FLOAT_HISTOGRAM, HISTOGRAM
from styr.metrics.storage.histograms import layout as layouts
from styr.metrics.storage.histograms.bitstream import NO_WINDOW, Window, Writer, bits_of
from styr.metrics.storage.histograms.decoder import decode, is_stale
from styr.metrics.storage.histograms.layout import Layout, indexes, spans_of, widen

MOST = 65535
"""Histograms in a chunk."""

UNKNOWN_FLAG, NOT_RESET_FLAG, RESET_FLAG, GAUGE_FLAG = 0x00, 0x40, 0x80, 0xC0


class Encoder:
    """One chunk. `mint` and `maxt` are the times of its first and last histogram."""

    def __init__(self, t: int, h: Histogram, previous: Encoder | None = None, flags: int | None = None) -> None:
        """Of one histogram. `previous` is the chunk of the same series that it follows, if that is known: it tells whether the
        counts went back in between. `flags` is for re-encoding."""
        self.integer = h.integer
        self.flags = _flags(h, previous) if flags is None else flags
        self.mint = self.maxt = t
        self.count = 0
        self._bits = Writer()
        h = _stripped(h)
        self._layout = Layout.of(h)
        self._state: _Integers | _Floats = _Integers() if h.integer else _Floats()
        layouts.write(self._bits, self._layout)
        self._last, self._t_step = h, 0
        self._state.first(self._bits, t, h)
        self.count = 1

    @property
    def encoding(self) -> int:
        return HISTOGRAM if self.integer else FLOAT_HISTOGRAM

    @property
    def size(self) -> int:
        """Bytes of the chunk so far."""
        return 3 + self._bits.size

    def data(self) -> bytes:
        return self.count.to_bytes(2, "big") + bytes([self.flags]) + self._bits.data()

    def append(self, t: int, h: Histogram) -> Encoder | None:
        """Adds a histogram that is later than all before. Returns None, or, when it cannot be in this chunk, a new chunk that
        begins with it (this one stays as it is)."""
        if h.integer != self.integer or self.count == MOST:
            return Encoder(t, h, self)
        if h.counter_reset_hint == GAUGE:
            return self._append_gauge(t, h)
        flags = self.appendable(h)
        if flags != NOT_RESET_FLAG or self.flags == GAUGE_FLAG:
            if not self.integer and flags != RESET_FLAG:
                flags = UNKNOWN_FLAG
            return Encoder(t, h, flags=flags)
        if not is_stale(h):
            h = self._fit(h)
        self._add(t, h)
        return None

    def _append_gauge(self, t: int, h: Histogram) -> Encoder | None:
        if self.flags != GAUGE_FLAG or not (is_stale(h) or (not is_stale(self._last) and self._same_kind(h))):
            return Encoder(t, h, flags=GAUGE_FLAG)
        if not is_stale(h):
            positive = _union(self._layout.positive, h.positive_spans)
            negative = _union(self._layout.negative, h.negative_spans)
            lacks = len(positive) > layouts.size(h.positive_spans) or len(negative) > layouts.size(h.negative_spans)
            if lacks:
                h = _reshaped(h, spans_of(positive), spans_of(negative))
            self._grow(h, positive, negative)
        self._add(t, h)
        return None

    def appendable(self, h: Histogram) -> int:
        """NOT_RESET_FLAG when a histogram that is no gauge may follow here, or else how the next chunk begins: RESET_FLAG,
        UNKNOWN_FLAG."""
        if self.flags == GAUGE_FLAG:
            return NOT_RESET_FLAG  # Which is what Prometheus writes where a gauge turns into a counter.
        if h.counter_reset_hint == RESET:
            return RESET_FLAG
        if is_stale(h):
            return NOT_RESET_FLAG
        if is_stale(self._last):
            return UNKNOWN_FLAG
        last, layout = self._last, self._layout
        if h.count < last.count:
            return RESET_FLAG
        if h.schema != layout.schema or h.zero_threshold != layout.zero_threshold:
            return UNKNOWN_FLAG
        went_back = (
            not self._same_kind(h)
            or h.zero_count < last.zero_count
            or _went_back(layout.positive, last.positive_buckets, h.positive_spans, h.positive_buckets)
            or _went_back(layout.negative, last.negative_buckets, h.negative_spans, h.negative_buckets)
        )
        return RESET_FLAG if went_back else NOT_RESET_FLAG

    def _same_kind(self, h: Histogram) -> bool:
        layout = self._layout
        bounds = h.schema != CUSTOM_BUCKETS or tuple(h.custom_values) == layout.custom_values
        return h.schema == layout.schema and h.zero_threshold == layout.zero_threshold and bounds

    def _fit(self, h: Histogram) -> Histogram:
        """The histogram with the chunk's buckets, which may become more for it. Which of the equal spellings of spans ends up
        in the chunk is Prometheus' choice."""
        ours = self._layout
        positive, negative = _union(ours.positive, h.positive_spans), _union(ours.negative, h.negative_spans)
        lacks_positive = len(positive) > layouts.size(h.positive_spans)
        lacks_negative = len(negative) > layouts.size(h.negative_spans)
        if lacks_positive or lacks_negative:
            if self._has(positive, negative):
                h = _reshaped(h, ours.positive, ours.negative)
            else:
                h = _reshaped(
                    h,
                    spans_of(positive) if lacks_positive else tuple(h.positive_spans),
                    spans_of(negative) if lacks_negative else tuple(h.negative_spans),
                )
        self._grow(h, positive, negative)
        return h

    def _has(self, positive: Sequence[int], negative: Sequence[int]) -> bool:
        """Whether a union with the chunk's buckets is no more than those."""
        ours = self._layout
        return len(positive) == layouts.size(ours.positive) and len(negative) == layouts.size(ours.negative)

    def _grow(self, h: Histogram, positive: Sequence[int], negative: Sequence[int]) -> None:
        """Re-encodes the chunk when it lacks buckets of the histogram, which has all."""
        if self._has(positive, negative):
            return
        spans = tuple(h.positive_spans), tuple(h.negative_spans)
        times, histograms = decode(self.data(), self.encoding)
        wider = [each if is_stale(each) else _reshaped(each, *spans) for each in histograms]
        again = Encoder(times[0], wider[0], flags=self.flags)
        for t, each in zip(times[1:], wider[1:], strict=True):
            again._add(t, each)
        self._bits, self._layout, self._state = again._bits, again._layout, again._state
        self._last, self._t_step = again._last, again._t_step

    def _add(self, t: int, h: Histogram) -> None:
        h = _stripped(h)
        step = t - self.maxt
        self._bits.varint(step - self._t_step)
        self._state.next(self._bits, h)
        self.maxt, self._t_step, self._last = t, step, h
        self.count += 1


def encode(times: Sequence[int], histograms: Sequence[Histogram]) -> list[Encoder]:
    """As few chunks as hold all of them, in order."""
    chunks: list[Encoder] = []
    for t, h in zip(times, histograms, strict=True):
        cut = chunks[-1].append(t, h) if chunks else Encoder(t, h)
        if cut is not None:
            chunks.append(cut)
    return chunks


def _flags(h: Histogram, previous: Encoder | None) -> int:
    if h.counter_reset_hint == GAUGE:
        return GAUGE_FLAG
    if h.counter_reset_hint == RESET:
        return RESET_FLAG
    if previous is None or previous.integer != h.integer:
        return UNKNOWN_FLAG
    flags = previous.appendable(h)
    return flags if h.integer or flags == RESET_FLAG else NOT_RESET_FLAG


def _stripped(h: Histogram) -> Histogram:
    """Of a staleness marker only the sum is kept."""
    return Histogram(sum=h.sum, integer=h.integer) if is_stale(h) else h


def _union(a: Sequence[tuple[int, int]], b: Sequence[tuple[int, int]]) -> list[int]:
    return indexes(a) if tuple(a) == tuple(b) else sorted({*indexes(a), *indexes(b)})


def _reshaped(h: Histogram, positive: layouts.Spans, negative: layouts.Spans) -> Histogram:
    """With other spans, which have all of its buckets."""
    return replace(
        h,
        positive_buckets=widen(h.positive_buckets, tuple(h.positive_spans), positive),
        negative_buckets=widen(h.negative_buckets, tuple(h.negative_spans), negative),
        positive_spans=list(positive),
        negative_spans=list(negative),
    )


def _went_back(
    ours: Sequence[tuple[int, int]], before: Sequence[float], theirs: Sequence[tuple[int, int]], now: Sequence[float]
) -> bool:
    """Whether a bucket holds less than before, or one that held something is gone."""
    if tuple(ours) == tuple(theirs):
        return any(a > b for a, b in zip(before, now, strict=True))
    counts = dict(zip(indexes(theirs), now, strict=True))
    for index, count in zip(indexes(ours), before, strict=True):
        if count > counts[index] if index in counts else count != 0:
            return True
    return False


class _Integers:
    """The numbers that the next integer histogram is written against."""

    __slots__ = ("_counts", "_delta_steps", "_deltas", "_steps", "_sum", "_window")

    def first(self, bits: Writer, t: int, h: Histogram) -> None:
        self._counts, self._steps = [int(h.count), int(h.zero_count)], [0, 0]
        self._sum, self._window = bits_of(h.sum), NO_WINDOW
        self._deltas = _deltas(h)
        self._delta_steps = [0] * len(self._deltas)
        bits.varint(t)
        for count in self._counts:
            bits.uvarint(count)
        bits.write(self._sum, 64)
        for delta in self._deltas:
            bits.varint(delta)

    def next(self, bits: Writer, h: Histogram) -> None:
        stale = is_stale(h)
        for i, count in enumerate((int(h.count), int(h.zero_count))):
            step = count - self._counts[i]
            bits.varint(0 if stale else step - self._steps[i])
            self._counts[i], self._steps[i] = count, step
        word = bits_of(h.sum)
        self._window = bits.xor(word, self._sum, self._window)
        self._sum = word
        for i, delta in enumerate(_deltas(h)):
            step = delta - self._deltas[i]
            bits.varint(step - self._delta_steps[i])
            self._deltas[i], self._delta_steps[i] = delta, step


def _deltas(h: Histogram) -> list[int]:
    found: list[int] = []
    for side in (h.positive_buckets, h.negative_buckets):
        before = 0
        for count in side:
            found.append(int(count) - before)
            before = int(count)
    return found


class _Floats:
    """The same for float histograms."""

    __slots__ = ("_windows", "_words")

    def first(self, bits: Writer, t: int, h: Histogram) -> None:
        self._words = _words(h)
        self._windows: list[Window] = [NO_WINDOW] * len(self._words)
        bits.varint(t)
        for word in self._words:
            bits.write(word, 64)

    def next(self, bits: Writer, h: Histogram) -> None:
        for i, word in enumerate(_words(h)):
            self._windows[i] = bits.xor(word, self._words[i], self._windows[i])
            self._words[i] = word


def _words(h: Histogram) -> list[int]:
    return [bits_of(v) for v in (h.count, h.zero_count, h.sum, *h.positive_buckets, *h.negative_buckets)]
