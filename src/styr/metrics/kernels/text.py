"""A scrape's text against the one before it: what has not changed costs a comparison, what has changed costs one
number.

Called by `scrape.layout`. A body is lines; a layout knows each line of the body before: where it starts, how many
bytes come before the value (the key), and which column of the row of values it feeds. `walk` goes through both bodies
at once. A line with the same bytes keeps its value, one with the same key gives a new number, and any other is looked
up by its key, for lines that moved; what is not found is a miss, which the caller parses.

Buffers have `PADDING` bytes behind their end and end with a newline: comparing reads 8 bytes at a time. Nothing is
read or written beyond that, whatever the bytes are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, clz, load64
from styr.metrics.kernels.floats import DONE, INVALID, UNDECIDED, read_float
from styr.metrics.kernels.jit import kernel

Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Floats = NDArray[np.float64]

PADDING = 64

START, KEY, COLUMN, SEEN = 0, 1, 2, 3
"""Columns of `lines`: first byte, bytes before the value, what the line feeds, the last walk that met it."""
DUPLICATE, DROPPED, OTHER, STAMPED = -1, -2, -3, -4
"""Instead of a column of the row: a series that another line feeds already; one that relabelling dropped; no sample
(a comment, an empty line), whose key is the whole line; and, from `STAMPED` downwards, samples with a timestamp of
their own."""

TEXT, OPENMETRICS, UNSTAMPED = 0, 1, 2
"""`mode`: the format, plus `UNSTAMPED` when timestamps are read and thrown away."""

LINES, MISSES, SLOW, CHANGED, IN_ORDER = 0, 1, 2, 3, 4
"""Places in `counts`: lines of the new body, of them misses, of them with a known key and a tail that the caller must
read, values that changed, and whether every line was met in the order of the layout."""

_SPACE, _TAB, _NEWLINE, _QUOTE, _BACKSLASH, _OPEN, _CLOSE, _HASH = 32, 9, 10, 34, 92, 123, 125, 35
_PLAIN, _ODD, _BROKEN = 0, 1, 2


@kernel()
def _common(old: Bytes, at: Int, new: Bytes, to: Int, most: Int) -> Int:
    """How many of `most` bytes agree."""
    done = 0
    while done < most:
        difference = load64(old, at + done) ^ load64(new, to + done)
        if difference:
            return min(done + (clz(difference) >> 3), most)
        done += 8
    return most


@kernel()
def _hash(data: Bytes, start: Int, length: Int) -> Int:
    value = np.uint64(length) * np.uint64(0x9E3779B97F4A7C15)
    done = 0
    while done < length:
        word = load64(data, start + done)
        if length - done < 8:
            word >>= np.uint64(8 * (8 - (length - done)))
        value = (value ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
        done += 8
    return np.int64(value >> np.uint64(1))


@kernel("void(u1[::1], i4[:,::1], i4[::1])")
def index(body: Bytes, lines: Small, slots: Small) -> None:
    """Fills `slots` (all -1; a power of two, twice the lines at least) with the number of the first line of each
    key."""
    mask = len(slots) - 1
    for i in range(len(lines) - 1):
        start, key = lines[i, START], lines[i, KEY]
        slot = _hash(body, start, key) & mask
        while slots[slot] >= 0:
            other = slots[slot]
            if lines[other, KEY] == key and _common(body, lines[other, START], body, start, key) == key:
                break
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = i


@kernel()
def _find(old: Bytes, lines: Small, slots: Small, new: Bytes, at: Int, key: Int) -> Int:
    """The line whose key stands at `new[at:at + key]`, -1 if there is none."""
    mask = len(slots) - 1
    slot = _hash(new, at, key) & mask
    while slots[slot] >= 0:
        line = slots[slot]
        if lines[line, KEY] == key and _common(old, lines[line, START], new, at, key) == key:
            return line
        slot = (slot + 1) & mask
    return -1


@kernel()
def _skip_braces(data: Bytes, at: Int, end: Int) -> Int:
    """Behind the brace that closes the one at `at`; `end` when none does."""
    quoted = False
    at += 1
    while at < end:
        byte = data[at]
        if byte == _BACKSLASH and quoted:
            at += 1
        elif byte == _QUOTE:
            quoted = not quoted
        elif byte == _CLOSE and not quoted:
            return at + 1
        at += 1
    return end


@kernel()
def key_length(data: Bytes, start: Int, end: Int) -> Int:
    """Bytes before the value of the sample in `data[start:end]`; the whole line when it holds none. A guess for
    looking up: whoever believes it has compared all of them with a line that was parsed."""
    at = start
    if at < end and data[at] == _HASH:
        return end - start
    while at < end and data[at] != _OPEN and data[at] != _SPACE and data[at] != _TAB:
        at += 1
    while at < end and (data[at] == _SPACE or data[at] == _TAB):
        at += 1
    if at < end and data[at] == _OPEN:
        at = _skip_braces(data, at, end)
        while at < end and (data[at] == _SPACE or data[at] == _TAB):
            at += 1
    return at - start


@kernel()
def _token(data: Bytes, at: Int) -> Int:
    """The end of a run of anything but white space and braces; a newline comes in time."""
    while data[at] != _SPACE and data[at] != _NEWLINE and data[at] != _TAB and data[at] != _OPEN:
        at += 1
    return at


@kernel()
def _blanks(data: Bytes, at: Int) -> Int:
    while data[at] == _SPACE or data[at] == _TAB:
        at += 1
    return at


@kernel()
def _text_stamp(data: Bytes, at: Int) -> tuple[Int, Int, Int]:
    """What follows a value in the Prometheus text format, from its first byte on: (end of line, milliseconds,
    state)."""
    at = _blanks(data, at)
    stamp: Int = 0
    first = at
    while 48 <= data[at] <= 57:
        if at - first > 17:
            return at, stamp, _BROKEN  # the caller looks whether it fits into 64 bits
        stamp = stamp * 10 + (np.int64(data[at]) - 48)
        at += 1
    if at == first:
        return at, stamp, _BROKEN
    at = _blanks(data, at)
    return at, stamp, _PLAIN if data[at] == _NEWLINE else _BROKEN


@kernel()
def _openmetrics_stamp(data: Bytes, at: Int) -> tuple[Int, Int, Int]:
    """The same for OpenMetrics: seconds. What has an exemplar behind it is odd."""
    if data[at] != _SPACE or data[at + 1] == _HASH:
        return at, 0, _ODD
    stop = _token(data, at + 1)
    seconds, state = read_float(data, at + 1, stop)
    if state != DONE or not np.abs(seconds) < 9.2e15 or data[stop] != _NEWLINE:
        return at, 0, _ODD
    return stop, np.int64(seconds * 1000.0), _PLAIN


@kernel()
def _read(new: Bytes, at: Int, mode: Int) -> tuple[Int, Int, float, Int, bool]:
    """The rest of a line, from its value on: (state, end of the line, value, timestamp, whether there is one)."""
    stop = _token(new, at)
    value, state = read_float(new, at, stop)
    if state == INVALID:
        return _BROKEN, stop, value, 0, False
    if state == UNDECIDED:
        return _ODD, stop, value, 0, False
    if new[stop] == _NEWLINE:
        return _PLAIN, stop, value, 0, False
    if mode & OPENMETRICS:
        stop, stamp, state = _openmetrics_stamp(new, stop)
    elif new[_blanks(new, stop)] == _NEWLINE:
        return _PLAIN, _blanks(new, stop), value, 0, False
    else:
        stop, stamp, state = _text_stamp(new, stop)
    return state, stop, value, stamp, mode & UNSTAMPED == 0


@kernel()
def _line_end(data: Bytes, at: Int) -> Int:
    while data[at] != _NEWLINE:
        at += 1
    return at


@kernel()
def _update(
    column: Int, value: float, stamp: Int, stamped: bool, values: Floats, own: Floats, stamps: Ints, fresh: Bytes
) -> bool:
    """Stores what a line said; False when it now has a timestamp and had none, or the other way round."""
    if column >= 0:
        if stamped:
            return False
        values[column] = value
    elif column <= STAMPED:
        if not stamped:
            return False
        own[STAMPED - column], stamps[STAMPED - column], fresh[STAMPED - column] = value, stamp, 1
    return True


@kernel(
    "void(u1[::1], i4[:,::1], i4[::1], u1[::1], i8, i8, i8, i8, i4[:,::1], i4[::1], "
    "f8[::1], f8[::1], i8[::1], u1[::1], i8[::1])"
)
def walk(
    old: Bytes,
    lines: Small,
    slots: Small,
    new: Bytes,
    begin: Int,
    end: Int,
    turn: Int,
    mode: Int,
    found: Small,
    slow: Small,
    values: Floats,
    own: Floats,
    stamps: Ints,
    fresh: Bytes,
    counts: Ints,
) -> None:
    """Reads `new[begin:end]` (it ends with a newline) by the layout of `old`.

    `lines` (n + 1 rows; the last holds where the body ends) and `slots` are the layout, `turn` a number that grows
    with each walk. `found` gets a row for each new line: (start, line of the layout or -1), and `slow` the numbers of
    new lines whose key is known and whose rest was not read. Values go to `values`, those with timestamps to `own`
    and `stamps`, marked in `fresh`. When nothing was amiss, `lines` holds the starts of the new body afterwards.
    `counts[LINES]` is -1 when `found` or `slow` was too short."""
    known, line, at = len(lines) - 1, 0, begin
    count, misses, slows, changed, in_order = 0, 0, 0, 0, 1
    while at < end:
        if count >= len(found) or slows >= len(slow):
            counts[LINES] = -1
            return
        if line < known and lines[line, SEEN] != turn:
            start, key, column = lines[line, START], lines[line, KEY], lines[line, COLUMN]
            length = lines[line + 1, START] - start
            same = _common(old, start, new, at, length)
            if same == length:
                found[count, 0], found[count, 1] = at, line
                lines[line, SEEN] = turn
                count += 1
                line += 1
                at += length
                continue
            if same >= key and column != OTHER:
                state, stop, value, stamp, stamped = _read(new, at + key, mode)
                if state == _PLAIN and not _update(column, value, stamp, stamped, values, own, stamps, fresh):
                    state = _BROKEN
                if state != _BROKEN:
                    if state == _ODD:
                        slow[slows] = count
                        slows += 1
                        stop = _line_end(new, stop)
                    found[count, 0], found[count, 1] = at, line
                    lines[line, SEEN] = turn
                    count += 1
                    line += 1
                    changed += 1
                    at = stop + 1
                    continue
        stop = _line_end(new, at)
        other = _find(old, lines, slots, new, at, key_length(new, at, stop))
        if other >= 0 and other != line and lines[other, SEEN] != turn:
            line, in_order = other, 0
            continue
        found[count, 0], found[count, 1] = at, -1
        count += 1
        misses += 1
        at = stop + 1
    counts[LINES], counts[MISSES], counts[SLOW], counts[CHANGED] = count, misses, slows, changed
    whole = in_order == 1 and misses == 0 and count == known
    counts[IN_ORDER] = whole
    if whole:
        for i in range(known):
            lines[i, START] = found[i, 0]
        lines[known, START] = end
