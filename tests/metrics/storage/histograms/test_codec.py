"""Chunks of histograms alone: bits, decisions of the encoder as a table, damage."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest

from styr.metrics.model.errors import Corrupt
from styr.metrics.model.histogram import GAUGE, NOT_RESET, UNKNOWN, Histogram
from styr.metrics.storage.histograms import Encoder, decode, encode
from styr.metrics.storage.histograms.bitstream import NO_WINDOW, Reader, Writer, bits_of, float_of
from styr.metrics.storage.histograms.layout import indexes, spans_of
from tests.metrics.storage.histograms.support import STALE, histogram, sequences, series_of, stale

EDGES = [0, 1, -1, 3, 4, 5, -3, -4, 32, 33, -31, -32, 256, 257, 2048, 2049, 131072, 131073, 1 << 24, (1 << 24) + 1]
EDGES += [1 << 55, (1 << 55) + 1, (1 << 63) - 1, -(1 << 63), -(1 << 55) + 1, -(1 << 55)]


def test_signed_integers() -> None:
    out = Writer()
    for value in EDGES:
        out.varint(value)
    data = Reader(out.data())
    assert [data.varint() for _ in EDGES] == EDGES
    assert data.left < 8


@pytest.mark.parametrize(
    ("value", "width"),
    [
        (0, 1),
        (4, 5),
        (-3, 5),
        (5, 9),
        (-4, 9),
        (33, 13),
        (257, 17),
        (2049, 24),
        (131073, 32),
        (1 << 25, 64),
        (1 << 60, 72),
    ],
)
def test_widths_are_those_of_the_format(value: int, width: int) -> None:
    out = Writer()
    out.varint(value)
    assert out.size == (width + 7) // 8
    assert 8 * len(out.data()) - width < 8


def test_unsigned_integers() -> None:
    values = [0, 1, 7, 8, 63, 64, 511, 512, 4095, 262143, 33554431, (1 << 56) - 1, 1 << 56, (1 << 64) - 1]
    out = Writer()
    for value in values:
        out.uvarint(value)
    data = Reader(out.data())
    assert [data.uvarint() for _ in values] == values


def test_xor() -> None:
    choose = random.Random(2)
    values = [choose.choice([0.0, 1.5, -2.0, 1e300, STALE, float("nan"), choose.random()]) for _ in range(300)]
    words = [bits_of(v) for v in values]
    out, before, window = Writer(), 0, NO_WINDOW
    for word in words:
        window = out.xor(word, before, window)
        before = word
    data, found, before, window = Reader(out.data()), [], 0, (0, 0)
    for _ in words:
        before, window = data.xor(before, window)
        found.append(before)
    assert found == words


def test_a_signalling_nan_keeps_its_payload() -> None:
    assert struct.pack(">d", float_of(0x7FF0000000000002)).hex() == "7ff0000000000002"


def test_spans() -> None:
    assert indexes([(-2, 2), (3, 1), (0, 2)]) == [-2, -1, 3, 4, 5]
    assert spans_of([-2, -1, 3, 4, 5]) == ((-2, 2), (3, 3))
    assert spans_of([]) == ()
    assert indexes([(1, 0), (2, 1)]) == [3]


@pytest.mark.parametrize("integer", [True, False])
@pytest.mark.parametrize(
    ("name", "counts", "flags"),
    [
        ("steady", [8], [0x00]),
        ("more buckets", [4], [0x00]),
        ("count goes back", [1, 2], [0x00, 0x80]),
        ("told of a reset", [1, 2], [0x00, 0x80]),
        ("schema", [1, 1, 1, 1], [0x00, 0x00, 0x80, 0x00]),
        ("stale", [3, 3], [0x00, 0x00]),
        ("stale first", [1, 2], [0x00, 0x00]),
        ("gauge", [4], [0xC0]),
        ("custom", [3], [0x00]),
        ("other custom", [1, 2], [0x00, 0x80]),
    ],
)
def test_where_chunks_are_cut(name: str, counts: list[int], flags: list[int], integer: bool) -> None:
    histograms = sequences(integer)[name]
    made = encode(range(len(histograms)), histograms)
    assert [each.count for each in made] == counts
    assert [each.flags for each in made] == flags
    assert all(each.size == len(each.data()) for each in made)


def test_a_chunk_that_follows_one_that_is_full_knows_whether_counts_went_back() -> None:
    first = Encoder(0, histogram({0: 5.0}))
    assert Encoder(1, histogram({0: 6.0}), first).flags == 0x40
    assert Encoder(1, histogram({0: 4.0}), first).flags == 0x80
    assert Encoder(1, histogram({0: 4.0}, integer=False), first).flags == 0x00
    floats = Encoder(0, histogram({0: 5.0}, integer=False))
    assert Encoder(1, histogram({0: 6.0}, integer=False), floats).flags == 0x40
    assert Encoder(1, histogram({0: 6.0}, schema=5, integer=False), floats).flags == 0x40
    assert Encoder(1, histogram({0: 6.0}, schema=5), first).flags == 0x00


def test_an_encoder_of_the_other_kind_is_another_chunk() -> None:
    made = encode([0, 1, 2], [histogram({0: 1.0}), histogram({0: 2.0}, integer=False), histogram({0: 3.0})])
    assert [each.encoding for each in made] == [2, 3, 2]


@pytest.mark.parametrize("integer", [True, False])
def test_decoded_again(integer: bool) -> None:
    for name, samples in series_of(integer, 1).items():
        for each in encode([t for t, _ in samples], [h for _, h in samples]):
            times, found = decode(each.data(), each.encoding)
            assert (times[0], times[-1], len(times)) == (each.mint, each.maxt, each.count)
            again = encode(times, found)
            if name not in ("gauge", "gauge stale"):  # Their spans may be spelled otherwise; a marker says no gauge.
                assert [e.data()[3:] for e in again] == [each.data()[3:]], name


def test_hints() -> None:
    counter = encode([0, 1], [histogram({0: 1.0}), histogram({0: 2.0})])[0]
    assert [h.counter_reset_hint for h in decode(counter.data(), 2)[1]] == [UNKNOWN, NOT_RESET]
    gauge = encode([0, 1], [histogram({0: 1.0}, hint=GAUGE)] * 2)[0]
    assert [h.counter_reset_hint for h in decode(gauge.data(), 2)[1]] == [GAUGE, GAUGE]
    assert decode(Encoder(0, stale()).data(), 2)[1][0].integer


@pytest.mark.parametrize("encoding", [0, 1, 4, 7, 255])
def test_other_encodings_are_named(encoding: int) -> None:
    with pytest.raises(Corrupt, match=f"encoding {encoding}"):
        decode(b"\x00\x01\x00\x00", encoding)


def test_no_samples_and_too_few_bytes() -> None:
    assert decode(b"\x00\x00\x00", 2) == ([], [])
    for data in (b"", b"\x00", b"\x00\x01"):
        with pytest.raises(Corrupt):
            decode(data, 2)


@pytest.mark.parametrize("integer", [True, False])
def test_damage_is_told_of_or_gives_other_histograms(integer: bool) -> None:
    """The checksum of the chunk is the files' business; whatever the bytes, decoding ends, and raises nothing but Corrupt."""
    choose = random.Random(6)
    for samples in series_of(integer, 1).values():
        for each in encode([t for t, _ in samples], [h for _, h in samples]):
            data = each.data()
            for end in range(len(data)):
                with pytest.raises(Corrupt):
                    decode(data[:end], each.encoding)
            for _ in range(60):
                bad = bytearray(data)
                for _ in range(choose.randint(1, 3)):
                    bad[choose.randrange(len(bad))] = choose.randrange(256)
                try:
                    times, found = decode(bytes(bad), each.encoding)
                except Corrupt:
                    continue
                assert len(times) == len(found)
                assert all(
                    isinstance(h, Histogram) and -(1 << 63) <= t < 1 << 63 for t, h in zip(times, found, strict=True)
                )


