"""The cells of Services, Ingresses and what stands behind them. Called by `printers`."""

from __future__ import annotations

from typing import Any

from styr.api.columns.words import NONE, UNKNOWN, at, born, labels, name, selector, some
from styr.kinds.resources import Object


def service(obj: Object, now: float) -> list[Any]:
    ips = at(obj, "spec.clusterIPs", None) or [at(obj, "spec.clusterIP") or NONE]
    ports = ",".join(_port(port) for port in at(obj, "spec.ports", ())) or NONE
    cells = [name(obj), at(obj, "spec.type"), ips[0], _external(obj), ports, born(obj, now)]
    return [*cells, labels(at(obj, "spec.selector", {}))]


def _port(port: Object) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"


def _external(obj: Object) -> str:
    kind, named = at(obj, "spec.type"), at(obj, "spec.externalIPs", ())
    if kind in ("ClusterIP", "NodePort"):
        return ",".join(named) or NONE
    if kind == "LoadBalancer":
        return ",".join([*_addresses(obj), *named]) or "<pending>"
    return str(at(obj, "spec.externalName")) if kind == "ExternalName" else UNKNOWN


def _addresses(obj: Object) -> list[str]:
    """Of a load balancer, each once, in order."""
    entries = at(obj, "status.loadBalancer.ingress", ())
    return sorted({str(entry.get("ip") or entry.get("hostname")) for entry in entries} - {"None", ""})


def ingress(obj: Object, now: float) -> list[Any]:
    rules = at(obj, "spec.rules", ())
    shown = [index for index, rule in enumerate(rules) if rule.get("host")][:3]
    text = ",".join(rules[index]["host"] for index in shown) or "*"
    if len(shown) == 3 and shown[-1] + 1 < len(rules):
        text += f" + {len(rules) - 3} more..."
    ports = "80, 443" if at(obj, "spec.tls", ()) else "80"
    cells = [name(obj), at(obj, "spec.ingressClassName", NONE), text, ",".join(_addresses(obj)), ports]
    return [*cells, born(obj, now)]


def ingress_class(obj: Object, now: float) -> list[Any]:
    found, text = at(obj, "spec.parameters", None), NONE
    if found:
        group = f".{found['apiGroup']}" if found.get("apiGroup") is not None else ""
        text = f"{found.get('kind')}{group}/{found.get('name')}"
    return [name(obj), at(obj, "spec.controller"), text, born(obj, now)]


def network_policy(obj: Object, now: float) -> list[Any]:
    return [name(obj), selector(at(obj, "spec.podSelector", None)), born(obj, now)]


def endpoints(obj: Object, now: float) -> list[Any]:
    subsets = at(obj, "subsets", ())
    found = [address for subset in subsets for address in _subset(subset)]
    return [name(obj), some(found, 3, "" if subsets else NONE), born(obj, now)]


def _subset(subset: Object) -> list[str]:
    ips = [address.get("ip", "") for address in at(subset, "addresses", ())]
    ports = at(subset, "ports", ())
    if not ports:
        return ips
    return [f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}" for port in ports for ip in ips]


def endpoint_slice(obj: Object, now: float) -> list[Any]:
    ports = [str(at(port, "port", None) or at(port, "name", "*")) for port in at(obj, "ports", ())]
    addresses = [address for entry in at(obj, "endpoints", ()) for address in at(entry, "addresses", ())]
    cells = [name(obj), at(obj, "addressType"), some(ports, 3, "<unset>"), some(addresses, 3, "<unset>")]
    return [*cells, born(obj, now)]


def service_cidr(obj: Object, now: float) -> list[Any]:
    return [name(obj), ",".join(at(obj, "spec.cidrs", ())), born(obj, now)]


def ip_address(obj: Object, now: float) -> list[Any]:
    parent, text = at(obj, "spec.parentRef", None), NONE
    if parent:
        resource = ".".join(word for word in (parent.get("resource", ""), parent.get("group")) if word)
        text = "/".join(word for word in (resource.lower(), parent.get("namespace"), parent.get("name")) if word)
    return [name(obj), text]
