"""Protobuf's wire format: numbers, lengths, and what to skip. Called by `reader` and `leaves`; pure.

Source: protobuf.dev/programming-guides/encoding. Groups, which no message of Kubernetes has, are damage.
"""

from __future__ import annotations

from collections.abc import Iterator

from styr.api.protobuf.shapes import Shape
from styr.kinds.errors import BadRequest, TooLarge

MAX_VALUES = 1 << 17
"""Messages, entries of lists and entries of maps in one body: 24 bytes for each in the largest one."""


def damaged(why: str) -> BadRequest:
    return BadRequest(f"the protobuf body is damaged: {why}; send it again, or send application/json")


class Wire:
    """One body, and how many values it may still hold. Bytes that end within a number raise IndexError: `envelope` puts
    that into words."""

    __slots__ = ("data", "left")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = MAX_VALUES

    def varint(self, at: int) -> tuple[int, int]:
        """An unsigned number of 64 bits, and where it ends."""
        value = shift = 0
        while shift < 70:
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
            shift += 7
        raise damaged("a number does not end")

    def parts(self, at: int, end: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
        """The fields of a small message: number, value of a varint, and the bounds of anything else."""
        while at < end:
            tag, at = self.varint(at)
            value, bounds = 0, (at, at)
            if tag & 7 == 0:
                value, at = self.varint(at)
            elif tag & 7 == 2:
                size, start = self.varint(at)
                at = start + size
                bounds = (start, at)
            else:
                at = self.skip(tag, at, end, None)
            if at > end:
                raise damaged("it is cut off")
            yield tag >> 3, value, bounds

    def count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooLarge(f"Request entity too large: limit is {MAX_VALUES} values in a protobuf body")

    def text(self, bounds: tuple[int, int]) -> str:
        return self.data[bounds[0] : bounds[1]].decode()

    def skip(self, tag: int, at: int, end: int, shape: Shape | None) -> int:
        """Where a field that nobody knows ends."""
        number, wire = tag >> 3, tag & 7
        if number == 0 or wire in (3, 4, 6, 7):
            raise damaged(f"field {number} has the wire type {wire}")
        if shape is not None and number in shape.numbers:
            raise damaged(f"field {number} has the wrong wire type, {wire}")
        if wire == 0:
            return self.varint(at)[1]
        if wire == 2:
            size, at = self.varint(at)
            at += size
        else:
            at += 8 if wire == 1 else 4
        if at > end:
            raise damaged("it is cut off")
        return at
