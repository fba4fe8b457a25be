"""Gateway API -> IR: which routes attach to which listeners, under which hosts, and what to say of each object. Pure.

Called by `gateway` at every change with the whole world; calls `matching`, `backends`. Never sees Envoy's formats (that is
`resources`) and never writes a status (that is `status`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from styr.gateway.backends import collect
from styr.gateway.ir import (
    CONTROLLER,
    ListenerResult,
    ObjectKey,
    ParentResult,
    Plan,
    Port,
    Route,
    Rule,
    Source,
    Translation,
    Verdict,
    World,
)
from styr.gateway.matching import RESOLVED, Unsupported, check_supported, parse_rule
from styr.kinds import meta, selectors
from styr.kinds.resources import Object

GROUP = "gateway.networking.k8s.io"
_ACCEPTED = Verdict(True, "Accepted", "")
_NO_CONFLICT = Verdict(True, "NoConflicts", "")


@dataclass(frozen=True, slots=True)
class _Listener:
    gateway: ObjectKey
    source: Source
    spec: Mapping[str, Any]
    result: ListenerResult


def key_of(obj: Object) -> ObjectKey:
    return meta.namespace(obj), meta.name(obj)


def source_of(obj: Object) -> Source:
    return Source(obj.get("kind", ""), *key_of(obj), int(obj["metadata"].get("generation") or 0))


def translate(
    world: World,
    *,
    good: Mapping[ObjectKey, Route] | None = None,
    held: Mapping[ObjectKey, int] | None = None,
) -> Translation:
    """`held` are HTTPRoutes whose given generation is not to be served (Envoy rejected it, or it waits for its turn);
    they, and those that are not acceptable, are served as `good` has them, their last version that Envoy took."""
    out = Translation()
    out.classes = [meta.name(c) for c in world.classes if (c.get("spec") or {}).get("controllerName") == CONTROLLER]
    listeners = _listeners(world, out)
    services = {key_of(service): service for service in world.services}
    labels = {meta.name(namespace): meta.labels(namespace) for namespace in world.namespaces}
    attached: dict[int, dict[str, dict[ObjectKey, Route]]] = {}
    for obj in sorted(world.routes, key=lambda o: (o["metadata"].get("creationTimestamp") or "", key_of(o))):
        _attach(obj, listeners, services, labels, out, attached, good or {}, held or {})
    out.plan = _plan(world, listeners, attached)
    return out


def _attach(
    obj: Object,
    listeners: Mapping[ObjectKey, list[_Listener]],
    services: Mapping[ObjectKey, Object],
    labels: Mapping[str, Mapping[str, str]],
    out: Translation,
    attached: dict[int, dict[str, dict[ObjectKey, Route]]],
    good: Mapping[ObjectKey, Route],
    held: Mapping[ObjectKey, int],
) -> None:
    key, spec = key_of(obj), obj.get("spec") or {}
    parents = [p for p in spec.get("parentRefs") or () if _parent_key(p, key[0]) in listeners]
    if not parents:
        return
    route, refused, resolved = _parse(obj, services)
    serve: Route | None = route
    if refused is not None or held.get(key) == route.source.generation:
        serve = good.get(key)
    results = out.routes[key] = []
    out.generations[key] = route.source.generation
    for parent in parents:
        result = ParentResult(parent, refused or _ACCEPTED, resolved)
        results.append(result)
        matched, problem = _match_listeners(parent, obj, listeners[_parent_key(parent, key[0])], labels)
        if problem is not None:
            result.accepted = refused or problem
            continue
        for listener, hosts in matched:
            result.listeners.append((listener.gateway, listener.result.name, listener.result.port))
            listener.result.routes.add(key)
            if serve is not None:
                out.served[key] = serve
                for host in hosts:
                    attached.setdefault(listener.result.port, {}).setdefault(host, {})[key] = serve


def _parse(obj: Object, services: Mapping[ObjectKey, Object]) -> tuple[Route, Verdict | None, Verdict]:
    spec = obj.get("spec") or {}
    refused: Verdict | None = None
    try:
        check_supported(spec)
    except Unsupported as error:
        refused = Verdict(False, "UnsupportedValue", str(error))
    resolved, rules = RESOLVED, list[Rule]()
    for index, entry in enumerate(spec.get("rules") or ({},)):
        rule, verdict = parse_rule(index, entry, meta.namespace(obj), services)
        rules.append(rule)
        resolved = verdict if resolved.ok else resolved
    return Route(source_of(obj), obj["metadata"].get("creationTimestamp") or "", tuple(rules)), refused, resolved


def _parent_key(parent: Mapping[str, Any], namespace: str) -> ObjectKey:
    if (parent.get("group", GROUP), parent.get("kind", "Gateway")) != (GROUP, "Gateway"):
        return "", ""
    return parent.get("namespace") or namespace, parent.get("name", "")


def _match_listeners(
    parent: Mapping[str, Any], obj: Object, listeners: Iterable[_Listener], labels: Mapping[str, Mapping[str, str]]
) -> tuple[list[tuple[_Listener, list[str]]], Verdict | None]:
    """The listeners that take this route, each with the hosts it takes; or why none does."""
    section, port = parent.get("sectionName"), parent.get("port")
    named = [
        listener
        for listener in listeners
        if (section is None or listener.result.name == section) and (port is None or listener.result.port == port)
    ]
    if not named:
        return [], Verdict(False, "NoMatchingParent", f"no listener with sectionName={section} port={port}")
    usable = [listener for listener in named if listener.result.accepted.ok and listener.result.conflicted.ok]
    if not usable:
        return [], Verdict(False, "NoMatchingParent", f"listener {named[0].result.name} is not accepted")
    allowed = [listener for listener in usable if _allows(listener, meta.namespace(obj), labels)]
    if not allowed:
        return [], Verdict(False, "NotAllowedByListeners", f"allowedRoutes of {usable[0].result.name} do not admit it")
    hostnames = (obj.get("spec") or {}).get("hostnames") or []
    matched = [(listener, intersect(listener.result.hostname, hostnames)) for listener in allowed]
    matched = [(listener, hosts) for listener, hosts in matched if hosts]
    if not matched:
        return [], Verdict(False, "NoMatchingListenerHostname", f"no listener's hostname meets any of {hostnames}")
    return matched, None


def _allows(listener: _Listener, namespace: str, labels: Mapping[str, Mapping[str, str]]) -> bool:
    allowed = (listener.spec.get("allowedRoutes") or {}).get("namespaces") or {}
    match allowed.get("from") or "Same":
        case "All":
            return True
        case "Selector":
            return selectors.matches(selectors.from_object(allowed.get("selector")), labels.get(namespace, {}))
        case _:
            return namespace == listener.gateway[0]


def intersect(listener: str, hostnames: Iterable[str]) -> list[str]:
    """The hosts under which a listener serves a route; "" and no hostnames mean any ("*")."""
    names = [name.lower() for name in hostnames]
    listener = listener.lower()
    if not names:
        return [listener or "*"]
    if not listener:
        return names
    found = []
    for name in names:
        if name == listener or _covers(listener, name):
            found.append(name)
        elif _covers(name, listener):
            found.append(listener)
    return found


def _covers(wildcard: str, name: str) -> bool:
    """`*.a.b` covers `x.a.b`, `y.x.a.b` and `*.x.a.b`, not `a.b`."""
    return wildcard.startswith("*.") and name.removeprefix("*").endswith(wildcard[1:]) and name != wildcard


def _listeners(world: World, out: Translation) -> dict[ObjectKey, list[_Listener]]:
    found: dict[ObjectKey, list[_Listener]] = {}
    for gateway in world.gateways:
        spec = gateway.get("spec") or {}
        if spec.get("gatewayClassName") not in out.classes or meta.deleting(gateway):
            continue
        key, entries, seen = key_of(gateway), list[_Listener](), set[tuple[int, str]]()
        protocols: dict[int, str] = {}
        for entry in spec.get("listeners") or ():
            result = _judge(entry)
            taken = (result.port, result.hostname.lower())
            if taken in seen:
                result.conflicted = Verdict(
                    False, "HostnameConflict", f"port {taken[0]} and this hostname are used twice"
                )
            if protocols.setdefault(result.port, entry.get("protocol", "")) != entry.get("protocol"):
                result.conflicted = Verdict(False, "ProtocolConflict", f"port {taken[0]} has two protocols")
            seen.add(taken)
            entries.append(_Listener(key, source_of(gateway), entry, result))
        found[key] = entries
        out.gateways[key] = [entry.result for entry in entries]
    return found


def _judge(entry: Mapping[str, Any]) -> ListenerResult:
    """A listener by itself. `conflicted.ok` means that there is no conflict."""
    accepted, resolved = _ACCEPTED, RESOLVED
    if entry.get("protocol") != "HTTP":
        problem = f"protocol {entry.get('protocol')} is not supported by Styr; use HTTP"
        accepted = Verdict(False, "UnsupportedProtocol", problem)
    elif entry.get("tls"):
        accepted = Verdict(False, "UnsupportedValue", "tls is not supported by Styr; remove it")
    route_kind = {"group": GROUP, "kind": "HTTPRoute"}
    kinds = (entry.get("allowedRoutes") or {}).get("kinds") or [route_kind]
    usable = [kind for kind in kinds if (kind.get("group", GROUP), kind.get("kind")) == (GROUP, "HTTPRoute")]
    if len(usable) < len(kinds):
        resolved = Verdict(False, "InvalidRouteKinds", "only HTTPRoute is served")
    if not usable and accepted.ok:
        accepted = Verdict(False, "UnsupportedValue", "allowedRoutes.kinds has no kind that Styr serves; use HTTPRoute")
    return ListenerResult(
        name=entry.get("name", ""),
        port=int(entry.get("port") or 0),
        accepted=accepted,
        conflicted=_NO_CONFLICT,
        resolved=resolved,
        kinds=[route_kind] if usable else [],
        hostname=entry.get("hostname") or "",
    )


def _plan(
    world: World,
    listeners: Mapping[ObjectKey, list[_Listener]],
    attached: Mapping[int, Mapping[str, Mapping[ObjectKey, Route]]],
) -> Plan:
    gateways: dict[int, set[Source]] = {}
    for entries in listeners.values():
        for entry in entries:
            if entry.result.accepted.ok and entry.result.conflicted.ok:
                gateways.setdefault(entry.result.port, set()).add(entry.source)
    ports = []
    for number, sources in sorted(gateways.items()):
        hosts = tuple((host, tuple(routes.values())) for host, routes in sorted(attached.get(number, {}).items()))
        ports.append(Port(number, tuple(sorted(sources, key=str)), hosts))
    clusters = {
        arm.cluster
        for port in ports
        for _, routes in port.hosts
        for route in routes
        for rule in route.rules
        for arm in rule.arms
        if arm.cluster
    }
    return Plan(tuple(ports), collect(clusters, world))
