"""Where a pod may run: node and pod affinity, spread over a topology. Called by the rules of pods and volumes; pure."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, duplicate, each, forbidden, invalid, required, unsupported
from styr.api.faults.selectors import requirement, selector

REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")


def affinity(found: dict[str, Any], path: str) -> Faults:
    node = found.get("nodeAffinity") or {}
    if REQUIRED in node:
        yield from node_selector(node[REQUIRED], f"{path}.nodeAffinity.{REQUIRED}")
    for index, term in enumerate(node.get(PREFERRED) or ()):
        place = f"{path}.nodeAffinity.{PREFERRED}[{index}]"
        yield from _weight(term, place)
        yield from node_term(term.get("preference") or {}, f"{place}.preference", odd_values=True)
    for field in ("podAffinity", "podAntiAffinity"):
        terms = found.get(field) or {}
        for index, term in enumerate(terms.get(REQUIRED) or ()):
            yield from _pod_term(term, f"{path}.{field}.{REQUIRED}[{index}]")
        for index, term in enumerate(terms.get(PREFERRED) or ()):
            place = f"{path}.{field}.{PREFERRED}[{index}]"
            yield from _weight(term, place)
            yield from _pod_term(term.get("podAffinityTerm") or {}, f"{place}.podAffinityTerm")


def _weight(term: dict[str, Any], path: str) -> Faults:
    if not 1 <= term.get("weight", 0) <= 100:
        yield invalid(f"{path}.weight", term.get("weight", 0), "must be in the range 1-100")


def node_selector(found: dict[str, Any], path: str, *, odd_values: bool = False) -> Faults:
    terms = found.get("nodeSelectorTerms") or []
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        yield from node_term(term, f"{path}.nodeSelectorTerms[{index}]", odd_values=odd_values)


def node_term(term: dict[str, Any], path: str, *, odd_values: bool = False) -> Faults:
    for index, entry in enumerate(term.get("matchExpressions") or ()):
        yield from requirement(entry, f"{path}.matchExpressions[{index}]", odd_values=odd_values, compares=True)
    for index, entry in enumerate(term.get("matchFields") or ()):
        yield from _field(entry, f"{path}.matchFields[{index}]")


def _field(entry: dict[str, Any], path: str) -> Faults:
    operator, values, key = entry.get("operator", ""), entry.get("values") or [], entry.get("key", "")
    if operator in ("In", "NotIn"):
        if len(values) != 1:
            message = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            yield required(f"{path}.values", message)
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    if key != "metadata.name":
        yield invalid(f"{path}.key", key, "not a valid field selector key")
        return
    for index, value in enumerate(values):
        yield from each(f"{path}.values[{index}]", value, names.dns_subdomain(value))


def _pod_term(term: dict[str, Any], path: str) -> Faults:
    yield from selector(term.get("labelSelector"), f"{path}.labelSelector")
    yield from selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for name in term.get("namespaces") or ():
        yield from each(f"{path}.namespace", name, names.dns_label(name))
    yield from _label_keys(term, path)
    topology = term.get("topologyKey", "")
    if not topology:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from each(f"{path}.topologyKey", topology, names.qualified(topology))


def _label_keys(term: dict[str, Any], path: str) -> Faults:
    """Keys whose values the server adds to the selector."""
    chosen = term.get("labelSelector")
    same, other = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    for field, keys in (("matchLabelKeys", same), ("mismatchLabelKeys", other)):
        if keys and chosen is None:
            yield forbidden(f"{path}.{field}", "must not be specified when labelSelector is not set")
            continue
        for index, key in enumerate(keys):
            yield from each(f"{path}.{field}[{index}]", key, names.qualified(key))
    if chosen is not None:
        known = set(chosen.get("matchLabels") or ())
        for entry in chosen.get("matchExpressions") or ():
            key = entry.get("key", "")
            if key in same and key in known:
                yield invalid(f"{path}[{same.index(key)}]", key, "exists in both matchLabelKeys and labelSelector")
            known.add(key)
    for index, key in enumerate(same):
        if key in other:
            message = "exists in both matchLabelKeys and mismatchLabelKeys"
            yield invalid(f"{path}.matchLabelKeys[{index}]", key, message)


def spread(found: list[dict[str, Any]], path: str) -> Faults:
    """topologySpreadConstraints."""
    for index, entry in enumerate(found):
        place = f"{path}[{index}]"
        skew, topology, action = (
            entry.get("maxSkew", 0),
            entry.get("topologyKey", ""),
            entry.get("whenUnsatisfiable", ""),
        )
        if skew <= 0:
            yield invalid(f"{place}.maxSkew", skew, "must be greater than 0")
        if not topology:
            yield required(f"{place}.topologyKey", "can not be empty")
        if action not in _ACTIONS:
            yield unsupported(f"{place}.whenUnsatisfiable", action, _ACTIONS)
        for later in found[index + 1 :]:
            if (later.get("topologyKey", ""), later.get("whenUnsatisfiable", "")) == (topology, action):
                yield duplicate(f"{place}.{{topologyKey, whenUnsatisfiable}}", f"{{{topology}, {action}}}")
                break
        if (least := entry.get("minDomains")) is not None:
            if least <= 0:
                yield invalid(f"{place}.minDomains", least, "must be greater than 0")
            if action != "DoNotSchedule":
                message = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                yield invalid(f"{place}.minDomains", least, message)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if field in entry and entry[field] not in ("Honor", "Ignore"):
                yield unsupported(f"{place}.{field}", entry[field], ("Honor", "Ignore"))
        yield from _label_keys({key: entry[key] for key in ("matchLabelKeys", "labelSelector") if key in entry}, place)
        yield from selector(entry.get("labelSelector"), f"{place}.labelSelector")
