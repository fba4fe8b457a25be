"""Which objects a quota's scopes select. Pure; called by the plugin and the recount."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from styr.kinds.resources import Object
from styr.kinds.selectors import Requirement


def selects(quota: Object, key: str, obj: Object) -> bool:
    """Do all scopes of the quota hold for the object? Only pods and claims have any."""
    return all(_holds(term, key, obj) for term in _terms(quota.get("spec") or {}))


def _terms(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for scope in spec.get("scopes") or ():
        yield {"scopeName": scope, "operator": "Exists"}
    yield from (spec.get("scopeSelector") or {}).get("matchExpressions") or ()


def _holds(term: Mapping[str, Any], key: str, obj: Object) -> bool:
    scope, spec = term.get("scopeName"), obj.get("spec") or {}
    if key == "pods":
        return _holds_for_pod(term, str(scope), spec)
    if key == "persistentvolumeclaims" and scope == "VolumeAttributesClass":
        return _named(term, spec.get("volumeAttributesClassName"))
    return False


def _holds_for_pod(term: Mapping[str, Any], scope: str, spec: Mapping[str, Any]) -> bool:
    match scope:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return is_best_effort(spec)
        case "NotBestEffort":
            return not is_best_effort(spec)
        case "PriorityClass":
            return _named(term, spec.get("priorityClassName"))
        case "CrossNamespacePodAffinity":
            return _reaches_out(spec.get("affinity") or {})
    return False


def _named(term: Mapping[str, Any], name: Any) -> bool:
    requirement = Requirement("name", term.get("operator", "Exists"), tuple(term.get("values") or ()))
    return requirement.matches({"name": name} if name else {})


def is_best_effort(spec: Mapping[str, Any]) -> bool:
    """No container asks for, or limits, processor or memory."""
    holders = [spec, *(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return not any(
        str(amount).strip("0.") and name in ("cpu", "memory")
        for holder in holders
        for field in ("requests", "limits")
        for name, amount in ((holder.get("resources") or {}).get(field) or {}).items()
    )


def _reaches_out(affinity: Mapping[str, Any]) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [
            entry.get("podAffinityTerm") or {}
            for entry in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False
