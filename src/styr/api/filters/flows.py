"""FlowSchemas and PriorityLevelConfigurations, as read from their objects: which schema a request falls under. Pure; called by
`priority`. Format: flowcontrol.apiserver.k8s.io/v1. What is misshapen matches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from styr.api.filters.asked import Asked
from styr.kinds import meta
from styr.kinds.resources import Object
from styr.kinds.transport import User

_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class ResourceRule:
    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    namespaces: frozenset[str]
    cluster: bool

    def matches(self, asked: Asked) -> bool:
        full = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        return (
            _has(self.verbs, asked.verb)
            and _has(self.resources, full)
            and _has(self.groups, asked.group)
            and (_has(self.namespaces, asked.namespace) if asked.namespace else self.cluster)
        )


@dataclass(frozen=True, slots=True)
class PathRule:
    verbs: frozenset[str]
    paths: tuple[str, ...]

    def matches(self, asked: Asked) -> bool:
        return _has(self.verbs, asked.verb) and any(_path(path, asked.path) for path in self.paths)


@dataclass(frozen=True, slots=True)
class Rules:
    """One entry of `spec.rules`: these subjects, asking for any of this."""

    users: frozenset[str]
    groups: frozenset[str]
    account_namespaces: frozenset[str]
    resources: tuple[ResourceRule, ...]
    paths: tuple[PathRule, ...]

    def concerns(self, user: User) -> bool:
        if (
            "*" in self.users
            or user.name in self.users
            or "*" in self.groups
            or not self.groups.isdisjoint(user.groups)
        ):
            return True
        if self.account_namespaces and user.name.startswith(_ACCOUNT):
            return user.name.removeprefix(_ACCOUNT).partition(":")[0] in self.account_namespaces
        return False

    def matches(self, asked: Asked) -> bool:
        rules: Iterable[ResourceRule | PathRule] = self.resources if asked.resource else self.paths
        return any(rule.matches(asked) for rule in rules)


@dataclass(frozen=True, slots=True)
class Schema:
    """`by` is ByUser, ByNamespace or "": what tells one flow from another."""

    name: str
    uid: str
    precedence: int
    level: str
    by: str
    rules: tuple[Rules, ...]

    def flow(self, user: User, asked: Asked) -> str:
        return {"ByUser": user.name, "ByNamespace": asked.namespace}.get(self.by, "")


@dataclass(frozen=True, slots=True)
class LevelSpec:
    """`queues` 0: what finds no seat is refused at once. Percentages are of the nominal seats; `borrowing` None: without
    limit."""

    name: str
    uid: str = ""
    exempt: bool = False
    shares: int = 30
    lendable: int = 0
    borrowing: int | None = None
    queues: int = 0
    hand: int = 1
    length: int = 0


def read_schema(obj: Object) -> Schema:
    spec = _map(obj.get("spec"))
    return Schema(
        meta.name(obj),
        meta.uid(obj),
        _int(spec.get("matchingPrecedence"), 1000),
        str(_map(spec.get("priorityLevelConfiguration")).get("name", "")),
        str(_map(spec.get("distinguisherMethod")).get("type", "")),
        tuple(_rules(rule) for rule in _list(spec.get("rules"))),
    )


def _rules(rule: Mapping[str, Any]) -> Rules:
    users, groups, namespaces = set(), set(), set()
    for subject in _list(rule.get("subjects")):
        kind = str(subject.get("kind", ""))
        found = _map(subject.get(kind[:1].lower() + kind[1:]))
        name = str(found.get("name", ""))
        if kind == "User":
            users.add(name)
        elif kind == "Group":
            groups.add(name)
        elif kind == "ServiceAccount" and name == "*":
            namespaces.add(str(found.get("namespace", "")))
        elif kind == "ServiceAccount":
            users.add(f"{_ACCOUNT}{found.get('namespace', '')}:{name}")
    resources = tuple(
        ResourceRule(
            _words(each, "verbs"),
            _words(each, "apiGroups"),
            _words(each, "resources"),
            _words(each, "namespaces"),
            each.get("clusterScope") is True,
        )
        for each in _list(rule.get("resourceRules"))
    )
    paths = tuple(
        PathRule(_words(each, "verbs"), tuple(_words(each, "nonResourceURLs")))
        for each in _list(rule.get("nonResourceRules"))
    )
    return Rules(frozenset(users), frozenset(groups), frozenset(namespaces), resources, paths)


def read_level(obj: Object) -> LevelSpec:
    spec = _map(obj.get("spec"))
    exempt = spec.get("type") == "Exempt"
    found = _map(spec.get("exempt" if exempt else "limited"))
    response = _map(found.get("limitResponse"))
    queuing = _map(response.get("queuing")) if response.get("type") == "Queue" else {}
    queues = _int(queuing.get("queues"), 64) if response.get("type") == "Queue" else 0
    borrowing = found.get("borrowingLimitPercent")
    return LevelSpec(
        meta.name(obj),
        meta.uid(obj),
        exempt,
        max(0, _int(found.get("nominalConcurrencyShares"), 0 if exempt else 30)),
        min(100, max(0, _int(found.get("lendablePercent"), 0))),
        None if borrowing is None else max(0, _int(borrowing, 0)),
        max(0, min(queues, 10_000)),
        max(1, min(_int(queuing.get("handSize"), 8), queues or 1)),
        max(1, _int(queuing.get("queueLengthLimit"), 50)),
    )


def _has(words: frozenset[str], word: str) -> bool:
    return "*" in words or word in words


def _path(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _words(rule: Mapping[str, Any], key: str) -> frozenset[str]:
    found = rule.get(key)
    return frozenset(word for word in found if isinstance(word, str)) if isinstance(found, list) else frozenset()


def _int(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
