"""Names of blocks: ULIDs, 26 characters of Crockford's base 32 (48 bits of time, 80 of randomness), which sort by time.

Called by whatever makes or lists blocks; pure, time and randomness are passed in. Format: github.com/ulid/spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from styr.kit.clock import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {char: number for number, char in enumerate(_ALPHABET)}
_SHAPE = re.compile(f"[0-7][{_ALPHABET}]{{25}}")


def make(ms: int, randomness: bytes) -> str:
    """Of a time in milliseconds since 1970 and ten random bytes."""
    if not 0 <= ms < 1 << 48 or len(randomness) != 10:
        raise ValueError(
            f"a ULID is made of 48 bits of milliseconds and 10 random bytes, not {ms} and {len(randomness)}"
        )
    number = ms << 80 | int.from_bytes(randomness, "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(text: str) -> bool:
    """Upper case, as block folders are named."""
    return _SHAPE.fullmatch(text) is not None


def time_of(text: str) -> int:
    """The milliseconds in it."""
    number = 0
    for char in text[:10]:
        number = number << 5 | _VALUE[char]
    return number


def names(clock: Clock, random: Random) -> Callable[[], str]:
    """Gives a new name with each call."""
    return lambda: make(int(clock.time() * 1000), random.randbytes(10))
