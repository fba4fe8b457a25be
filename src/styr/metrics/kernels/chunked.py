"""HTTP/1.1 chunked bodies (RFC 9112, 7.1), taken out of their frames where they lie. Called by `scrape.connection`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int
from styr.metrics.kernels.jit import kernel

READ, WRITE, LEFT, PHASE = 0, 1, 2, 3
"""Places in `state`: next byte to read, where the next byte of the body goes, bytes left of this chunk, and the phase."""
SIZE, EXTENSION, DATA, AFTER, TRAILER, TRAILER_LINE, DONE, BROKEN = 0, 1, 2, 3, 4, 5, 6, 7
"""Phases: in a chunk's size, behind it, in the chunk, behind it, at the start of a trailer's line, in it, at the end, no
chunks."""

_CR, _LF, _SEMICOLON = 13, 10, 59
_MOST = 1 << 31


@kernel()
def _hex(byte: Int) -> Int:
    if 48 <= byte <= 57:
        return byte - 48
    if 97 <= (byte | 32) <= 102:
        return (byte | 32) - 87
    return -1


@kernel()
def _frame(byte: Int, state: NDArray[np.int64]) -> None:
    """One byte that belongs to no chunk. In SIZE, `state[LEFT]` is -1 until there is a digit."""
    phase, left = state[PHASE], state[LEFT]
    if phase == SIZE:
        digit = _hex(byte)
        if digit >= 0 and left < _MOST:
            state[LEFT] = max(left, 0) * 16 + digit
        elif left >= 0 and digit < 0:
            phase = EXTENSION
        else:
            state[PHASE] = BROKEN
            return
    if phase == EXTENSION:
        state[PHASE] = EXTENSION
        if byte == _LF:
            state[PHASE] = DATA if state[LEFT] > 0 else TRAILER
    elif phase == AFTER and byte == _LF:
        state[PHASE], state[LEFT] = SIZE, -1
    elif phase == AFTER and byte != _CR:
        state[PHASE] = BROKEN
    elif phase == TRAILER and byte == _LF:
        state[PHASE] = DONE
    elif phase == TRAILER and byte != _CR:
        state[PHASE] = TRAILER_LINE
    elif phase == TRAILER_LINE and byte == _LF:
        state[PHASE] = TRAILER


@kernel("void(u1[::1], i8, i8[::1])")
def dechunk(buffer: Bytes, end: Int, state: NDArray[np.int64]) -> None:
    """Goes on from `state` over what has come since: the body's bytes move to the front, frames vanish. Begins with
    (first byte, first byte, -1, SIZE); at the end of the body the phase is DONE or BROKEN."""
    while state[READ] < end and state[PHASE] < DONE:
        if state[PHASE] == DATA:
            read, write = state[READ], state[WRITE]
            length = min(end - read, state[LEFT])
            for i in range(length):
                buffer[write + i] = buffer[read + i]
            state[READ], state[WRITE], state[LEFT] = read + length, write + length, state[LEFT] - length
            if state[LEFT] == 0:
                state[PHASE] = AFTER
        else:
            _frame(buffer[state[READ]], state)
            state[READ] += 1
