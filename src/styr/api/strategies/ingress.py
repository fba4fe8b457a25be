"""Ingress: rules that lead to services."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.addresses import legacy_ip, sloppy
from styr.api.faults.causes import Faults, each, get, invalid, required, unsupported
from styr.api.strategies.base import TypedStrategy
from styr.kinds.resources import Object

_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_SUFFIXES = ("/..", "/.")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
CLASS_ANNOTATION = "kubernetes.io/ingress.class"


class IngressStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        yield from _spec(obj["spec"], {})
        old_way, new_way = get(obj, "metadata", "annotations", CLASS_ANNOTATION), obj["spec"].get("ingressClassName")
        if old_way is not None and new_way is not None and old_way != new_way:
            message = "must match `ingressClassName` when both are specified"
            yield invalid(f"annotations.{CLASS_ANNOTATION}", old_way, message)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from _spec(new["spec"], old["spec"])

    def status_rules(self, new: Object, old: Object) -> Faults:
        known = [entry.get("ip", "") for entry in get(old, "status", "loadBalancer", "ingress") or ()]
        for index, entry in enumerate(get(new, "status", "loadBalancer", "ingress") or ()):
            yield from load_balancer(entry, f"status.loadBalancer.ingress[{index}]", known)


def load_balancer(entry: dict[str, Any], path: str, known: list[str]) -> Faults:
    if ip := entry.get("ip"):
        yield from legacy_ip(f"{path}.ip", ip, known)
    if host := entry.get("hostname"):
        yield from each(f"{path}.hostname", host, names.dns_subdomain(host))
        if sloppy(host) is not None:
            yield invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address")


def _host(text: str, path: str) -> Faults:
    check = names.wildcard_subdomain if "*" in text else names.dns_subdomain
    yield from each(path, text, check(text))


def _spec(spec: dict[str, Any], before: dict[str, Any]) -> Faults:
    rules = spec.get("rules") or []
    if not rules and "defaultBackend" not in spec:
        yield invalid("spec", rules or None, "either `defaultBackend` or `rules` must be specified")
    if "defaultBackend" in spec:
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    odd_wildcards = any("*" in rule.get("host", "") and any(_value(rule, "")) for rule in before.get("rules") or ())
    for index, rule in enumerate(rules):
        path, host = f"spec.rules[{index}]", rule.get("host", "")
        if host:
            if sloppy(host) is not None:
                yield invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
            yield from _host(host, f"{path}.host")
        if not ("*" in host and odd_wildcards):
            yield from _value(rule, path)
    yield from _tls(spec.get("tls") or [], before.get("tls") or [])
    if (name := spec.get("ingressClassName")) is not None:
        yield from each("spec.ingressClassName", name, names.dns_subdomain(name))


def _tls(found: list[dict[str, Any]], before: list[dict[str, Any]]) -> Faults:
    odd_secrets = any(entry.get("secretName") and names.dns_subdomain(entry["secretName"]) for entry in before)
    for index, entry in enumerate(found):
        path = f"spec.tls[{index}]"
        for place, host in enumerate(entry.get("hosts") or ()):
            yield from _host(host, f"{path}.hosts[{place}]")
        if (secret := entry.get("secretName", "")) and not odd_secrets:
            yield from each(f"{path}.secretName", secret, names.dns_subdomain(secret))


def _value(rule: dict[str, Any], path: str) -> Faults:
    if "http" not in rule:
        return
    paths = rule["http"].get("paths") or []
    if not paths:
        yield required(f"{path}.http.paths")
    for index, entry in enumerate(paths):
        yield from _path(entry, f"{path}.http.paths[{index}]")


def _path(entry: dict[str, Any], path: str) -> Faults:
    kind, text = entry.get("pathType"), entry.get("path", "")
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            yield invalid(f"{path}.path", text, "must be an absolute path")
        for sequence in _SEQUENCES:
            if sequence in text:
                yield invalid(f"{path}.path", text, f"must not contain '{sequence}'")
        for suffix in _SUFFIXES:
            if text.endswith(suffix):
                yield invalid(f"{path}.path", text, f"cannot end with '{suffix}'")
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            yield invalid(f"{path}.path", text, "must be an absolute path")
    else:
        yield unsupported(f"{path}.pathType", kind, _PATH_TYPES)
    yield from _backend(entry.get("backend") or {}, f"{path}.backend")


def _backend(backend: dict[str, Any], path: str) -> Faults:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from typed_reference(resource, f"{path}.resource")
    elif service is not None:
        yield from _service(service, path)
    else:
        yield invalid(path, "", "resource or service backend is required")


def _service(service: dict[str, Any], path: str) -> Faults:
    if not service.get("name"):
        yield required(f"{path}.service.name")
    else:
        yield from each(f"{path}.service.name", service["name"], names.dns_label_1035(service["name"]))
    port = service.get("port") or {}
    name, number = port.get("name", ""), port.get("number", 0)
    if name and number:
        yield invalid(path, "", "cannot set both port name & port number")
    elif name:
        yield from each(f"{path}.service.port.name", name, names.port_name(name))
    elif number:
        yield from each(f"{path}.service.port.number", number, names.port_number(number))
    else:
        yield required(path, "port name or number is required")


def typed_reference(found: dict[str, Any], path: str) -> Faults:
    """apiGroup, kind and name of something else."""
    if (group := found.get("apiGroup")) is not None:
        yield from each(f"{path}.apiGroup", group, names.dns_subdomain(group))
    for field in ("kind", "name"):
        if not found.get(field):
            yield required(f"{path}.{field}")
        else:
            yield from each(f"{path}.{field}", found[field], names.path_segment(found[field]))
