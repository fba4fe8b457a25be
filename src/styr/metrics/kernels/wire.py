"""Protobuf wire format in compiled loops: remote write requests in, remote read samples out.

Called by `remote`. Walks a message twice, once to count and once to fill arrays that were made to measure, so that nothing is
guessed and nothing grows. Unknown fields are skipped, groups are refused (proto3 has none). Field numbers: prometheus
`prompb/types.proto` and `prompb/remote.proto` (version 1), `prompb/io/prometheus/write/v2/types.proto` (version 2).

A series' *key* is its labels as they came: for each name and value the length (4 bytes, little endian) and the bytes. Both
versions make the same key of the same labels; `kernels.keys` finds them again, byte by byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import load64, store64
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_uvarint

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Int = Any

SERIES, SAMPLES, SPOTS, KEY_BYTES = 0, 1, 2, 3
"""Places in `sizes`."""
EXEMPLAR, HISTOGRAM, METADATA = 1, 2, 3
"""What a spot is."""
OK, BAD_REFERENCE, ODD_REFERENCES = 0, 1, 2
"""What is wrong with a series, in `about[:, 0]`."""
MAX_KEY = 1 << 20
"""Bytes of the labels of one series: references make it possible to say much with little."""


@kernel()
def _field(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int, Int, Int]:
    """(number, wire type, value or start, stop, position after); the last is -1 for bytes that are no field."""
    if at < end and data[at] < 128:
        tag = np.int64(data[at])
        at += 1
    else:
        tag, at = read_uvarint(data, at, end)
    number, wire = tag >> 3, tag & 7
    if at < 0 or number <= 0 or number > 536870911:
        return 0, 0, 0, 0, -1
    if wire == 0:
        value, after = read_uvarint(data, at, end)
        return number, wire, value, after, after
    if wire == 2:
        if at < end and data[at] < 128:
            length, start = np.int64(data[at]), at + 1
        else:
            length, start = read_uvarint(data, at, end)
        if start < 0 or length < 0 or length > end - start:
            return 0, 0, 0, 0, -1
        return number, wire, start, start + length, start + length
    width = 8 if wire == 1 else 4
    if wire not in (1, 5) or at + width > end:
        return 0, 0, 0, 0, -1
    return number, wire, at, at + width, at + width


@kernel()
def _fixed64(data: Bytes, at: Int) -> Int:
    word = np.int64(0)
    for i in range(8):
        word |= np.int64(data[at + i]) << np.int64(8 * i)
    return word


@kernel()
def _put(keys: Bytes, at: Int, data: Bytes, start: Int, stop: Int) -> None:
    """Copies 8 bytes a step: what stands behind `stop` and behind the key is there (padding), and is overwritten later."""
    length = stop - start
    for i in range(4):
        keys[at + i] = np.uint8((length >> (8 * i)) & 255)
    at += 4
    for i in range(0, length, 8):
        store64(keys, at + i, load64(data, start + i))


@kernel("i8(u1[::1], i8, i8[:,::1])")
def symbols(data: Bytes, size: Int, out: Ints) -> Int:
    """Version 2: start and stop of every symbol into `out`, as many as it has rows. Returns how many there are, -1 when the
    message is malformed."""
    at, found = 0, 0
    while at < size:
        number, wire, start, stop, at = _field(data, at, size)
        if at < 0 or (number == 4 and wire != 2):
            return -1
        if number == 4:
            if found < len(out):
                out[found, 0] = start
                out[found, 1] = stop
            found += 1
    return found


@kernel()
def _sample(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """(time, value's bits, 0), or -1 in the last place. Field 3, the start timestamp, is skipped."""
    t, bits = np.int64(0), np.int64(0)
    while at < end:
        number, wire, start, _, at = _field(data, at, end)
        if at < 0:
            return 0, 0, -1
        if number == 1:
            if wire != 1:
                return 0, 0, -1
            bits = _fixed64(data, start)
        elif number == 2:
            if wire != 0:
                return 0, 0, -1
            t = start
    return t, bits, 0


@kernel()
def _label(data: Bytes, at: Int, end: Int, keys: Bytes, key: Int) -> Int:
    """Version 1: one Label message onto the key. Returns the key's new end, -1 when malformed."""
    name, name_end, value, value_end = at, at, at, at
    while at < end:
        number, wire, start, stop, at = _field(data, at, end)
        if at < 0 or (number <= 2 and wire != 2):
            return -1
        if number == 1:
            name, name_end = start, stop
        elif number == 2:
            value, value_end = start, stop
    _put(keys, key, data, name, name_end)
    _put(keys, key + 4 + name_end - name, data, value, value_end)
    return key + 8 + name_end - name + value_end - value


@kernel()
def _reference(data: Bytes, ref: Int, table: Ints, keys: Bytes, key: Int, base: Int, fill: Int) -> Int:
    """Version 2: one symbol onto the key that began at `base`. Returns its new end; -1, and nothing is written, when there is
    no such symbol or the key would become longer than `MAX_KEY`."""
    if ref < 0 or ref >= len(table):
        return -1
    start, stop = table[ref, 0], table[ref, 1]
    after = key + 4 + stop - start
    if after - base > MAX_KEY:
        return -1
    if fill:
        _put(keys, key, data, start, stop)
    return after


@kernel()
def _references(
    data: Bytes, start: Int, stop: Int, wire: Int, table: Ints, keys: Bytes, key: Int, base: Int, fill: Int
) -> tuple[Int, Int, Int]:
    """Version 2: `labels_refs`, packed or one by one. Returns (the key's new end, references read, state): state -1 is
    malformed, 1 a reference to nothing or a label set beyond `MAX_KEY`."""
    if wire == 0:
        after = _reference(data, start, table, keys, key, base, fill)
        return (key, 1, 1) if after < 0 else (after, 1, 0)
    if wire != 2:
        return key, 0, -1
    count = 0
    while start < stop:
        ref, start = read_uvarint(data, start, stop)
        if start < 0:
            return key, count, -1
        count += 1
        after = _reference(data, ref, table, keys, key, base, fill)
        if after < 0:
            return key, count, 1
        key = after
    return key, count, 0


@kernel()
def _metadata(data: Bytes, at: Int, end: Int, about: Ints, series: Int) -> Int:
    """Version 2: type, help and unit of one series. Returns -1 when malformed."""
    while at < end:
        number, wire, value, _, at = _field(data, at, end)
        if at < 0 or (number in (1, 3, 4) and wire != 0):
            return -1
        if number == 1:
            about[series, 1] = value
        elif number == 3:
            about[series, 2] = value
        elif number == 4:
            about[series, 3] = value
    return 0


@kernel()
def _series(  # noqa: C901 - one switch over the fields of a message
    data: Bytes,
    at: Int,
    end: Int,
    version: Int,
    table: Ints,
    fill: Int,
    keys: Bytes,
    key_ends: Ints,
    about: Ints,
    series_of: Ints,
    t: Ints,
    bits: Ints,
    spots: Ints,
    sizes: Ints,
) -> Int:
    """One TimeSeries message. Returns 0, or -1 when it is malformed."""
    series, base, refs, state = sizes[SERIES], sizes[KEY_BYTES], 0, 0
    key = base
    histogram = 4 if version == 1 else 3
    while at < end:
        number, wire, start, stop, at = _field(data, at, end)
        if at < 0 or (2 <= number <= 5 - (version == 1) and wire != 2):
            return -1
        if number == 1:
            if version == 1:
                if wire != 2:
                    return -1
                # An upper bound is good enough to make room: names and values are read once, not twice.
                key = _label(data, start, stop, keys, key) if fill else key + 8 + stop - start
                if key < 0:
                    return -1
            elif state == 0:
                key, read, state = _references(data, start, stop, wire, table, keys, key, base, fill)
                refs += read
                if state < 0:
                    return -1
        elif number == 2:
            time, value, wrong = _sample(data, start, stop)
            if wrong:
                return -1
            if fill:
                series_of[sizes[SAMPLES]] = series
                t[sizes[SAMPLES]] = time
                bits[sizes[SAMPLES]] = value
            sizes[SAMPLES] += 1
        elif number in (3, 4):
            if fill:
                spots[sizes[SPOTS], 0] = HISTOGRAM if number == histogram else EXEMPLAR
                spots[sizes[SPOTS], 1] = series
                spots[sizes[SPOTS], 2] = start
                spots[sizes[SPOTS], 3] = stop
            sizes[SPOTS] += 1
        elif number == 5 and version == 2 and fill and _metadata(data, start, stop, about, series) < 0:
            return -1
    if fill:
        key_ends[series] = key
        about[series, 0] = BAD_REFERENCE if state else ODD_REFERENCES if refs & 1 else OK
    sizes[KEY_BYTES] = key
    sizes[SERIES] += 1
    return 0


@kernel(
    "i8(u1[::1], i8, i8, i8[:,::1], i8, u1[::1], i8[::1], i8[:,::1], i8[::1], i8[::1], i8[::1], i8[:,::1], i8[::1])"
)
def walk(
    data: Bytes,
    size: Int,
    version: Int,
    table: Ints,
    fill: Int,
    keys: Bytes,
    key_ends: Ints,
    about: Ints,
    series_of: Ints,
    t: Ints,
    bits: Ints,
    spots: Ints,
    sizes: Ints,
) -> Int:
    """A whole write request. With `fill` 0 only `sizes` is written: how many of each there are. With `fill` 1: the keys and
    where each ends; per series (what is wrong, metadata type, help, unit); per sample its series, time (ms) and value's bits;
    spots (what, series, start, stop) of histograms, exemplars and version 1's metadata, which are rare and read by Python. In
    version 1, the key bytes counted are an upper bound. Returns -1, or the offset of the field that is malformed."""
    sizes[:] = 0
    at = 0
    series_field = 1 if version == 1 else 5
    while at < size:
        began = at
        number, wire, start, stop, at = _field(data, at, size)
        if at < 0:
            return began
        if number == series_field:
            wrong = wire != 2 or _series(
                data,
                start,
                stop,
                version,
                table,
                fill,
                keys,
                key_ends,
                about,
                series_of,
                t,
                bits,
                spots,
                sizes,
            )
            if wrong:
                return began
        elif number == 3 and version == 1:
            if wire != 2:
                return began
            if fill:
                spots[sizes[SPOTS], 0] = METADATA
                spots[sizes[SPOTS], 1] = -1
                spots[sizes[SPOTS], 2] = start
                spots[sizes[SPOTS], 3] = stop
            sizes[SPOTS] += 1
    return -1


@kernel("i8(i8[::1], i8[::1], i8, i8, u1[::1])")
def write_samples(t: Ints, bits: Ints, first: Int, last: Int, out: Bytes) -> Int:
    """Samples `first` to `last` as field 2 of a TimeSeries (remote read). `out` has 22 bytes for each. Returns the bytes
    written."""
    at = 0
    for i in range(first, last):
        out[at] = 0x12
        out[at + 2] = 0x09
        word = np.uint64(bits[i])
        for k in range(8):
            out[at + 3 + k] = np.uint8((word >> np.uint64(8 * k)) & np.uint64(255))
        out[at + 11] = 0x10
        end = at + 12
        time = np.uint64(t[i])
        while time >= np.uint64(128):
            out[end] = np.uint8(time & np.uint64(127) | np.uint64(128))
            time >>= np.uint64(7)
            end += 1
        out[end] = np.uint8(time)
        end += 1
        out[at + 1] = np.uint8(end - at - 2)
        at = end
    return at
