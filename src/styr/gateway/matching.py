"""One HTTPRoute rule -> IR: matches, backends, and what we do not support. Pure.

Called by `routes`. A field that Styr does not implement is never ignored: it makes the route Accepted=False and is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from styr.gateway.ir import Arm, Match, ObjectKey, Rule, StringMatch, Verdict, cluster_name
from styr.kinds.resources import Object

_RULE_FIELDS = {"name", "matches", "backendRefs"}
_MATCH_FIELDS = {"path", "headers", "queryParams", "method"}
_BACKEND_FIELDS = {"group", "kind", "name", "namespace", "port", "weight"}

_BAD_IN_PATH = ("//", "/./", "/../", "%2f", "#", "?")

RESOLVED = Verdict(True, "ResolvedRefs", "all references resolve")


class Unsupported(ValueError):
    """A field whose meaning Styr does not implement. The message is its path and the way out."""


def check_supported(spec: Mapping[str, Any]) -> None:
    """Raises `Unsupported` for the first field that would otherwise be ignored."""
    if set(spec) - {"parentRefs", "hostnames", "rules"}:
        raise Unsupported(_refuse("spec", set(spec) - {"parentRefs", "hostnames", "rules"}))
    for index, rule in enumerate(spec.get("rules") or ()):
        _check_fields(f"spec.rules[{index}]", rule, _RULE_FIELDS)
        for number, match in enumerate(rule.get("matches") or ()):
            _check_fields(f"spec.rules[{index}].matches[{number}]", match, _MATCH_FIELDS)
            _check_path(f"spec.rules[{index}].matches[{number}].path.value", match.get("path") or {})
        for number, backend in enumerate(rule.get("backendRefs") or ()):
            _check_fields(f"spec.rules[{index}].backendRefs[{number}]", backend, _BACKEND_FIELDS)


def _check_path(path: str, match: Mapping[str, Any]) -> None:
    """Gateway API's rules for HTTPPathMatch; a regular expression is Envoy's to judge."""
    value = str(match.get("value") or "/")
    if match.get("type") == "RegularExpression":
        return
    bad = next((part for part in _BAD_IN_PATH if part in value.lower()), None)
    if not value.startswith("/") or bad or value.endswith(("/.", "/..")):
        raise Unsupported(f"{path} {value[:100]!r} must start with / and hold none of {' '.join(_BAD_IN_PATH)}")


def _check_fields(path: str, value: Mapping[str, Any], known: set[str]) -> None:
    extra = {name for name in set(value) - known if value[name] not in (None, [])}
    if extra:
        raise Unsupported(_refuse(path, extra))


def _refuse(path: str, names: set[str]) -> str:
    return f"{path}.{min(names)} is not supported by Styr; remove it, or it would have been ignored"


def parse_rule(
    index: int, rule: Mapping[str, Any], namespace: str, services: Mapping[ObjectKey, Object]
) -> tuple[Rule, Verdict]:
    """The rule and whether its references resolve (the first that does not, when several do not)."""
    matches = tuple(parse_match(match) for match in rule.get("matches") or ()) or (Match(),)
    verdict, arms = RESOLVED, []
    for number, reference in enumerate(rule.get("backendRefs") or ()):
        problem = resolve(reference, namespace, services)
        weight = reference.get("weight")
        name = str(reference.get("name", ""))
        cluster = None if problem else cluster_name(namespace, name, int(reference["port"]))
        arms.append(Arm(name, 1 if weight is None else int(weight), cluster))
        if problem and verdict.ok:
            message = f"spec.rules[{index}].backendRefs[{number}]: {problem.message}; its share of requests gets 500"
            verdict = Verdict(False, problem.reason, message)
    return Rule(index, matches, tuple(arms)), verdict


def parse_match(match: Mapping[str, Any]) -> Match:
    path = match.get("path") or {}
    return Match(
        path_kind=path.get("type") or "PathPrefix",
        path=path.get("value") or "/",
        method=match.get("method") or "",
        headers=_strings(match.get("headers"), fold=True),
        query=_strings(match.get("queryParams"), fold=False),
    )


def _strings(entries: list[Mapping[str, Any]] | None, *, fold: bool) -> tuple[StringMatch, ...]:
    """Of entries with an equivalent name only the first counts (Gateway API, HTTPHeaderMatch.name)."""
    found: dict[str, StringMatch] = {}
    for entry in entries or ():
        name = entry["name"].lower() if fold else entry["name"]
        found.setdefault(name, StringMatch(name, entry["value"], entry.get("type") == "RegularExpression"))
    return tuple(found.values())


def resolve(reference: Mapping[str, Any], namespace: str, services: Mapping[ObjectKey, Object]) -> Verdict | None:
    """None when the reference is good. Reasons are Gateway API's RouteConditionReason."""
    kind, group = reference.get("kind") or "Service", reference.get("group") or ""
    if (group, kind) != ("", "Service"):
        return Verdict(False, "InvalidKind", f"{kind} of group {group or 'core'!r} is no backend; use a Service")
    name, target = reference.get("name", ""), reference.get("namespace") or namespace
    if target != namespace:
        problem = f"Service {target}/{name} is in another namespace, and no ReferenceGrant is served"
        return Verdict(False, "RefNotPermitted", problem)
    service = services.get((namespace, name))
    if service is None:
        return Verdict(False, "BackendNotFound", f"Service {namespace}/{name} does not exist")
    port = reference.get("port")
    if port is None:
        return Verdict(False, "BackendNotFound", f"the port of Service {namespace}/{name} is not given")
    ports = (service.get("spec") or {}).get("ports") or ()
    if all(entry.get("port") != port for entry in ports):
        return Verdict(False, "BackendNotFound", f"Service {namespace}/{name} has no port {port}")
    return None
