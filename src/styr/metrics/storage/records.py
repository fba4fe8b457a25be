"""Records of the write-ahead log that hold few things: encode and decode, in Prometheus' bytes (tsdb/record/record.go) and,
for the types from 96 on, in ours. Called by `head` and `recovery`. Pure. docs/formats/metrics-wal.md draws them.

Records of many numbers (samples, rows, layouts, series in bulk) are `kernels.wal`. Decoders raise Corrupt.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from styr.metrics.model.errors import Corrupt
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import Exemplar, Metadata

SERIES, SAMPLES, TOMBSTONES, EXEMPLARS, MARKERS, METADATA = 1, 2, 3, 4, 5, 6
HISTOGRAMS, FLOAT_HISTOGRAMS, CUSTOM_HISTOGRAMS, CUSTOM_FLOAT_HISTOGRAMS = 7, 8, 9, 10
SAMPLES_2, HISTOGRAMS_2, FLOAT_HISTOGRAMS_2 = 11, 12, 13
LAYOUT, ROW, FAMILY, OPEN = 96, 97, 98, 99
ALL_HISTOGRAMS = (7, 8, 9, 10, HISTOGRAMS_2, FLOAT_HISTOGRAMS_2)

Stone = tuple[int, int, int]
"""(reference, first time, last time), both inclusive."""

_U64 = struct.Struct(">Q")
_I64 = struct.Struct(">q")
_F64 = struct.Struct(">d")
_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
"""Prometheus' numbers of metric types, from 1 on (0 and 1 are unknown)."""


class Writer:
    """Bytes from the front to the back."""

    __slots__ = ("out",)

    def __init__(self, kind: int) -> None:
        self.out = bytearray([kind])

    def uvarint(self, value: int) -> None:
        while value > 127:
            self.out.append(value & 127 | 128)
            value >>= 7
        self.out.append(value)

    def varint(self, value: int) -> None:
        self.uvarint(value << 1 if value >= 0 else ~(value << 1))

    def u64(self, value: int) -> None:
        self.out += _U64.pack(value & 0xFFFFFFFFFFFFFFFF)

    def f64(self, value: float) -> None:
        self.out += _F64.pack(value)

    def text(self, value: str) -> None:
        raw = value.encode("utf-8", "surrogateescape")
        self.uvarint(len(raw))
        self.out += raw

    def labels(self, labels: Labels) -> None:
        self.uvarint(len(labels))
        for name, value in labels:
            self.text(name)
            self.text(value)


