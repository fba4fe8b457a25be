"""What a Service may say. Called by its strategy; pure."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.addresses import endpoint_ip, family, legacy_cidr, legacy_ip, sloppy
from styr.api.faults.causes import Faults, duplicate, each, forbidden, get, invalid, required, unsupported
from styr.api.faults.containers import port as port_rule
from styr.api.faults.meta import labels
from styr.kinds.resources import Object

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_SPREAD = ("PreferClose", "PreferSameZone", "PreferSameNode")
_RANGES_NOTE = "service.beta.kubernetes.io/load-balancer-source-ranges"
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_ONLY_BALANCERS = "may only be used when `type` is 'LoadBalancer'"
_FIXED = "may not change once set"
_MOST_TIMEOUT = 86400


def is_headless(spec: dict[str, Any]) -> bool:
    return spec.get("clusterIPs") == ["None"] or (not spec.get("clusterIPs") and spec.get("clusterIP") == "None")


def needs_health_check(spec: dict[str, Any]) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _outside(spec: dict[str, Any]) -> bool:
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def service_faults(obj: Object, old: Object | None) -> Faults:
    spec, notes = obj["spec"], obj["metadata"].get("annotations") or {}
    before = old["spec"] if old else {}
    if _MODE in notes and _HINTS in notes and notes[_MODE] != notes[_HINTS]:
        message = f"must match annotations[{_HINTS}] when both are specified"
        yield invalid(f"metadata.annotations[{_MODE}]", notes[_MODE], message)
    kind, ports = spec.get("type", ""), spec.get("ports") or []
    headless = _headless(spec)
    if not ports and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and headless:
        yield invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    elif kind == "ExternalName":
        yield from _external_name(spec)
    yield from _ports(ports)
    yield from labels(spec.get("selector"), "spec.selector")
    yield from _affinity(spec)
    yield from addresses(spec, before)
    for index, ip in enumerate(spec.get("externalIPs") or ()):
        wrong = list(legacy_ip(f"spec.externalIPs[{index}]", ip, before.get("externalIPs") or ()))
        yield from wrong
        if not wrong:
            yield from endpoint_ip(f"spec.externalIPs[{index}]", ip)
    if not kind:
        yield required("spec.type")
    elif kind not in _TYPES:
        yield unsupported("spec.type", kind, _TYPES)
    yield from _port_numbers(ports, kind)
    yield from _ranges(spec, notes, before, old)
    yield from _balancer(spec)
    yield from _traffic(spec)


def _headless(spec: dict[str, Any]) -> bool:
    found = spec.get("clusterIPs") or []
    return len(found) == 1 and found[0] == "None"


def _external_name(spec: dict[str, Any]) -> Faults:
    for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(field):
            yield forbidden(f"spec.{field}", "may not be set for ExternalName services")
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        yield required("spec.externalName")
    else:
        yield from each("spec.externalName", name, names.dns_subdomain(name))


def _ports(ports: list[dict[str, Any]]) -> Faults:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"spec.ports[{index}]", port.get("name", "")
        if len(ports) > 1 and not name:
            yield required(f"{path}.name")
        elif name:
            yield from each(f"{path}.name", name, names.dns_label(name))
            if name in seen:
                yield duplicate(f"{path}.name", name)
            seen.add(name)
        yield from each(f"{path}.port", port.get("port", 0), names.port_number(port.get("port", 0)))
        protocol = port.get("protocol", "")
        if not protocol:
            yield required(f"{path}.protocol")
        elif protocol not in _PROTOCOLS:
            yield unsupported(f"{path}.protocol", protocol, _PROTOCOLS)
        yield from port_rule(port.get("targetPort", 0), f"{path}.targetPort")
        if (app := port.get("appProtocol")) is not None:
            yield from each(f"{path}.appProtocol", app, names.qualified(app))


def _port_numbers(ports: list[dict[str, Any]], kind: str) -> Faults:
    for index, port in enumerate(ports):
        if kind == "ClusterIP" and port.get("nodePort"):
            yield forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
    for field, place in (("nodePort", ".nodePort"), ("port", "")):
        seen: set[tuple[str, int]] = set()
        for index, port in enumerate(ports):
            key = (port.get("protocol", ""), port.get(field, 0))
            if field == "nodePort" and not key[1]:
                continue
            if key in seen:
                shown = {"protocol": key[0], "port": key[1]} if field == "port" else key[1]
                yield duplicate(f"spec.ports[{index}]{place}", shown)
            seen.add(key)


def _affinity(spec: dict[str, Any]) -> Faults:
    kind, config, path = (
        spec.get("sessionAffinity", ""),
        spec.get("sessionAffinityConfig"),
        "spec.sessionAffinityConfig",
    )
    if not kind:
        yield required("spec.sessionAffinity")
    elif kind not in ("ClientIP", "None"):
        yield unsupported("spec.sessionAffinity", kind, ("ClientIP", "None"))
    if kind == "ClientIP":
        seconds = get(config, "clientIP", "timeoutSeconds")
        if seconds is not None and not 0 < seconds <= _MOST_TIMEOUT:
            message = f"must be greater than 0 and less than {_MOST_TIMEOUT}"
            yield invalid(f"{path}.clientIP.timeoutSeconds", seconds, message)
    elif kind == "None" and config is not None:
        yield forbidden(path, "must not be set when session affinity is None")


def addresses(spec: dict[str, Any], before: dict[str, Any]) -> Faults:
    if spec.get("type") == "ExternalName":
        return
    first, found, path = spec.get("clusterIP", ""), spec.get("clusterIPs") or [], "spec.clusterIPs"
    if first and not found:
        yield required(path)
    elif first and found[0] != first:
        yield invalid(path, found, "first value must match `clusterIP`")
    elif not first and found:
        yield invalid(path, found, "must be empty when `clusterIP` is not specified")
    families, seen = spec.get("ipFamilies") or [], set()
    for index, word in enumerate(families):
        if word not in ("IPv4", "IPv6"):
            yield unsupported(f"spec.ipFamilies[{index}]", word, ("IPv4", "IPv6"))
        if word in seen:
            yield duplicate(f"spec.ipFamilies[{index}]", word)
        seen.add(word)
    policies = ("PreferDualStack", "RequireDualStack", "SingleStack")
    if "ipFamilyPolicy" in spec and spec["ipFamilyPolicy"] not in policies:
        yield unsupported("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], policies)
    wrong = list(_each_address(found, before.get("clusterIPs") or []))
    yield from wrong
    if len(found) > 2:
        yield invalid(path, found, "may only hold up to 2 values")
    if wrong:
        return
    if len(found) > 1 and {family(ip) for ip in found} != {4, 6}:
        yield invalid(path, found, "may specify no more than one IP for each IP family")
    if not _headless(spec):
        for index, (ip, word) in enumerate(zip(found, families, strict=False)):
            if word in ("IPv4", "IPv6") and (family(ip) == 6) != (word == "IPv6"):
                message = f"expected an {word} value as indicated by `ipFamilies[{index}]`"
                yield invalid(f"{path}[{index}]", ip, message)


def _each_address(found: list[str], known: list[str]) -> Faults:
    for index, ip in enumerate(found):
        if index == 0 and ip == "None":
            if len(found) > 1:
                yield invalid("spec.clusterIPs", found, "'None' must be the first and only value")
            continue
        yield from legacy_ip(f"spec.clusterIPs[{index}]", ip, known)


def _ranges(spec: dict[str, Any], notes: dict[str, str], before: dict[str, Any], old: Object | None) -> Faults:
    found = spec.get("loadBalancerSourceRanges") or []
    if found:
        path = "spec.LoadBalancerSourceRanges"  # as Kubernetes has it
        if spec.get("type") != "LoadBalancer":
            yield forbidden(path, _ONLY_BALANCERS)
        known = [text.strip() for text in before.get("loadBalancerSourceRanges") or ()]
        for index, text in enumerate(found):
            yield from legacy_cidr(f"{path}[{index}]", text.strip(), known)
    elif _RANGES_NOTE in notes:
        path = f"metadata.annotations[{_RANGES_NOTE}]"
        if spec.get("type") != "LoadBalancer":
            yield forbidden(path, _ONLY_BALANCERS)
        if get(old, "metadata", "annotations", _RANGES_NOTE) != notes[_RANGES_NOTE] and notes[_RANGES_NOTE].strip():
            for text in notes[_RANGES_NOTE].split(","):
                yield from legacy_cidr(path, text.strip())


def _balancer(spec: dict[str, Any]) -> Faults:
    balancer = spec.get("type") == "LoadBalancer"
    if "allocateLoadBalancerNodePorts" in spec and not balancer:
        yield forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCERS)
    name = spec.get("loadBalancerClass")
    if name is not None and balancer:
        yield from each("spec.loadBalancerClass", name, names.qualified(name))
    elif name is not None:
        yield forbidden("spec.loadBalancerClass", _ONLY_BALANCERS)


def _traffic(spec: dict[str, Any]) -> Faults:
    policy, inside, spread = (
        spec.get("externalTrafficPolicy"),
        spec.get("internalTrafficPolicy"),
        spec.get("trafficDistribution"),
    )
    if not _outside(spec):
        if policy:
            yield invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services")
    elif not policy:
        yield required("spec.externalTrafficPolicy")
    elif policy not in ("Cluster", "Local"):
        yield unsupported("spec.externalTrafficPolicy", policy, ("Cluster", "Local"))
    health = spec.get("healthCheckNodePort", 0)
    if needs_health_check(spec):
        if health:
            yield from each("spec.healthCheckNodePort", health, names.port_number(health))
    elif health:
        message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid("spec.healthCheckNodePort", health, message)
    if inside is not None and inside not in ("Cluster", "Local"):
        yield unsupported("spec.internalTrafficPolicy", inside, ("Cluster", "Local"))
    if spread is not None and spread not in _SPREAD:
        yield unsupported("spec.trafficDistribution", spread, _SPREAD)


def update_faults(new: Object, old: Object) -> Faults:
    after, before = new["spec"], old["spec"]
    if "ExternalName" not in (after.get("type"), before.get("type")) and not (_headless(after) and _headless(before)):
        yield from _kept(after, before, "clusterIPs", "secondary clusterIP", "primary clusterIP")
        if _headless(after) == _headless(before):
            yield from _kept(after, before, "ipFamilies", "secondary ipFamily", "primary ipFamily")
    if after.get("type") == before.get("type") == "LoadBalancer":
        if after.get("loadBalancerClass") != before.get("loadBalancerClass"):
            yield invalid("spec.loadBalancerClass", after.get("loadBalancerClass"), _FIXED)
        wanted = after.get("loadBalancerClass")
        if wanted is not None:
            yield from each("spec.loadBalancerClass", wanted, names.qualified(wanted))
    if needs_health_check(after) and needs_health_check(before):
        if after.get("healthCheckNodePort") != before.get("healthCheckNodePort"):
            yield forbidden("spec.healthCheckNodePort", "field is immutable")


def _kept(new: dict[str, Any], old: dict[str, Any], field: str, second: str, first: str) -> Faults:
    after, before = new.get(field) or [], old.get(field) or []
    if len(after) == len(before):
        for index, value in enumerate(before):
            if after[index] != value:
                yield invalid(f"spec.{field}[{index if field == 'clusterIPs' else 0}]", after, _FIXED)
    elif len(before) > len(after):
        if not new.get("clusterIPs"):
            yield invalid(f"spec.{field}[0]", after or None, f"{first} can not be unset")
        if before and after and after[0] != before[0]:
            yield invalid(f"spec.{field}[0]", after, _FIXED)
        if len(after) == 1 and new.get("ipFamilyPolicy") != "SingleStack":
            message = f"must be set to 'SingleStack' when releasing the {second}"
            yield invalid("spec.ipFamilyPolicy", new.get("ipFamilyPolicy"), message)
    elif before and after[0] != before[0]:
        yield invalid(f"spec.{field}[0]", after, _FIXED)


def status_faults(new: Object, old: Object) -> Faults:
    found, path = get(new, "status", "loadBalancer", "ingress") or [], "status.loadBalancer.ingress"
    if new["spec"].get("type") != "LoadBalancer" and found:
        yield forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    known = [entry.get("ip", "") for entry in get(old, "status", "loadBalancer", "ingress") or ()]
    for index, entry in enumerate(found):
        place, ip, mode, host = f"{path}[{index}]", entry.get("ip"), entry.get("ipMode"), entry.get("hostname")
        if ip:
            yield from legacy_ip(f"{place}.ip", ip, known)
        if mode is None and ip:
            yield required(f"{place}.ipMode", "must be specified when `ip` is set")
        elif mode is not None and not ip:
            yield forbidden(f"{place}.ipMode", "may not be specified when `ip` is not set")
        elif mode is not None and mode not in ("Proxy", "VIP"):
            yield unsupported(f"{place}.ipMode", mode, ("Proxy", "VIP"))
        if host:
            yield from each(f"{place}.hostname", host, names.dns_subdomain(host))
            if sloppy(host) is not None:
                yield invalid(f"{place}.hostname", host, "must be a DNS name, not an IP address")
