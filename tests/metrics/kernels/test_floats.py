"""Floats from text: the bits of Python's float(), which rounds correctly, or left to it."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.metrics.kernels.floats import DONE, INVALID, UNDECIDED, read_float
from styr.metrics.model.samples import NORMAL_NAN_BITS


def read(text: str) -> tuple[int, int]:
    """(bits, state); with digits on both sides that must not count."""
    data = np.frombuffer(f"7{text}7".encode() + bytes(64), np.uint8).copy()
    value, state = read_float(data, 1, 1 + len(text.encode()))
    return bits(value), state


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def check(text: str) -> bool:
    found, state = read(text)
    assert state != INVALID, text
    if state == DONE:
        assert found == bits(float(text)), text
    return state == DONE


def test_numbers_of_every_kind() -> None:
    chance = random.Random(5)
    decided = 0
    for _ in range(40_000):
        kind = chance.random()
        if kind < 0.4:
            value = struct.unpack("<d", chance.randbytes(8))[0]
            text = repr(value) if value == value and abs(value) != np.inf else "0"
        elif kind < 0.7:
            text = f"{chance.uniform(-1e9, 1e9):.{chance.randint(0, 12)}f}"
        elif kind < 0.9:
            text = f"{chance.randrange(10**19)}e{chance.randint(-345, 310)}"
        else:
            text = str(2 * chance.randint(1 << 52, (1 << 53) - 1) + 1)
        decided += check(text)
    assert decided > 35_000


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_shortest_text_of_a_float_reads_back(value: float) -> None:
    check(repr(value))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "0",
            "-0",
            "+0",
            "00",
            "0.0",
            ".0",
            "0.",
            "1",
            "1.",
            ".5",
            "+.5e1",
            "1e5",
            "1E+5",
            "1e-5",
            "1e00000000000001",
        ),
        *("1e-400", "0e999", "-0e-999", "123456789012345678", "2.2250738585072014e-308", "1e22", "1e-22", "8e15"),
        *("000000000000000000000000000000012", "0.000000000000000000000000000000012", "9007199254740992"),
    ],
)
def test_plain_numbers_are_decided(text: str) -> None:
    assert check(text)


@pytest.mark.parametrize(
    "text", ["1e999", "-1e999", "1" * 400, "4.9e-324", "123456789012345678901", "9007199254740993"]
)
def test_hard_ones_are_left_to_the_caller(text: str) -> None:
    assert read(text)[1] == UNDECIDED


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "-",
            "+",
            "e",
            "e5",
            "1e",
            "1e+",
            "1e-",
            "1.2.3",
            "1-",
            "--1",
            "+-1",
            "1 ",
            " 1",
            "0x1p3",
            "1_0",
            "1f",
        ),
        *("in", "infi", "infinit", "infinityx", "+nan", "-nan", "nanx", "na", "1e5.5", "１", "\0"),
    ],
)
def test_what_is_no_number(text: str) -> None:
    assert read(text)[1] == INVALID


def test_infinities_and_nan() -> None:
    for text in ("inf", "+Inf", "-INF", "infinity", "+Infinity", "-iNFINITy"):
        assert read(text) == (bits(float(text)), DONE)
    for text in ("nan", "NaN", "NAN"):
        assert read(text) == (NORMAL_NAN_BITS, DONE)
