"""Why Go's net/netip refuses a text that is no address or network, in its words. Called by `network`, for messages only."""

from __future__ import annotations

import json
import re

_HEX = re.compile(r"[0-9A-Fa-f]*")
_BITS = re.compile(r"0|[1-9]\d*", re.ASCII)


class _Wrong(Exception):
    def __init__(self, message: str, at: str = "") -> None:
        super().__init__(message)
        self.at = at


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def address_fault(text: str) -> str:
    """What `netip.ParseAddr` says."""
    try:
        _address(text)
    except _Wrong as wrong:
        return f"ParseAddr({quoted(text)}): {wrong}" + (f" (at {quoted(wrong.at)})" if wrong.at else "")
    return f"ParseAddr({quoted(text)}): unable to parse IP"


def network_fault(text: str) -> str:
    """What `netip.ParsePrefix` says."""
    host, slash, bits = text.rpartition("/")
    if not slash:
        fault = "no '/'"
    elif (found := _host_fault(host)) is not None:
        fault = found
    elif not _BITS.fullmatch(bits):
        fault = f"bad bits after slash: {quoted(bits)}"
    else:
        fault = "prefix length out of range"
    return f"netip.ParsePrefix({quoted(text)}): {fault}"


def _host_fault(host: str) -> str | None:
    try:
        _address(host)
    except _Wrong:
        return address_fault(host)
    return "IPv6 zones cannot be present in a prefix" if "%" in host else None


def _address(text: str) -> None:
    first = next((char for char in text if char in ".:%"), "")
    if first == ".":
        _four(text)
    elif first == ":":
        _six(text)
    else:
        raise _Wrong("missing IPv6 address" if first else "unable to parse IP")


def _four(text: str) -> None:
    value = digits = dots = 0
    for at, char in enumerate(text):
        if "0" <= char <= "9":
            if digits == 1 and value == 0:
                raise _Wrong("IPv4 field has octet with leading zero")
            value, digits = value * 10 + int(char), digits + 1
            if value > 255:
                raise _Wrong("IPv4 field has value >255")
        elif char != ".":
            raise _Wrong("unexpected character", text[at:])
        elif at in (0, len(text) - 1) or text[at - 1] == ".":
            raise _Wrong("IPv4 field must have at least one digit", text[at:])
        elif dots == 3:
            raise _Wrong("IPv4 address too long")
        else:
            value, digits, dots = 0, 0, dots + 1
    if dots < 3:
        raise _Wrong("IPv4 address too short")


def _six(text: str) -> None:
    rest, percent, zone = text.partition("%")
    if percent and not zone:
        raise _Wrong("zone must be a non-empty string")
    gap = -1
    if rest.startswith("::"):
        gap, rest = 0, rest[2:]
        if not rest:
            return
    at = 0
    while at < 16:
        behind = _group(rest)
        if behind.startswith("."):
            _embedded(rest, gap, at)
            at, rest = at + 4, ""
            break
        at, rest = at + 2, behind
        if not rest:
            break
        rest = _colon(rest)
        if rest[0] == ":":
            if gap >= 0:
                raise _Wrong("multiple :: in address", rest)
            gap, rest = at, rest[1:]
            if not rest:
                break
    if rest:
        raise _Wrong("trailing garbage after address", rest)
    _filled(at, gap)


def _filled(at: int, gap: int) -> None:
    if at < 16 and gap < 0:
        raise _Wrong("address string too short")
    if at >= 16 and gap >= 0:
        raise _Wrong("the :: must expand to at least one field of zeros")


def _group(rest: str) -> str:
    """What comes after a field of hexadecimal digits."""
    found = _HEX.match(rest)
    digits = found.end() if found else 0
    if digits > 4:
        raise _Wrong("each group must have 4 or less digits", rest)
    if not digits:
        raise _Wrong("each colon-separated field must have at least one digit", rest)
    return rest[digits:]


def _colon(rest: str) -> str:
    if rest[0] != ":":
        raise _Wrong("unexpected character, want colon", rest)
    if len(rest) == 1:
        raise _Wrong("colon must be followed by more characters", rest)
    return rest[1:]


def _embedded(rest: str, gap: int, at: int) -> None:
    if gap < 0 and at != 12:
        raise _Wrong("embedded IPv4 address must replace the final 2 fields of the address", rest)
    if at + 4 > 16:
        raise _Wrong("too many hex fields to fit an embedded IPv4 at the end of the address", rest)
    _four(rest)
