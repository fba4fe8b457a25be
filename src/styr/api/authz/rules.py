"""What is asked of an authorizer, what a rule of RBAC allows, and the words of a refusal. Pure. Messages are Kubernetes'
own, because people search for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from styr.kinds.errors import Forbidden
from styr.kinds.transport import User


class Attributes(NamedTuple):
    """What is asked for. `path` is set for requests that are not for a resource; then the resource fields are ""."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Authorizer(Protocol):
    """Raises `Forbidden` unless the user may. `path` alone is set for requests that are not for a resource."""

    def __call__(
        self,
        user: User,
        verb: str,
        group: str,
        resource: str,
        subresource: str,
        namespace: str,
        name: str,
        path: str,
        /,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule, normalised."""

    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    @classmethod
    def read(cls, rule: Mapping[str, Any]) -> Rule:
        return cls(
            _words(rule, "verbs"),
            _words(rule, "apiGroups"),
            _words(rule, "resources"),
            _words(rule, "resourceNames"),
            tuple(_words(rule, "nonResourceURLs")),
        )

    def allows(self, asked: Attributes) -> bool:
        if not covers(self.verbs, asked.verb):
            return False
        if asked.path:
            return any(path_matches(path, asked.path) for path in self.paths)
        return (
            covers(self.groups, asked.group)
            and self._covers_resource(asked)
            and (not self.names or asked.name in self.names)
        )

    def _covers_resource(self, asked: Attributes) -> bool:
        if "*" in self.resources or asked.full_resource in self.resources:
            return True
        return bool(asked.subresource) and f"*/{asked.subresource}" in self.resources


def read_rules(rules: Any) -> tuple[Rule, ...]:
    return tuple(Rule.read(rule) for rule in rules if isinstance(rule, dict)) if isinstance(rules, list) else ()


def _words(rule: Mapping[str, Any], key: str) -> frozenset[str]:
    found = rule.get(key)
    return frozenset(word for word in found if isinstance(word, str)) if isinstance(found, list) else frozenset()


def covers(words: frozenset[str], word: str) -> bool:
    return "*" in words or word in words


def path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def forbidden(user: User, asked: Attributes) -> Forbidden:
    """`pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"`."""
    if asked.path:
        return Forbidden(f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"')
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    shown = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    named = f' "{asked.name}"' if asked.name else ""
    details: dict[str, Any] = {"kind": asked.resource} | ({"group": asked.group} if asked.group else {})
    return Forbidden(
        f'{shown}{named} is forbidden: User "{user.name}" cannot {asked.verb} resource "{asked.full_resource}" '
        f'in API group "{asked.group}" {where}',
        details=details | ({"name": asked.name} if asked.name else {}),
    )
