"""Bits in the order in which Prometheus' chunks have them, and its variable-bit integers. Called by the codecs here; pure.

A variable-bit integer has a prefix of ones that says how many bits follow: none (the value is 0), 3, 6, 9, 12, 18, 25, 56, 64.
"""

from __future__ import annotations

import struct

from styr.metrics.model.errors import Corrupt

WIDTHS = (0, 3, 6, 9, 12, 18, 25, 56, 64)
_MASK = (1 << 64) - 1

NO_WINDOW = (255, 0)
"""For writing the first XOR: narrower than any."""
Window = tuple[int, int]
"""Zero bits before and behind those that the last XOR had."""


def bits_of(value: float) -> int:
    """The 64 bits of a float, a NaN's payload included."""
    return int.from_bytes(struct.pack(">d", value), "big")


def float_of(bits: int) -> float:
    found: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    return found


class Writer:
    """Appends bits to bytes; `data()` ends the last byte with zeros."""

    __slots__ = ("_bytes", "_rest", "_width")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._rest = self._width = 0
        """The bits that do not fill a byte yet."""

    def write(self, value: int, width: int) -> None:
        """The low `width` bits of `value`, which may be negative."""
        rest = self._rest << width | value & ((1 << width) - 1)
        width += self._width
        whole, self._width = divmod(width, 8)
        self._bytes += (rest >> self._width).to_bytes(whole, "big")
        self._rest = rest & ((1 << self._width) - 1)

    def varint(self, value: int) -> None:
        """Signed; each width holds `-2**(n-1) + 1 .. 2**(n-1)`. Values wrap around at 64 bits, as Go's."""
        value = signed(value)
        if value == 0:
            self.write(0, 1)
            return
        for ones, width in enumerate(WIDTHS[1:-1], 1):
            if -(1 << width - 1) + 1 <= value <= 1 << width - 1:
                self.write((1 << ones + 1) - 2, ones + 1)
                self.write(value, width)
                return
        self.write(255, 8)
        self.write(value, 64)

    def uvarint(self, value: int) -> None:
        for ones, width in enumerate(WIDTHS[:-1]):
            if value < 1 << width:
                self.write((1 << ones + 1) - 2, ones + 1)
                self.write(value, width)
                return
        self.write(255, 8)
        self.write(value, 64)

    def xor(self, value: int, before: int, window: Window) -> Window:
        """The XOR of two floats' bits, as in chunks of floats. Returns the window for the next."""
        delta = value ^ before
        if not delta:
            self.write(0, 1)
            return window
        leading, trailing = min(64 - delta.bit_length(), 31), (delta & -delta).bit_length() - 1
        if leading >= window[0] and trailing >= window[1]:
            self.write(2, 2)
            self.write(delta >> window[1], 64 - window[0] - window[1])
            return window
        width = 64 - leading - trailing
        self.write(3 << 11 | leading << 6 | width & 63, 13)
        self.write(delta >> trailing, width)
        return leading, trailing

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self._bytes) + (self._width > 0)

    def data(self) -> bytes:
        if not self._width:
            return bytes(self._bytes)
        return bytes(self._bytes) + bytes([self._rest << 8 - self._width])


def signed(value: int) -> int:
    """The number that the low 64 bits are in two's complement."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


class Reader:
    """Raises Corrupt at the end of the data."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._end = data, 0, 8 * len(data)

    @property
    def left(self) -> int:
        """Bits that have not been read."""
        return self._end - self._at

    def read(self, width: int) -> int:
        at = self._at + width
        if at > self._end:
            raise Corrupt("a chunk of histograms is cut off")
        word = int.from_bytes(self._data[self._at >> 3 : (at + 7) >> 3], "big")
        self._at = at
        return word >> (-at & 7) & ((1 << width) - 1)

    def _width(self) -> int:
        for width in WIDTHS[:-1]:
            if not self.read(1):
                return width
        return 64

    def varint(self) -> int:
        width = self._width()
        value = self.read(width)
        if width == 64:
            return signed(value)
        return value - (1 << width) if width and value > 1 << width - 1 else value

    def uvarint(self) -> int:
        return self.read(self._width())

    def go_varint(self) -> int:
        """A signed one in bytes of 7 bits, as encoding/binary writes it; the bytes begin at any bit."""
        raw = shift = 0
        while shift < 70:
            byte = self.read(8)
            raw |= (byte & 127) << shift
            if byte < 128:
                return raw >> 1 if not raw & 1 else ~(raw >> 1)
            shift += 7
        raise Corrupt("a chunk of histograms has a number of more than 64 bits")

    def xor(self, before: int, window: Window) -> tuple[int, Window]:
        """(bits of the value, window for the next)."""
        if not self.read(1):
            return before, window
        if self.read(1):
            leading, width = self.read(5), self.read(6) or 64
            window = leading, 64 - leading - width
        leading, trailing = window
        if trailing < 0:
            raise Corrupt("a chunk of histograms has a value of more than 64 bits")
        return before ^ self.read(64 - leading - trailing) << trailing, window
