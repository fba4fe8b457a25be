"""RBAC: who may do what. Deny by default; `system:masters` may do anything.

Called by the server for every request (`Rbac` is an `Authorizer`) and by the write verbs for roles and bindings
(`check_escalation`). Kept current by `put` and `remove` from the store's write path, never by reading the store on a
request. Format: rbac.authorization.k8s.io/v1. Messages are Kubernetes' own, because people search for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from styr.kinds import meta
from styr.kinds.errors import Forbidden
from styr.kinds.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, Object
from styr.kinds.transport import User

MASTERS = "system:masters"
PUBLIC_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/version"})
"""Answered without a credential."""
GROUP = ROLE.group
_ACCOUNT = "system:serviceaccount:"


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
        if not _covers(self.verbs, asked.verb):
            return False
        if asked.path:
            return any(_path_matches(path, asked.path) for path in self.paths)
        return (
            _covers(self.groups, asked.group)
            and self._covers_resource(asked)
            and (not self.names or asked.name in self.names)
        )

    def _covers_resource(self, asked: Attributes) -> bool:
        if "*" in self.resources or asked.full_resource in self.resources:
            return True
        return bool(asked.subresource) and f"*/{asked.subresource}" in self.resources


def _read_rules(rules: Any) -> tuple[Rule, ...]:
    return tuple(Rule.read(rule) for rule in rules if isinstance(rule, dict)) if isinstance(rules, list) else ()


def _words(rule: Mapping[str, Any], key: str) -> frozenset[str]:
    found = rule.get(key)
    return frozenset(word for word in found if isinstance(word, str)) if isinstance(found, list) else frozenset()


def _covers(words: frozenset[str], word: str) -> bool:
    return "*" in words or word in words


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


class _Binding(NamedTuple):
    name: str
    namespace: str
    """"" for a ClusterRoleBinding."""
    users: frozenset[str]
    groups: frozenset[str]
    role_kind: str
    role_name: str

    def binds(self, user: User) -> bool:
        return user.name in self.users or not self.groups.isdisjoint(user.groups)

    def describe(self, user: User) -> str:
        """As Kubernetes says why something is allowed."""
        if user.name not in self.users:
            whom = f'Group "{next(group for group in user.groups if group in self.groups)}"'
        elif user.name.startswith(_ACCOUNT):
            namespace, _, name = user.name.removeprefix(_ACCOUNT).partition(":")
            whom = f'ServiceAccount "{name}/{namespace}"'
        else:
            whom = f'User "{user.name}"'
        kind = f'RoleBinding "{self.name}/{self.namespace}"' if self.namespace else f'ClusterRoleBinding "{self.name}"'
        return f'{kind} of {self.role_kind} "{self.role_name}" to {whom}'


class Rbac:
    """The roles and bindings of the store, indexed for decisions. Not thread-safe: used from the server's loop."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self._roles: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._bindings: dict[tuple[str, str], _Binding] = {}
        for obj in objects:
            self.put(obj)

    @staticmethod
    def is_master(user: User) -> bool:
        return MASTERS in user.groups

    def put(self, obj: Object) -> None:
        """Takes in a Role, ClusterRole or binding as written; other kinds are ignored."""
        key = (meta.namespace(obj), meta.name(obj))
        if obj.get("kind") in (ROLE.kind, CLUSTER_ROLE.kind):
            rules = obj.get("rules")
            self._roles[key] = _read_rules(rules)
        elif obj.get("kind") in (ROLE_BINDING.kind, CLUSTER_ROLE_BINDING.kind):
            self._bindings[key] = _read_binding(obj)

    def remove(self, obj: Object) -> None:
        key = (meta.namespace(obj), meta.name(obj))
        if obj.get("kind") in (ROLE.kind, CLUSTER_ROLE.kind):
            self._roles.pop(key, None)
        elif obj.get("kind") in (ROLE_BINDING.kind, CLUSTER_ROLE_BINDING.kind):
            self._bindings.pop(key, None)

    def rules(self, user: User, namespace: str) -> Iterator[Rule]:
        """Every rule that holds for the user there ("": cluster-wide rules only). May repeat."""
        for binding in self._bound(user, namespace):
            yield from self._held(binding)

    def _bound(self, user: User, namespace: str) -> Iterator[_Binding]:
        for binding in self._bindings.values():
            if binding.namespace in ("", namespace) and binding.binds(user):
                yield binding

    def _held(self, binding: _Binding) -> tuple[Rule, ...]:
        where = binding.namespace if binding.role_kind == ROLE.kind else ""
        return self._roles.get((where, binding.role_name), ())

    def explain(self, user: User, asked: Attributes) -> tuple[bool, str]:
        """May the user, and by which binding (or through which role that is not there may he not)."""
        if self.is_master(user):
            return True, ""
        missing = []
        for binding in self._bound(user, asked.namespace):
            if any(rule.allows(asked) for rule in self._held(binding)):
                return True, f"RBAC: allowed by {binding.describe(user)}"
            where = binding.namespace if binding.role_kind == ROLE.kind else ""
            if (where, binding.role_name) not in self._roles:
                missing.append(f'{binding.role_kind.lower()}.{GROUP} "{binding.role_name}" not found')
        if not missing:
            return False, ""
        return False, f"RBAC: {missing[0] if len(missing) == 1 else '[' + ', '.join(missing) + ']'}"

    def allows(self, user: User, asked: Attributes) -> bool:
        if self.is_master(user):
            return True
        if asked.path in PUBLIC_PATHS and asked.verb == "get":
            return True
        return any(rule.allows(asked) for rule in self.rules(user, asked.namespace))

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
    ) -> None:
        asked = Attributes(verb, group, resource, subresource, namespace, name, "" if resource else path)
        if not self.allows(user, asked):
            raise forbidden(user, asked)

    def check_escalation(self, user: User, obj: Object) -> None:
        """A writer of a role must hold every right in it, or the verb `escalate` on it; a writer of a binding every
        right of the role that it binds, or `bind`. Raises `Forbidden`. Other kinds pass."""
        kind, namespace = obj.get("kind"), meta.namespace(obj)
        if self.is_master(user):
            return
        if kind in (ROLE.kind, CLUSTER_ROLE.kind):
            found = obj.get("rules")
            rules = _read_rules(found)
            plural = ROLE.plural if kind == ROLE.kind else CLUSTER_ROLE.plural
            verb, target = "escalate", meta.name(obj)
        elif kind in (ROLE_BINDING.kind, CLUSTER_ROLE_BINDING.kind):
            binding = _read_binding(obj)
            is_role = binding.role_kind == ROLE.kind
            rules = self._roles.get((namespace if is_role else "", binding.role_name), ())
            plural = ROLE.plural if is_role else CLUSTER_ROLE.plural
            verb, target = "bind", binding.role_name
        else:
            return
        if self.allows(user, Attributes(verb, GROUP, plural, "", namespace, target)):
            return
        missing = [rule for rule in rules if not self._holds(user, namespace, rule)]
        if missing:
            raise Forbidden(_escalation_message(user, obj, missing), details=_details(obj))

    def _holds(self, user: User, namespace: str, wanted: Rule) -> bool:
        """Does one held rule cover each single right of the wanted rule?"""
        held = tuple(self.rules(user, namespace))
        return all(any(_rule_covers(rule, right) for rule in held) for right in _rights(wanted))


