"""Does a rule of a webhook (or of an admission policy) mean this request? Pure; called by `hooks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rule = Mapping[str, Any]
"""RuleWithOperations: apiGroups, apiVersions, resources (`pods`, `pods/log`, `*`, `*/*`), operations, scope."""


def matches(
    rule: Rule, operation: str, group: str, version: str, plural: str, subresource: str, namespaced: bool
) -> bool:
    """`namespaced`: the request is in a namespace, and about something else than a namespace."""
    return (
        _named(rule.get("operations"), operation)
        and _named(rule.get("apiGroups"), group)
        and _named(rule.get("apiVersions"), version)
        and any(_resource(entry, plural, subresource) for entry in rule.get("resources") or ())
        and rule.get("scope", "*") in ("*", "Namespaced" if namespaced else "Cluster")
    )


def may_match(rule: Rule, operation: str, group: str, plural: str, subresource: str) -> bool:
    """In some version and scope."""
    return (
        _named(rule.get("operations"), operation)
        and _named(rule.get("apiGroups"), group)
        and any(_resource(entry, plural, subresource) for entry in rule.get("resources") or ())
    )


def _named(items: Sequence[str] | None, wanted: str) -> bool:
    return items is not None and ("*" in items or wanted in items)


def _resource(entry: str, plural: str, subresource: str) -> bool:
    name, _, sub = entry.partition("/")
    return name in ("*", plural) and sub in ("*", subresource)
