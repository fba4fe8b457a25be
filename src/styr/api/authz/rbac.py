"""RBAC: who may do what. Deny by default; `system:masters` may do anything.

Called by the server for every request (`Rbac` is an `Authorizer`), by the reviews, and by the write verbs for roles and
bindings (`check_escalation`). Kept current by `put` and `remove` from the store's write path, never by reading the store on a
request; bindings are found by their subjects. Format: rbac.authorization.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from styr.api.authz import escalation
from styr.api.authz.rules import Attributes, Rule, forbidden, read_rules
from styr.kinds import meta
from styr.kinds.errors import NotFound
from styr.kinds.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, Object
from styr.kinds.transport import User

MASTERS = "system:masters"
PUBLIC_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/version"})
"""Answered without a credential."""
GROUP = ROLE.group
_ACCOUNT = "system:serviceaccount:"
_ROLES, _BINDINGS = (ROLE.kind, CLUSTER_ROLE.kind), (ROLE_BINDING.kind, CLUSTER_ROLE_BINDING.kind)
_Key = tuple[str, str]


class Binding(NamedTuple):
    name: str
    namespace: str
    """"" for a ClusterRoleBinding."""
    users: frozenset[str]
    groups: frozenset[str]
    role_kind: str
    role_name: str

    @property
    def role(self) -> _Key:
        """(namespace, name) of the role that is bound."""
        return (self.namespace if self.role_kind == ROLE.kind else "", self.role_name)

    @property
    def role_plural(self) -> str:
        return ROLE.plural if self.role_kind == ROLE.kind else CLUSTER_ROLE.plural

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
    """The roles and bindings of the store. Not thread-safe: used from the server's loop."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self._roles: dict[_Key, tuple[Rule, ...]] = {}
        self._bindings: dict[_Key, Binding] = {}
        self._by_user: dict[str, dict[_Key, Binding]] = {}
        self._by_group: dict[str, dict[_Key, Binding]] = {}
        for obj in objects:
            self.put(obj)

    @staticmethod
    def is_master(user: User) -> bool:
        return MASTERS in user.groups

    def put(self, obj: Object) -> None:
        """Takes in a Role, ClusterRole or binding as written; other kinds are ignored."""
        key = (meta.namespace(obj), meta.name(obj))
        if obj.get("kind") in _ROLES:
            self._roles[key] = read_rules(obj.get("rules"))
        elif obj.get("kind") in _BINDINGS:
            self._unbind(key)
            binding = self._bindings[key] = read_binding(obj)
            for index, subjects in self._subjects(binding):
                for subject in subjects:
                    index.setdefault(subject, {})[key] = binding

    def remove(self, obj: Object) -> None:
        key = (meta.namespace(obj), meta.name(obj))
        if obj.get("kind") in _ROLES:
            self._roles.pop(key, None)
        elif obj.get("kind") in _BINDINGS:
            self._unbind(key)

    def _subjects(self, binding: Binding) -> tuple[tuple[dict[str, dict[_Key, Binding]], frozenset[str]], ...]:
        return (self._by_user, binding.users), (self._by_group, binding.groups)

    def _unbind(self, key: _Key) -> None:
        binding = self._bindings.pop(key, None)
        if binding is None:
            return
        for index, subjects in self._subjects(binding):
            for subject in subjects:
                index[subject].pop(key, None)
                if not index[subject]:
                    del index[subject]

    def bindings(self, user: User, namespace: str) -> Iterator[Binding]:
        """Those that bind the user there ("": cluster-wide ones only). May repeat."""
        for found in (self._by_user.get(user.name), *map(self._by_group.get, user.groups)):
            if found:
                for binding in found.values():
                    if binding.namespace in ("", namespace):
                        yield binding

    def rules(self, user: User, namespace: str) -> Iterator[Rule]:
        """Every rule that holds for the user there. May repeat."""
        for binding in self.bindings(user, namespace):
            yield from self._roles.get(binding.role, ())

    def explain(self, user: User, asked: Attributes) -> tuple[bool, str]:
        """May the user, and by which binding (or through which role that is not there may he not)."""
        if self.is_master(user):
            return True, ""
        missing = []
        for binding in self.bindings(user, asked.namespace):
            if any(rule.allows(asked) for rule in self._roles.get(binding.role, ())):
                return True, f"RBAC: allowed by {binding.describe(user)}"
            if binding.role not in self._roles:
                missing.append(f'{binding.role_plural[:-1]}.{GROUP} "{binding.role_name}" not found')
        if not missing:
            return False, ""
        return False, f"RBAC: {missing[0] if len(missing) == 1 else '[' + ', '.join(dict.fromkeys(missing)) + ']'}"

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

    def check_escalation(self, user: User, obj: Object, old: Object | None = None) -> None:
        """A writer of a role must hold every right in it, or the verb `escalate` on it; a writer of a binding every right of
        the role that it binds, or `bind`. A role that gathers others (aggregationRule) needs every right there is. What leaves
        all that as it was passes. Raises Forbidden, NotFound for a role to be bound that is not there."""
        if self.is_master(user) or (old is not None and escalation.same(obj, old)):
            return
        namespace = meta.namespace(obj)
        if obj.get("kind") in _ROLES:
            plural = ROLE.plural if obj["kind"] == ROLE.kind else CLUSTER_ROLE.plural
            if self.allows(user, Attributes("escalate", GROUP, plural, "", namespace, meta.name(obj))):
                return
            held = tuple(self.rules(user, namespace))
            escalation.confirm(user, obj, held, read_rules(obj.get("rules")))
            if escalation.gathers(obj) or escalation.gathers(old):
                escalation.confirm_full(obj, held)
        elif obj.get("kind") in _BINDINGS:
            binding = read_binding(obj)
            if self.allows(user, Attributes("bind", GROUP, binding.role_plural, "", namespace, binding.role_name)):
                return
            rules = self._roles.get(binding.role)
            if rules is None:
                plural = (
                    f"{obj['kind'].lower()}s"  # the binding's, though it is the role that is missing: Kubernetes' words
                )
                details = {"name": binding.role_name, "group": GROUP, "kind": plural}
                raise NotFound(f'{plural}.{GROUP} "{binding.role_name}" not found', details=details)
            escalation.confirm(user, obj, tuple(self.rules(user, namespace)), rules)


def read_binding(obj: Object) -> Binding:
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
            users.add(f"{_ACCOUNT}{subject.get('namespace') or meta.namespace(obj)}:{name}")
    found = obj.get("roleRef")
    role = found if isinstance(found, dict) else {}
    return Binding(
        meta.name(obj),
        meta.namespace(obj),
        frozenset(users),
        frozenset(groups),
        str(role.get("kind", "")),
        str(role.get("name", "")),
    )
