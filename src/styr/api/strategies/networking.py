"""NetworkPolicy, IngressClass, ServiceCIDR, IPAddress. Ingress has a file of its own."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.addresses import family, legacy_cidr, strict_cidr, strict_ip
from styr.api.faults.causes import Faults, each, forbidden, immutable, invalid, required, too_long, unsupported
from styr.api.faults.paths import domain_path
from styr.api.faults.selectors import selector
from styr.api.strategies.base import TypedStrategy
from styr.api.strategies.ingress import typed_reference
from styr.kinds.resources import Object

_MOST_CONTROLLER = 250


class NetworkPolicyStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        yield from _policy(obj["spec"], [])

    def update_rules(self, new: Object, old: Object) -> Faults:
        blocks = [
            peer["ipBlock"]
            for direction, side in (("ingress", "from"), ("egress", "to"))
            for rule in old["spec"].get(direction) or ()
            for peer in rule.get(side) or ()
            if "ipBlock" in peer
        ]
        known = [network for block in blocks for network in (block.get("cidr", ""), *(block.get("except") or ()))]
        yield from _policy(new["spec"], known)


def _policy(spec: dict[str, Any], known: list[str]) -> Faults:
    yield from selector(spec.get("podSelector"), "spec.podSelector")
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            for place, port in enumerate(rule.get("ports") or ()):
                yield from _port(port, f"{path}.ports[{place}]")
            for place, peer in enumerate(rule.get(side) or ()):
                yield from _peer(peer, f"{path}.{side}[{place}]", known)
    kinds = spec.get("policyTypes") or []
    if len(kinds) > 2:
        yield invalid("spec.policyTypes", kinds, "may not specify more than two policyTypes")
        return
    for index, kind in enumerate(kinds):
        if kind not in ("Ingress", "Egress"):
            yield unsupported(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress"))


def _port(port: dict[str, Any], path: str) -> Faults:
    if "protocol" in port and port["protocol"] not in ("TCP", "UDP", "SCTP"):
        yield unsupported(f"{path}.protocol", port["protocol"], ("TCP", "UDP", "SCTP"))
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, int):
        yield from each(f"{path}.port", number, names.port_number(number))
        if end is not None:
            if end < number:
                yield invalid(f"{path}.endPort", number, "must be greater than or equal to `port`")
            yield from each(f"{path}.endPort", end, names.port_number(end))
        return
    if end is not None:
        word = "not specified" if number is None else "non-numeric"
        yield invalid(f"{path}.endPort", end, f"may not be specified when `port` is {word}")
    if number is not None:
        yield from each(f"{path}.port", number, names.port_name(number))


def _peer(peer: dict[str, Any], path: str, known: list[str]) -> Faults:
    given = [field for field in ("podSelector", "namespaceSelector", "ipBlock") if field in peer]
    for field in given:
        if field != "ipBlock":
            yield from selector(peer[field], f"{path}.{field}")
    if "ipBlock" in given:
        yield from _block(peer["ipBlock"], f"{path}.ipBlock", known)
    if not given:
        yield required(path, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        yield forbidden(path, "may not specify both ipBlock and another peer")


def _block(block: dict[str, Any], path: str, known: list[str]) -> Faults:
    whole = block.get("cidr", "")
    if not whole:
        yield required(f"{path}.cidr")
        return
    yield from legacy_cidr(f"{path}.cidr", whole, known)
    outer = names.network(whole)
    for index, part in enumerate(block.get("except") or ()):
        if outer is None:
            return
        place = f"{path}.except[{index}]"
        yield from legacy_cidr(place, part, known)
        inner = names.network(part)
        if inner is not None and (inner.network_address not in outer or outer.prefixlen >= inner.prefixlen):
            yield invalid(place, part, "must be a strict subset of `cidr`")


class IngressClassStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        controller = spec.get("controller", "")
        if len(controller.encode()) > _MOST_CONTROLLER:
            yield too_long("spec.controller", _MOST_CONTROLLER)
        yield from domain_path("spec.controller", controller)
        if "parameters" in spec:
            yield from _parameters(spec["parameters"], "spec.parameters")

    def update_rules(self, new: Object, old: Object) -> Faults:
        after, before = new["spec"].get("controller", ""), old["spec"].get("controller", "")
        yield from immutable("spec.controller", after, before)
        yield from self.rules(new)


def _parameters(found: dict[str, Any], path: str) -> Faults:
    yield from typed_reference(found, path)
    scope, place = found.get("scope"), found.get("namespace")
    if scope is None:
        yield required(f"{path}.scope")
    elif scope not in ("Cluster", "Namespace"):
        yield unsupported(f"{path}.scope", scope, ("Cluster", "Namespace"))
    elif scope == "Namespace":
        if place is None:
            yield required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            yield from each(f"{path}.namespace", place, names.dns_label(place))
    elif place is not None:
        yield forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")


class ServiceCIDRStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        path, found = "spec.cidrs", obj["spec"].get("cidrs") or []
        if not found:
            yield required(path, "at least one CIDR required")
            return
        if len(found) > 2:
            yield invalid(path, obj["spec"], "may only hold up to 2 values")
            return
        for index, network in enumerate(found):
            yield from strict_cidr(f"{path}[{index}]", network)
        kinds = [family(network.partition("/")[0]) if names.network(network) else 0 for network in found]
        if len(found) == 2 and kinds[0] == kinds[1] != 0:
            message = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
            yield invalid(path, found, message)

    def update_rules(self, new: Object, old: Object) -> Faults:
        path, after, before = "spec.cidrs", new["spec"].get("cidrs") or [], old["spec"].get("cidrs") or []
        if len(after) == len(before):
            for index, network in enumerate(after):
                yield from immutable(f"{path}[{index}]", network, before[index])
        elif len(before) == 1 and len(after) == 2:
            yield from immutable(f"{path}[0]", after[0], before[0])
            yield from self.rules(new)
        else:
            yield invalid(path, after, "field is immutable")


def _address_name(text: str) -> list[str]:
    return [fault["message"].partition(": ")[2].partition(": ")[2] for fault in strict_ip("", text)]


class IPAddressStrategy(TypedStrategy):
    name_check = staticmethod(_address_name)

    def rules(self, obj: Object) -> Faults:
        parent, path = obj["spec"].get("parentRef"), "spec.parentRef"
        if parent is None:
            yield required(path)
            return
        if group := parent.get("group"):
            yield from each(f"{path}.group", group, names.dns_subdomain(group))
        for field in ("resource", "name"):
            if not parent.get(field):
                yield required(f"{path}.{field}")
            else:
                yield from each(f"{path}.{field}", parent[field], names.path_segment(parent[field]))
        if place := parent.get("namespace"):
            yield from each(f"{path}.namespace", place, names.path_segment(place))

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        yield from immutable("spec.parentRef", new["spec"].get("parentRef"), old["spec"].get("parentRef"))
