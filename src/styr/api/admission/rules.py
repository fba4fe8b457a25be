"""Does a rule of a webhook or of an admission policy mean this request, and in which version? Called by both. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from styr.api.admission.attributes import Attributes
from styr.api.registry import Registry, ServedResource

Rule = Mapping[str, Any]
"""RuleWithOperations: apiGroups, apiVersions, resources (`pods`, `pods/log`, `*`, `*/*`), operations, scope; those of policies
have resourceNames too."""


def meant(
    listed: Iterable[Rule], attributes: Attributes, registry: Registry, *, equivalent: bool
) -> ServedResource | None:
    """The resource of the request in the version that a rule names: the one that was asked, else, if `equivalent`, another
    that is served. None when no rule means it."""
    asked = attributes.served
    if any(_matches(rule, attributes, asked) for rule in listed):
        return asked
    if not equivalent:
        return None
    others = [served for served in registry.versions(asked.key) if served.resource.version != asked.resource.version]
    return next((other for rule in listed for other in others if _matches(rule, attributes, other)), None)


def may_match(rule: Rule, operation: str, group: str, plural: str, subresource: str) -> bool:
    """In some version and scope."""
    return (
        _named(rule.get("operations"), operation)
        and _named(rule.get("apiGroups"), group)
        and any(_resource(entry, plural, subresource) for entry in rule.get("resources") or ())
    )


def _matches(rule: Rule, attributes: Attributes, served: ServedResource) -> bool:
    resource, names = served.resource, rule.get("resourceNames")
    return (
        may_match(rule, attributes.operation, resource.group, resource.plural, attributes.subresource)
        and _named(rule.get("apiVersions"), resource.version)
        and rule.get("scope", "*") in ("*", "Namespaced" if resource.namespaced else "Cluster")
        and (not names or attributes.name in names)
    )


def _named(items: Sequence[str] | None, wanted: str) -> bool:
    return items is not None and ("*" in items or wanted in items)


def _resource(entry: str, plural: str, subresource: str) -> bool:
    name, _, sub = entry.partition("/")
    return name in ("*", plural) and sub in ("*", subresource)
