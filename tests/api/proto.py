"""Protobuf by hand, for tests: `message(f(1, "name"), f(3, 7))`, and the envelope around it."""

from __future__ import annotations

MEDIA = "application/vnd.kubernetes.protobuf"


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def f(number: int, value: str | bytes | int = b"") -> bytes:
    """A field: a number as a varint, anything else with its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def pair(number: int, key: str, value: str | bytes) -> bytes:
    """An entry of a map."""
    return f(number, f(1, key) + f(2, value))


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\0" + f(1, f(1, api_version) + f(2, kind)) + f(2, raw) + f(3) + f(4)
