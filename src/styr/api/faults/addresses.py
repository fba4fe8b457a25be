"""IP addresses and networks where they may stand. Called by the rules of services, endpoints, policies, nodes. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, invalid, quoted

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def sloppy(text: str) -> Address | None:
    """An address as older fields take it: leading zeros are let in."""
    found = names.address(text)
    if found is None and text.count(".") == 3 and ":" not in text:
        parts = text.split(".")
        if all(part.isascii() and part.isdigit() and int(part) < 256 for part in parts):
            return ipaddress.IPv4Address(".".join(str(int(part)) for part in parts))
    return found


def family(text: str) -> int:
    """4, 6, or 0 for no address. An IPv4 address in an IPv6 one counts as 4."""
    found = sloppy(text)
    if found is None:
        return 0
    return 4 if found.version == 4 or getattr(found, "ipv4_mapped", None) else 6


def legacy_ip(path: str, text: str, known: Iterable[str] = ()) -> Faults:
    """In a field that was there before addresses had one form only."""
    if text not in known and sloppy(text) is None:
        yield from each(path, text, names.ip("x"))


def strict_ip(path: str, text: str) -> Faults:
    found = sloppy(text)
    if found is None:
        yield from each(path, text, names.ip("x"))
        return
    odd = names.address(text) is None
    if odd:
        yield invalid(path, text, "must not have leading 0s")
    if mapped := getattr(found, "ipv4_mapped", None):
        yield invalid(path, text, "must not be an IPv4-mapped IPv6 address")
        odd = bool(mapped)
    if not odd and str(found) != text:
        yield invalid(path, text, f"must be in canonical form ({quoted(str(found))})")


def legacy_cidr(path: str, text: str, known: Iterable[str] = ()) -> Faults:
    if text not in known and names.network(text) is None:
        yield from each(path, text, names.cidr("x"))


def strict_cidr(path: str, text: str) -> Faults:
    found = names.network(text)
    if found is None:
        yield from each(path, text, names.cidr("x"))
        return
    if str(found.network_address) != text.partition("/")[0]:
        inside = names.address(text.partition("/")[0])
        if inside is not None and inside not in (found.network_address,):
            yield invalid(path, text, "must not have bits set beyond the prefix length")
        else:
            yield invalid(path, text, f"must be in canonical form ({quoted(str(found))})")


def endpoint_ip(path: str, text: str, *, loopback: bool = False) -> Faults:
    """One that traffic may be sent to. `loopback`: on this machine too, where Styr's pods are."""
    found = sloppy(text)
    if found is None:
        yield invalid(path, text, "must be a valid IP address")
        return
    plain = getattr(found, "ipv4_mapped", None) or found
    if plain.is_unspecified:
        yield invalid(path, text, f"may not be unspecified ({text})")
    if plain.is_loopback and not loopback:
        yield invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if plain.is_link_local:
        yield invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    multicast = ipaddress.ip_network("224.0.0.0/24" if plain.version == 4 else "ff02::/16")
    if plain in multicast:
        yield invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
