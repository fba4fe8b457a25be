"""LimitRange and ResourceQuota: what may be asked for. Admission by them is `admission`'s."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from styr.api.faults import amounts, names
from styr.api.faults.causes import Faults, duplicate, each, forbidden, get, invalid, required
from styr.api.strategies.base import TypedStrategy
from styr.kinds import quantities
from styr.kinds.resources import Object

_LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_POD_SCOPES = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_SCOPES = (*_POD_SCOPES, "PriorityClass", "VolumeAttributesClass")
_CLASHES = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_COMPUTE = frozenset(["cpu", "memory", "pods", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"])
_EXISTS_ONLY = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


class LimitRangeStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        seen: set[str] = set()
        for index, limit in enumerate(obj["spec"].get("limits") or ()):
            path, kind = f"spec.limits[{index}]", limit.get("type", "")
            found = names.qualified(kind)
            yield from each(f"{path}.type", kind, found)
            if not found and "/" not in kind and kind not in _LIMIT_TYPES:
                yield invalid(f"{path}.type", kind, "must be a standard limit type or fully qualified")
            if kind in seen:
                yield duplicate(f"{path}.type", kind)
            seen.add(kind)
            yield from _limit(limit, kind, path)


def _limit(limit: dict[str, Any], kind: str, path: str) -> Faults:
    check = amounts.container_resource_name if kind in ("Pod", "Container") else amounts.resource_name
    fields = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
    known = {field: limit.get(field) or {} for field in fields}
    resources: set[str] = set()
    for field, found in known.items():
        if kind == "Pod" and field.startswith("default"):
            if found:
                yield forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'")
            known[field] = {}
            continue
        for name in found:
            yield from check(name, f"{path}.{field}[{name}]")
        if field != "maxLimitRequestRatio":
            resources |= found.keys()
    if kind == "PersistentVolumeClaim" and "storage" not in known["min"] and "storage" not in known["max"]:
        message = "either minimum or maximum storage value is required, but neither was provided"
        yield required(f"{path}.limits", message)
    for name in sorted(resources | known["maxLimitRequestRatio"].keys()):
        yield from _bounds(name, known, path)


def _bounds(name: str, known: dict[str, dict[str, str]], path: str) -> Faults:
    text = {field: found[name] for field, found in known.items() if name in found}
    value = {field: quantities.parse(amount) for field, amount in text.items()}
    for low, high, place, shown, words in (
        ("min", "max", "min", "min", "min value {} is greater than max value {}"),
        ("min", "defaultRequest", "defaultRequest", "defaultRequest", "min value {} is greater than default request value {}"),
        ("defaultRequest", "max", "defaultRequest", "defaultRequest", "default request value {} is greater than max value {}"),
        ("defaultRequest", "default", "defaultRequest", "defaultRequest",
         "default request value {} is greater than default limit value {}"),
        ("min", "default", "default", "min", "min value {} is greater than default value {}"),
        ("default", "max", "default", "max", "default value {} is greater than max value {}"),
    ):  # fmt: skip
        if low in value and high in value and value[low] > value[high]:
            yield invalid(f"{path}.{place}[{name}]", text[shown], words.format(text[low], text[high]))
    yield from _ratio(name, text, value, path)
    if not amounts.overcommits(name) and value.get("default", 0) != value.get("defaultRequest", 0):
        if "default" in value and "defaultRequest" in value:
            message = (
                f"default value {text['default']} must equal to defaultRequest value {text['defaultRequest']} in {name}"
            )
            yield invalid(f"{path}.defaultRequest[{name}]", text["defaultRequest"], message)


def _ratio(name: str, text: dict[str, str], value: dict[str, Fraction], path: str) -> Faults:
    if "maxLimitRequestRatio" not in value:
        return
    ratio, shown, place = (
        value["maxLimitRequestRatio"],
        text["maxLimitRequestRatio"],
        f"{path}.maxLimitRequestRatio[{name}]",
    )
    if ratio < 1:
        yield invalid(place, shown, f"ratio {shown} is less than 1")
    if "min" in value and "max" in value and value["min"] and ratio > value["max"] / value["min"]:
        yield invalid(place, shown, f"ratio {shown} is greater than max/min = {float(value['max'] / value['min']):f}")


class ResourceQuotaStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        yield from _hard(spec.get("hard"), "spec.hard")
        yield from _scopes(spec)
        yield from _scope_selector(spec)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        scopes = new["spec"].get("scopes") or []
        if set(scopes) != set(old["spec"].get("scopes") or []):
            yield invalid("spec.scopes", scopes or None, "field is immutable")

    def status_rules(self, new: Object, old: Object) -> Faults:
        for field in ("hard", "used"):
            yield from _hard(new["status"].get(field), f"status.{field}")


def _hard(found: dict[str, str] | None, path: str) -> Faults:
    for name, value in (found or {}).items():
        yield from amounts.quota_resource_name(name, f"{path}[{name}]")
        yield from amounts.amount(name, value, f"{path}[{name}]")


def _fits(scope: str, name: str) -> bool:
    """May a quota of this scope count that resource?"""
    if scope in ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"):
        return name in _COMPUTE
    if scope == "VolumeAttributesClass":
        return name in ("persistentvolumeclaims", "requests.storage")
    return name == "pods" if scope == "BestEffort" else True


def _is_standard(name: str) -> bool:
    return name in amounts.OF_QUOTAS or amounts.is_quota_huge(name)


def _scopes(spec: dict[str, Any]) -> Faults:
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid("spec.scopes", scopes, "unsupported scope")
        for name in sorted(spec.get("hard") or ()):
            if _is_standard(name) and not _fits(scope, name):
                yield invalid("spec.scopes", scopes, "unsupported scope applied to resource")
    for pair in _CLASHES:
        if pair <= set(scopes):
            yield invalid("spec.scopes", scopes, "conflicting scopes")


def _scope_selector(spec: dict[str, Any]) -> Faults:
    path = "spec.scopeSelector.matchExpressions"
    seen = set()
    for entry in get(spec, "scopeSelector", "matchExpressions") or ():
        scope, operator, values = entry.get("scopeName", ""), entry.get("operator", ""), entry.get("values") or []
        if scope not in _SCOPES:
            yield invalid(f"{path}.scopeName", scope, "unsupported scope")
        for name in sorted(spec.get("hard") or ()):
            if _is_standard(name) and not _fits(scope, name):
                yield invalid(path, spec["scopeSelector"], "unsupported scope applied to resource")
        if scope in _POD_SCOPES and operator != "Exists":
            yield invalid(f"{path}.operator", operator, _EXISTS_ONLY)
        if operator in ("In", "NotIn"):
            if not values:
                message = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                yield required(f"{path}.values", message)
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                message = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                yield invalid(f"{path}.values", values, message)
        else:
            yield invalid(f"{path}.operator", operator, "not a valid selector operator")
        seen.add(scope)
    for pair in _CLASHES:
        if pair <= seen:
            yield invalid(path, spec.get("scopes"), "conflicting scopes")