def test_a_head_that_claims_much_is_refused_at_once() -> None:
    out = Writer()
    out.write(0, 8)
    out.varint(3)
    out.uvarint(1)
    out.uvarint((1 << 32) - 1)
    out.varint(0)
    out.uvarint(0)
    out.write(0, 200)
    for encoding in (2, 3):
        with pytest.raises(Corrupt, match="buckets"):
            decode(b"\xff\xff\x00" + out.data(), encoding)


@pytest.mark.parametrize("integer", [True, False])
def test_chunks_that_could_have_start_timestamps(integer: bool) -> None:
    """The same bits behind another header; and where that promises start timestamps that are not there, no more than Corrupt.
    Chunks that have them, Prometheus' own, are in tests/metrics/storage/test_encodings.py."""
    for samples in series_of(integer, 1).values():
        for each in encode([t for t, _ in samples], [h for _, h in samples]):
            data = each.data()
            bare = bytes([data[0] | data[2], data[1], 0]) + data[3:]
            times, found = decode(bare, each.encoding + 3)
            want_times, want = decode(data, each.encoding)
            assert times == want_times
            assert list(map(repr, found)) == list(map(repr, want))
            for header in (0x80, 0x01, 0x82, 0xFF):
                with contextlib.suppress(Corrupt):
                    decode(bare[:2] + bytes([header]) + bare[3:], each.encoding + 3)
