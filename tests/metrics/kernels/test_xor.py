"""XOR chunks: what goes in comes out, bit for bit; bytes as Prometheus writes them; no bytes make the decoder read outside."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.metrics.kernels.xor import xor_count, xor_decode, xor_decode_until, xor_encode, xor_encode_many
from styr.metrics.model.samples import NORMAL_NAN_BITS, STALE_BITS

BITS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, STALE_BITS, NORMAL_NAN_BITS, -(2**63), 1, -1]),
    st.floats(-1e6, 1e6).map(lambda f: int(np.float64(f).view(np.int64))),
)
STEP = st.one_of(st.just(15_000), st.integers(1, 20_000), st.integers(1, 2**20), st.integers(1, 2**40))


def encode(t: list[int], v: list[int]) -> bytes:
    out = np.full(30 + 19 * len(t), 0xAA, np.uint8)
    length = xor_encode(np.array(t, np.int64), np.array(v, np.int64), 0, len(t), out, 5)
    assert (out[:5] == 0xAA).all()
    return bytes(out[5 : 5 + length])


def decode(data: bytes, room: int = 400) -> list[tuple[int, int]] | None:
    t, v = np.zeros(room, np.int64), np.zeros(room, np.int64)
    got = xor_decode(np.frombuffer(data, np.uint8), 0, len(data), t, v, 0)
    return None if got < 0 else list(zip(t[:got].tolist(), v[:got].tolist(), strict=True))


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**40), 2**42), st.lists(st.tuples(STEP, BITS), min_size=1, max_size=130))
def test_what_goes_in_comes_out(start: int, steps: list[tuple[int, int]]) -> None:
    t = np.cumsum([start, *[step for step, _ in steps[1:]]]).tolist()
    v = [value for _, value in steps]
    data = encode(t, v)
    assert decode(data) == list(zip(t, v, strict=True))
    assert xor_count(np.frombuffer(data, np.uint8), 0) == len(t)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(-(2**40), 2**42),
    st.lists(st.tuples(STEP, BITS), min_size=1, max_size=130),
    st.integers(0, 131),
    st.data(),
)
def test_decoding_up_to_a_time_leaves_out_only_what_is_later(
    start: int, steps: list[tuple[int, int]], place: int, draw: st.DataObject
) -> None:
    times = np.cumsum([start, *[step for step, _ in steps[1:]]]).tolist()
    values = [value for _, value in steps]
    last = times[min(place, len(times) - 1)] + draw.draw(st.integers(-1, 1))
    data = np.frombuffer(encode(times, values), np.uint8)
    t, v = np.zeros(400, np.int64), np.zeros(400, np.int64)
    got = int(xor_decode_until(data, 0, len(data), t, v, 0, last))
    assert list(zip(t[:got].tolist(), v[:got].tolist(), strict=True)) == list(zip(times, values, strict=True))[:got]
    assert got >= sum(time <= last for time in times)


def test_bytes_are_those_of_prometheus() -> None:
    """Worked out by hand from the format: 3 samples, delta 15000, then a change of the delta by 100."""
    bits = [int(np.float64(f).view(np.int64)) for f in (1.0, 1.0, 2.0)]
    data = encode([1000, 16_000, 31_100], bits)
    change = "10" + format(100, "014b")
    xor = bits[1] ^ bits[2]
    text = format(xor, "064b")
    leading, trailing = min(len(text) - len(text.lstrip("0")), 31), len(text) - len(text.rstrip("0"))
    width = 64 - leading - trailing
    value = "11" + format(leading, "05b") + format(width & 63, "06b") + text[leading : 64 - trailing]
    tail = "0" + change + value
    tail += "0" * (-len(tail) % 8)
    head = b"\x00\x03" + b"\xd0\x0f" + bits[0].to_bytes(8, "big") + b"\x98\x75"
    assert data == head + int(tail, 2).to_bytes(len(tail) // 8, "big")


def test_many_chunks_at_once_are_the_chunks_one_by_one() -> None:
    random = np.random.default_rng(1)
    t = np.arange(1000, dtype=np.int64) * 10
    v = random.integers(0, 5, 1000).astype(np.float64).view(np.int64)
    bounds = np.array([0, 1, 120, 360, 1000], np.int64)
    out, starts = np.zeros(20_000, np.uint8), np.zeros(5, np.int64)
    total = xor_encode_many(t, v, bounds, out, starts)
    assert total == starts[-1]
    for i in range(4):
        low, high = int(bounds[i]), int(bounds[i + 1])
        assert bytes(out[starts[i] : starts[i + 1]]) == encode(t[low:high].tolist(), v[low:high].tolist())


def test_cut_anywhere_is_corrupt_not_a_shorter_chunk() -> None:
    data = encode([1, 5, 1000, 10**9, 10**15], [1, STALE_BITS, -1, 77, 77])
    for length in range(len(data)):
        assert decode(data[:length]) is None


@pytest.mark.parametrize("count", [0, 65536])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    t = np.zeros(count, np.int64)
    assert xor_encode(t, t, 0, count, np.zeros(65536 * 20, np.uint8), 0) == -1


def test_no_room_is_refused() -> None:
    t = np.arange(10, dtype=np.int64)
    assert xor_encode(t, t, 0, 10, np.zeros(30, np.uint8), 0) == -1
    assert decode(encode([1, 2, 3], [1, 2, 3]), room=2) is None


FUZZ = """
import numpy as np
from styr.metrics.kernels.xor import xor_decode, xor_encode
random = np.random.default_rng(7)
t, v = np.zeros(300, np.int64), np.zeros(300, np.int64)
good = np.zeros(4000, np.uint8)
for turn in range(3000):
    if turn % 2:
        data = random.integers(0, 256, random.integers(0, 200)).astype(np.uint8)
        if len(data) > 1: data[0] = 0
    else:
        n = int(random.integers(1, 120))
        a, b = np.cumsum(random.integers(1, 99999, n)), random.integers(-2**63, 2**63 - 1, n)
        length = xor_encode(a, b, 0, n, good, 0)
        data = good[:length].copy()
        for _ in range(random.integers(1, 4)): data[random.integers(0, length)] ^= np.uint8(1 << int(random.integers(0, 8)))
    assert -1 <= xor_decode(data, 0, len(data), t, v, 0) <= 300
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    assert -1 <= xor_decode(padded, 0, len(data), t, v, 0) <= 300
"""


def test_random_bytes_stay_in_bounds() -> None:
    environment = {**os.environ, "STYR_KERNEL_BOUNDSCHECK": "1"}
    done = subprocess.run([sys.executable, "-c", FUZZ], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