MAX_RIGHTS = 10_000
"""Single rights that a rule may spell out before it is refused unchecked."""


def _rights(rule: Rule) -> Iterator[Rule]:
    """The rule taken apart: one verb, one group, one resource, one name each."""
    size = len(rule.verbs) * (len(rule.groups) * len(rule.resources) * max(1, len(rule.names)) + len(rule.paths))
    if size > MAX_RIGHTS:
        raise Forbidden(f"the rule spells out {size} rights, more than {MAX_RIGHTS}: split it into several rules")
    for verb in rule.verbs:
        for group in rule.groups:
            for resource in rule.resources:
                for name in rule.names or (None,):
                    names = frozenset({name}) if name else frozenset()
                    yield Rule(frozenset({verb}), frozenset({group}), frozenset({resource}), names)
        for path in rule.paths:
            yield Rule(frozenset({verb}), paths=(path,))


def _rule_covers(held: Rule, right: Rule) -> bool:
    (verb,) = right.verbs
    if not _covers(held.verbs, verb):
        return False
    if right.paths:
        return any(_path_matches(path, right.paths[0]) for path in held.paths)
    (group,), (resource,) = right.groups, right.resources
    _, _, sub = resource.partition("/")
    known = "*" in held.resources or resource in held.resources or (bool(sub) and f"*/{sub}" in held.resources)
    return (
        _covers(held.groups, group) and known and (not held.names or (bool(right.names) and right.names <= held.names))
    )


def _read_binding(obj: Object) -> _Binding:
    subjects = obj.get("subjects")
    users, groups = set(), set()
    for subject in subjects if isinstance(subjects, list) else ():
        if not isinstance(subject, dict):
            continue
        kind, name = subject.get("kind"), str(subject.get("name", ""))
        if kind == "User":
            users.add(name)
        elif kind == "Group":
            groups.add(name)
        elif kind == "ServiceAccount":
            users.add(f"{_ACCOUNT}{subject.get('namespace', '')}:{name}")
    found = obj.get("roleRef")
    role = found if isinstance(found, dict) else {}
    return _Binding(
        meta.name(obj),
        meta.namespace(obj),
        frozenset(users),
        frozenset(groups),
        str(role.get("kind", "")),
        str(role.get("name", "")),
    )


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


def _details(obj: Object) -> dict[str, Any]:
    return {"name": meta.name(obj), "group": GROUP, "kind": f"{str(obj.get('kind')).lower()}s"}


def _escalation_message(user: User, obj: Object, missing: list[Rule]) -> str:
    shown = "\n".join(
        "{"
        + ", ".join(
            f"{label}:[{' '.join(chr(34) + word + chr(34) for word in sorted(words))}]"
            for label, words in (
                ("APIGroups", rule.groups),
                ("Resources", rule.resources),
                ("ResourceNames", rule.names),
                ("NonResourceURLs", rule.paths),
                ("Verbs", rule.verbs),
            )
            if words
        )
        + "}"
        for rule in missing[:16]
    )
    groups = " ".join(f'"{group}"' for group in user.groups)
    kind = f"{str(obj.get('kind')).lower()}s"
    return (
        f'{kind}.{GROUP} "{meta.name(obj)}" is forbidden: user "{user.name}" (groups=[{groups}]) is attempting to grant '
        f"RBAC permissions not currently held:\n{shown}"
    )
