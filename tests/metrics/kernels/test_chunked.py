"""Chunked bodies, whole and in pieces, against a plain reading of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from styr.metrics.kernels.chunked import BROKEN, DONE, PHASE, SIZE, WRITE, dechunk


def fed(data: bytes, cuts: list[int]) -> tuple[bytes, int]:
    """What comes out when the data arrives in pieces that end at `cuts`: (body, phase)."""
    buffer = np.frombuffer(data + b"\xaa" * 8, np.uint8).copy()
    state = np.array([0, 0, -1, SIZE], np.int64)
    for end in [*cuts, len(data)]:
        dechunk(buffer, end, state)
    return buffer[: state[WRITE]].tobytes(), int(state[PHASE])


def test_pieces_of_every_size() -> None:
    chance = random.Random(1)
    for _ in range(300):
        parts = [chance.randbytes(chance.randint(1, 50)) for _ in range(chance.randint(0, 6))]
        wire = b""
        for part in parts:
            extension = chance.choice([b"", b";x=y", b" ; x"])
            wire += (b"%x" if chance.random() < 0.5 else b"%X") % len(part) + extension + b"\r\n" + part + b"\r\n"
        wire += b"0\r\n" + chance.choice([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"]) + b"\r\n"
        cuts = sorted(chance.randrange(len(wire) + 1) for _ in range(chance.randint(0, 8)))
        assert fed(wire, cuts) == (b"".join(parts), DONE)
        assert fed(wire, list(range(len(wire)))) == (b"".join(parts), DONE)
        for end in range(len(wire)):
            assert fed(wire[:end], [])[1] not in (DONE, BROKEN)


@pytest.mark.parametrize(
    "wire", [b"x", b"\r\n", b";", b"-1\r\n", b"2\r\nabc", b"1\r\nabc", b"ffffffffffffffffffff\r\n", b" 5\r\n"]
)
def test_what_is_broken(wire: bytes) -> None:
    assert fed(wire, [])[1] == BROKEN


def test_any_bytes() -> None:
    chance = random.Random(2)
    for _ in range(2000):
        data = bytes(chance.choice(b"0123456789abcdef\r\n;\r\n\r\n") for _ in range(chance.randint(0, 60)))
        body, _ = fed(data, sorted(chance.randrange(len(data) + 1) for _ in range(3)))
        assert len(body) <= len(data)
