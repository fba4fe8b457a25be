"""Endpoints and EndpointSlice: where a service's traffic may go."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.addresses import endpoint_ip, family, legacy_ip, strict_ip
from styr.api.faults.causes import Faults, duplicate, each, immutable, invalid, one_of, required, too_many
from styr.api.faults.meta import labels
from styr.api.strategies.base import TypedStrategy
from styr.kinds.resources import Object

PROTOCOLS = ("SCTP", "TCP", "UDP")
_MOST_ENDPOINTS, _MOST_ADDRESSES, _MOST_PORTS, _MOST_HINTS, _MOST_TOPOLOGY = 1000, 100, 20_000, 8, 16


class EndpointsStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        for index, subset in enumerate(obj.get("subsets") or ()):
            yield from _subset(subset, f"subsets[{index}]")

    def update_rules(self, new: Object, old: Object) -> Faults:
        if new.get("subsets") != old.get("subsets"):
            yield from self.rules(new)


def _subset(subset: dict[str, Any], path: str) -> Faults:
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        yield required(path, "must specify `addresses` or `notReadyAddresses`")
    for field in ("addresses", "notReadyAddresses"):
        for index, address in enumerate(subset.get(field) or ()):
            place, ip = f"{path}.{field}[{index}]", address.get("ip", "")
            yield from legacy_ip(f"{place}.ip", ip)
            if host := address.get("hostname"):
                yield from each(f"{place}.hostname", host, names.dns_label(host))
            if (node := address.get("nodeName")) is not None:
                yield from each(f"{place}.nodeName", node, names.dns_subdomain(node))
            yield from endpoint_ip(f"{place}.ip", ip, loopback=True)
    ports = subset.get("ports") or []
    for index, port in enumerate(ports):
        place, name = f"{path}.ports[{index}]", port.get("name", "")
        if len(ports) > 1 and not name:
            yield required(f"{place}.name")
        elif name:
            yield from each(f"{place}.name", name, names.dns_label(name))
        yield from each(f"{place}.port", port["port"], names.port_number(port["port"]))
        yield from one_of(f"{place}.protocol", port.get("protocol"), PROTOCOLS)
        if (app := port.get("appProtocol")) is not None:
            yield from each(f"{place}.appProtocol", app, names.qualified(app))


class EndpointSliceStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        self._drop_topology(obj, {})

    def prepare_update(self, new: Object, old: Object) -> None:
        if new.get("endpoints") != old.get("endpoints"):
            self._drop_topology(new, old)

    def _drop_topology(self, new: Object, old: Object) -> None:
        """v1 has a field for the node; the labels of before are taken over once, and dropped."""
        host = "kubernetes.io/hostname"
        known = {(entry.get("deprecatedTopology") or {}).get(host) for entry in old.get("endpoints") or ()}
        for entry in new.get("endpoints") or ():
            node = (entry.pop("deprecatedTopology", None) or {}).get(host)
            if node and node in known and "nodeName" not in entry:
                entry["nodeName"] = node

    def rules(self, obj: Object) -> Faults:
        yield from one_of("addressType", obj.get("addressType"), ("FQDN", "IPv4", "IPv6"))
        yield from _ports(obj.get("ports") or [])
        yield from _endpoints(obj)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from one_of("addressType", new.get("addressType"), ("FQDN", "IPv4", "IPv6"))
        yield from _ports(new.get("ports") or [])
        if new.get("endpoints") != old.get("endpoints"):
            yield from _endpoints(new)
        yield from immutable("addressType", new.get("addressType", ""), old.get("addressType", ""))


def _ports(ports: list[dict[str, Any]]) -> Faults:
    if len(ports) > _MOST_PORTS:
        yield too_many("ports", len(ports), _MOST_PORTS)
        return
    seen: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"ports[{index}]", port.get("name") or ""
        if name:
            yield from each(f"{path}.name", name, names.dns_label(name))
        if name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name)
        if "protocol" not in port:
            yield required(f"{path}.protocol")
        elif port["protocol"] not in PROTOCOLS:
            yield from one_of(f"{path}.protocol", port["protocol"] or "\0", PROTOCOLS)
        if (app := port.get("appProtocol")) is not None:
            yield from each(f"{path}.appProtocol", app, names.qualified(app))


def _endpoints(obj: Object) -> Faults:
    endpoints, kind = obj.get("endpoints") or [], obj.get("addressType", "")
    if len(endpoints) > _MOST_ENDPOINTS:
        yield too_many("endpoints", len(endpoints), _MOST_ENDPOINTS)
        return
    for index, endpoint in enumerate(endpoints):
        path = f"endpoints[{index}]"
        yield from _addresses(endpoint.get("addresses") or [], kind, f"{path}.addresses")
        if (node := endpoint.get("nodeName")) is not None:
            yield from each(f"{path}.nodeName", node, names.dns_subdomain(node))
        topology = endpoint.get("deprecatedTopology") or {}
        if len(topology) > _MOST_TOPOLOGY:
            yield too_many(f"{path}.deprecatedTopology", len(topology), _MOST_TOPOLOGY)
        yield from labels(topology, f"{path}.deprecatedTopology")
        if (host := endpoint.get("hostname")) is not None:
            yield from each(f"{path}.hostname", host, names.dns_label(host))
        yield from _hints(endpoint.get("hints") or {}, f"{path}.hints")


def _addresses(found: list[str], kind: str, path: str) -> Faults:
    if not found:
        yield required(path, "must contain at least 1 address")
    elif len(found) > _MOST_ADDRESSES:
        yield too_many(path, len(found), _MOST_ADDRESSES)
    for index, address in enumerate(found):
        place = f"{path}[{index}]"
        if kind == "FQDN":
            yield from fqdn(place, address)
        elif kind in ("IPv4", "IPv6"):
            bad = list(legacy_ip(place, address) if kind == "IPv4" else strict_ip(place, address))
            yield from bad
            if not bad:
                if family(address) != int(kind[-1]):
                    yield invalid(path, address, f"must be an {kind} address")
                yield from endpoint_ip(place, address, loopback=True)


def fqdn(path: str, text: str) -> Faults:
    """A domain name of at least two parts; a dot may end it."""
    if not text:
        yield required(path)
        return
    text = text.removesuffix(".")
    if bad := names.dns_subdomain(text):
        yield invalid(path, text, ",".join(bad))
    elif "." not in text:
        yield invalid(path, text, "should be a domain with at least two segments separated by dots")
    else:
        for part in text.split("."):
            if bad := names.dns_label(part):
                yield invalid(path, part, ",".join(bad))
                return


def _hints(hints: dict[str, Any], path: str) -> Faults:
    for field, check in (("forZones", names.label_value), ("forNodes", names.dns_subdomain)):
        found = hints.get(field) or []
        if len(found) > _MOST_HINTS:
            yield too_many(f"{path}.{field}", len(found), _MOST_HINTS)
            return
        seen: set[str] = set()
        for index, hint in enumerate(found):
            place, name = f"{path}.{field}[{index}].name", hint.get("name", "")
            if name in seen:
                yield duplicate(place, name)
            seen.add(name)
            yield from each(place, name, check(name))
