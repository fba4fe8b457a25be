"""XOR2 chunks: what the format says, decoded; with start timestamps that are passed over; no bytes make the decoder read
outside. That Prometheus' own chunks are read is in tests/metrics/storage/test_encodings.py."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.metrics.kernels.xor2 import xor2_decode
from styr.metrics.model.samples import NORMAL_NAN_BITS, STALE_BITS

MASK = (1 << 64) - 1
BITS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, STALE_BITS, NORMAL_NAN_BITS, -(2**63), 1, -1]),
    st.floats(-1e6, 1e6).map(lambda f: int(np.float64(f).view(np.int64))),
)
STEP = st.one_of(st.just(15_000), st.integers(1, 20_000), st.integers(1, 2**20), st.integers(1, 2**40))
START = st.one_of(st.just(0), st.just(5), st.integers(-(2**40), 2**41))
Samples = list[tuple[int, int, int]]
"""(time, bits, start timestamp, 0 for none)."""


def low(value: int, width: int) -> str:
    """The low bits of a number."""
    return format(value & ((1 << width) - 1), f"0{width}b")


def uvarint(value: int) -> str:
    out = ""
    while value > 127:
        out += low(value & 127 | 128, 8)
        value >>= 7
    return out + low(value, 8)


def varint(value: int) -> str:
    return uvarint(value << 1 if value >= 0 else (-value << 1) - 1)


def varbit(value: int) -> str:
    if value == 0:
        return "0"
    for ones, width in enumerate((3, 6, 9, 12, 18, 25, 56), 1):
        if -(1 << width - 1) + 1 <= value <= 1 << width - 1:
            return "1" * ones + "0" + low(value, width)
    return "1" * 8 + low(value, 64)


class Value:
    """The values as XORs with the last that was no staleness marker."""

    def __init__(self) -> None:
        self.before, self.window = 0, (-1, -1)

    def xor(self, bits: int, prefixes: tuple[str, str]) -> str:
        delta = (bits ^ self.before) & MASK
        leading, trailing = min(64 - delta.bit_length(), 31), (delta & -delta).bit_length() - 1
        self.before = bits
        if self.window[0] >= 0 and leading >= self.window[0] and trailing >= self.window[1]:
            return prefixes[0] + low(delta >> self.window[1], 64 - sum(self.window))
        self.window = leading, trailing
        width = 64 - leading - trailing
        return prefixes[1] + low(leading, 5) + low(width, 6) + low(delta >> trailing, width)

    def after_step(self, bits: int) -> str:
        if bits == STALE_BITS:
            return "111"
        return "0" if bits == self.before else self.xor(bits, ("10", "110"))

    def without_step(self, bits: int) -> str:
        if bits == STALE_BITS:
            return "11111"
        return "0" if bits == self.before else "10" + self.xor(bits, ("0", "1"))


def step_change(change: int) -> str:
    for prefix, width in (("110", 13), ("1110", 20)):
        if -(1 << width - 1) <= change < 1 << width - 1:
            return prefix + low(change, width)
    return "11110" + low(change, 64)


def encode(samples: Samples) -> bytes:
    """As the format says; start timestamps are told from where they first change, or from sample 127 on."""
    value, out, header = Value(), "", 0
    changes_on = next((i for i in range(1, len(samples)) if samples[i][2] != samples[0][2] or i == 127), 0)
    delta = difference = 0
    for i, (t, bits, start) in enumerate(samples):
        if i == 0:
            out += varint(t) + low(bits, 64)
            value.before = 0 if bits == STALE_BITS else bits
            if start:
                header |= 0x80
                out += varint(t - start)
            continue
        before = samples[i - 1][0]
        step = t - before
        if i == 1:
            out += uvarint(step) + value.after_step(bits)
        elif step == delta:
            out += value.without_step(bits)
        else:
            out += step_change(step - delta) + value.after_step(bits)
        delta = step
        if changes_on and i >= changes_on and len(samples) > 1 and any(s[2] for s in samples):
            header |= changes_on
            out += varbit(before - start - difference)
            difference = before - start
    out += "0" * (-len(out) % 8)
    return len(samples).to_bytes(2, "big") + bytes([header]) + int("1" + out, 2).to_bytes(len(out) // 8 + 1, "big")[1:]


def decode(data: bytes, room: int = 400) -> list[tuple[int, int]] | None:
    t, v = np.zeros(room, np.int64), np.zeros(room, np.int64)
    got = xor2_decode(np.frombuffer(data, np.uint8), 0, len(data), t, v, 0)
    return None if got < 0 else list(zip(t[:got].tolist(), v[:got].tolist(), strict=True))


def made(start: int, steps: list[tuple[int, int, int]]) -> Samples:
    times = np.cumsum([start, *[step for step, _, _ in steps[1:]]]).tolist()
    return [(t, bits, begun) for t, (_, bits, begun) in zip(times, steps, strict=True)]


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**40), 2**42), st.lists(st.tuples(STEP, BITS, START), min_size=1, max_size=150))
def test_what_goes_in_comes_out(start: int, steps: list[tuple[int, int, int]]) -> None:
    samples = made(start, steps)
    assert decode(encode(samples)) == [(t, v) for t, v, _ in samples]
    without = [(t, v, 0) for t, v, _ in samples]
    assert decode(encode(without)) == [(t, v) for t, v, _ in samples]


def test_steady_samples_take_a_bit_each() -> None:
    samples = [(15_000 * i, 7, 0) for i in range(120)]
    assert len(encode(samples)) < 3 + 12 + 2 + 16
    assert decode(encode(samples)) == [(t, v) for t, v, _ in samples]


def test_cut_anywhere_is_corrupt_not_a_shorter_chunk() -> None:
    data = encode([(1, 1, 0), (5, STALE_BITS, 0), (1000, -1, 3), (10**9, 77, 3), (10**15, 77, 4)])
    for length in range(len(data)):
        assert decode(data[:length]) is None


def test_room_that_is_too_small() -> None:
    assert decode(encode([(i, i, 0) for i in range(10)]), room=9) is None


FUZZ = """
import numpy as np
from styr.metrics.kernels.xor2 import xor2_decode
random = np.random.default_rng(4)
t, v = np.zeros(300, np.int64), np.zeros(300, np.int64)
for _ in range(3000):
    data = random.integers(0, 256, int(random.integers(0, 80)), dtype=np.uint8)
    if len(data) > 3 and random.random() < 0.8:
        data[0], data[1] = 0, random.integers(0, 200)
    xor2_decode(data, 0, len(data), t, v, 0)
    xor2_decode(data, int(random.integers(-3, 90)), int(random.integers(-3, 90)), t, v, int(random.integers(-3, 310)))
print("inside")
"""


def test_random_bytes_stay_inside() -> None:
    """With every index checked, in a process of its own: the check is compiled in."""
    done = subprocess.run(
        [sys.executable, "-c", FUZZ], env={**os.environ, "STYR_KERNEL_BOUNDSCHECK": "1"}, capture_output=True, text=True
    )
    assert done.stdout == "inside\n", done.stderr