class Reader:
    """Bytes from the front to the back; every method raises Corrupt where they end too early."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 1) -> None:
        self.data, self.at = data, at

    def more(self) -> bool:
        return self.at < len(self.data)

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise Corrupt("a record of the write-ahead log ends too early")
        part = self.data[self.at : end]
        self.at = end
        return part

    def byte(self) -> int:
        return self._take(1)[0]

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise Corrupt("a number in a record of the write-ahead log is longer than 64 bits")

    def varint(self) -> int:
        raw = self.uvarint()
        return raw >> 1 if not raw & 1 else ~(raw >> 1)

    def u64(self) -> int:
        return int(_U64.unpack(self._take(8))[0])

    def i64(self) -> int:
        return int(_I64.unpack(self._take(8))[0])

    def f64(self) -> float:
        return float(_F64.unpack(self._take(8))[0])

    def text(self) -> str:
        return self._take(self.uvarint()).decode("utf-8", "surrogateescape")

    def count(self, least: int) -> int:
        """How many things follow, of at least `least` bytes each: bounds what a corrupt number makes us allocate."""
        count = self.uvarint()
        if count * least > len(self.data) - self.at:
            raise Corrupt("a record of the write-ahead log ends too early")
        return count

    def labels(self) -> Labels:
        return tuple((self.text(), self.text()) for _ in range(self.count(2)))


def series(items: Iterable[tuple[int, Labels]]) -> bytes:
    known: dict[tuple[str, str], bytes] = {}
    parts = [bytes([SERIES])]
    for ref, labels in items:
        parts.append(_U64.pack(ref))
        parts.append(bytes([len(labels)]) if len(labels) < 128 else _uvarint(len(labels)))
        for pair in labels:  # Series that come together share most of their pairs.
            encoded = known.get(pair)
            if encoded is None:
                encoded = known[pair] = _pair(pair)
            parts.append(encoded)
    return b"".join(parts)


def _uvarint(value: int) -> bytes:
    writer = Writer(0)
    writer.uvarint(value)
    return bytes(writer.out[1:])


def _pair(pair: tuple[str, str]) -> bytes:
    writer = Writer(0)
    writer.text(pair[0])
    writer.text(pair[1])
    return bytes(writer.out[1:])


def tombstones(stones: Iterable[Stone]) -> bytes:
    writer = Writer(TOMBSTONES)
    for ref, mint, maxt in stones:
        writer.u64(ref)
        writer.varint(mint)
        writer.varint(maxt)
    return bytes(writer.out)


def read_tombstones(data: bytes) -> list[Stone]:
    reader, found = Reader(data), []
    while reader.more():
        found.append((reader.u64(), reader.varint(), reader.varint()))
    return found


def exemplars(items: Sequence[tuple[int, Exemplar]]) -> bytes:
    writer = Writer(EXEMPLARS)
    ref, t = items[0][0], items[0][1].t
    writer.u64(ref)
    writer.u64(t)
    for each, exemplar in items:
        writer.varint(each - ref)
        writer.varint(exemplar.t - t)
        writer.f64(exemplar.value)
        writer.labels(exemplar.labels)
    return bytes(writer.out)


def read_exemplars(data: bytes) -> list[tuple[int, Exemplar]]:
    reader = Reader(data)
    found: list[tuple[int, Exemplar]] = []
    if not reader.more():
        return found
    ref, t = reader.u64(), reader.i64()
    while reader.more():
        each, time, value = ref + reader.varint(), t + reader.varint(), reader.f64()
        found.append((each, Exemplar(reader.labels(), value, time)))
    return found


def markers(items: Iterable[tuple[int, int]]) -> bytes:
    """In the out-of-order log: (reference, file << 32 | offset of a chunk that now holds its samples so far)."""
    writer = Writer(MARKERS)
    for ref, where in items:
        writer.u64(ref)
        writer.u64(where)
    return bytes(writer.out)


def read_markers(data: bytes) -> list[tuple[int, int]]:
    reader, found = Reader(data), []
    while reader.more():
        found.append((reader.u64(), reader.u64()))
    return found


def family(name: str, metadata: Metadata) -> bytes:
    """Ours: metadata belongs to a family of metrics, Prometheus' record to one series."""
    writer = Writer(FAMILY)
    for text in (name, metadata.type, metadata.help, metadata.unit):
        writer.text(text)
    return bytes(writer.out)


def read_family(data: bytes) -> tuple[str, Metadata]:
    reader = Reader(data)
    name, kind, text, unit = reader.text(), reader.text(), reader.text(), reader.text()
    return name, Metadata(kind, text, unit)


def read_metadata(data: bytes) -> list[tuple[int, Metadata]]:
    """Prometheus' record: (reference of a series, metadata)."""
    reader, found = Reader(data), []
    while reader.more():
        ref, kind = reader.uvarint(), reader.byte()
        fields = {reader.text(): reader.text() for _ in range(reader.count(2))}
        name = _TYPES[kind - 1] if 1 <= kind <= len(_TYPES) else "unknown"
        found.append((ref, Metadata(name, fields.get("HELP", ""), fields.get("UNIT", ""))))
    return found


def read_samples_2(data: bytes) -> list[tuple[int, int, int]]:
    """Prometheus' samples with start timestamps, which are dropped: (reference, time, value bits)."""
    reader = Reader(data)
    found: list[tuple[int, int, int]] = []
    if not reader.more():
        return found
    ref, t = reader.varint(), reader.varint()
    reader.varint()
    found.append((ref, t, reader.i64()))
    while reader.more():
        ref, time = ref + reader.varint(), t + reader.varint()
        skip_start(reader)
        found.append((ref, time, reader.i64()))
    return found


def skip_start(reader: Reader) -> None:
    """The start timestamp of all samples but the first: 0 none, 1 as before, 2 a difference that follows."""
    if reader.byte() > 1:
        reader.varint()
