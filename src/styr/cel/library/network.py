"""IP addresses and networks, as Go's net/netip reads them; no zones, no IPv4 inside IPv6."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from styr.cel.errors import EvaluationError, no_overload
from styr.cel.functions import Functions, Overload, function, member
from styr.cel.library.addresses import address_fault, network_fault, quoted
from styr.cel.types import BOOL, INT, STRING, opaque
from styr.cel.values import KINDS, SIZES

IP, CIDR = opaque("net.IP"), opaque("net.CIDR")
_SHOWN = 1024
"""Characters of a text in a message."""
_NO_NETWORK = "network address parse error during conversion from string: "
_BITS = re.compile(r"0|[1-9]\d{0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    value: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Prefix:
    """An address with the length of its network: the bits behind may be set."""

    value: IPv4Address | IPv6Address
    bits: int

    def __str__(self) -> str:
        return f"{self.value}/{self.bits}"

    @property
    def network(self) -> IPv4Network | IPv6Network:
        return ip_network((self.value, self.bits), strict=False)


KINDS[Address], KINDS[Prefix] = "net.IP", "net.CIDR"
SIZES[Address] = lambda ip: ip.value.max_prefixlen // 8
SIZES[Prefix] = lambda cidr: -(-cidr.bits // 8)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text) if text.isascii() and len(text) <= 64 else None
    except ValueError:
        return None


def parse_ip(text: str) -> Address:
    """Raises EvaluationError."""
    found = _address(text)
    if found is None:
        name = text[:_SHOWN]
        fault = address_fault(name)
        raise EvaluationError(f"IP Address {quoted(name)} parse error during conversion from string: {fault}")
    if "%" in text:
        raise EvaluationError(f"IP address {quoted(text)} with zone value is not allowed")
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        raise EvaluationError(f"IPv4-mapped IPv6 address {quoted(text)} is not allowed")
    return Address(found)


def parse_cidr(text: str) -> Prefix:
    """Raises EvaluationError."""
    host, slash, bits = text.rpartition("/")
    found = _address(host) if slash and _BITS.fullmatch(bits) and "%" not in host else None
    if found is None or int(bits) > found.max_prefixlen:
        raise EvaluationError(_NO_NETWORK + _NO_NETWORK + network_fault(text[:_SHOWN]))
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        raise EvaluationError(f"{_NO_NETWORK}IPv4-mapped IPv6 address {quoted(text)} is not allowed")
    return Prefix(found, int(bits))


def _contains_text(cidr: Prefix, text: str) -> bool:
    """Kubernetes does not say what is wrong with the text."""
    try:
        return _contains_ip(cidr, parse_ip(text))
    except EvaluationError:
        raise no_overload() from None


def _holds(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def run(text: str) -> bool:
        try:
            parse(text)
        except EvaluationError:
            return False
        return True

    return run


def _link_local_multicast(ip: Address) -> bool:
    if isinstance(ip.value, IPv4Address):
        return int(ip.value) >> 8 == 0xE00000
    return (int(ip.value) >> 112) & 0xFF0F == 0xFF02


def _global_unicast(ip: Address) -> bool:
    at = ip.value
    if isinstance(at, IPv4Address) and int(at) in (0, 0xFFFFFFFF):
        return False
    return not (at.is_unspecified or at.is_loopback or at.is_multicast or at.is_link_local)


def _contains_ip(cidr: Prefix, ip: Address) -> bool:
    return ip.value in cidr.network


def _contains_cidr(cidr: Prefix, other: Prefix) -> bool:
    return other.value in cidr.network and cidr.bits <= other.bits


def _masked(cidr: Prefix) -> Prefix:
    return Prefix(cidr.network.network_address, cidr.bits)


def _says(id: str, run: Callable[[Address], bool]) -> tuple[Overload, ...]:
    return (member(id, (IP,), BOOL, run),)


FUNCTIONS: Functions = {
    "ip": (
        function("string_to_ip", (STRING,), IP, parse_ip),
        member("cidr_ip", (CIDR,), IP, lambda c: Address(c.value)),
    ),
    "isIP": (function("is_ip", (STRING,), BOOL, _holds(parse_ip)),),
    "ip.isCanonical": (function("ip_is_canonical", (STRING,), BOOL, lambda text: str(parse_ip(text).value) == text),),
    "family": (member("ip_family", (IP,), INT, lambda ip: ip.value.version),),
    "isUnspecified": _says("ip_is_unspecified", lambda ip: ip.value.is_unspecified),
    "isLoopback": _says("ip_is_loopback", lambda ip: ip.value.is_loopback),
    "isLinkLocalMulticast": _says("ip_is_link_local_multicast", _link_local_multicast),
    "isLinkLocalUnicast": _says("ip_is_link_local_unicast", lambda ip: ip.value.is_link_local),
    "isGlobalUnicast": _says("ip_is_global_unicast", _global_unicast),
    "string": (
        function("ip_to_string", (IP,), STRING, lambda ip: str(ip.value)),
        function("cidr_to_string", (CIDR,), STRING, str),
    ),
    "cidr": (function("string_to_cidr", (STRING,), CIDR, parse_cidr),),
    "isCIDR": (function("is_cidr", (STRING,), BOOL, _holds(parse_cidr)),),
    "containsIP": (
        member("cidr_contains_ip_string", (CIDR, STRING), BOOL, _contains_text),
        member("cidr_contains_ip_ip", (CIDR, IP), BOOL, _contains_ip),
    ),
    "containsCIDR": (
        member("cidr_contains_cidr_string", (CIDR, STRING), BOOL, lambda c, text: _contains_cidr(c, parse_cidr(text))),
        member("cidr_contains_cidr", (CIDR, CIDR), BOOL, _contains_cidr),
    ),
    "prefixLength": (member("cidr_prefix_length", (CIDR,), INT, lambda cidr: cidr.bits),),
    "masked": (member("cidr_masked", (CIDR,), CIDR, _masked),),
}
