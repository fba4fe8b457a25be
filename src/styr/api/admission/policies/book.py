"""The policies of one kind and their bindings. Follows the store from its write path. Called by the plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from styr.api.admission.attributes import Attributes
from styr.api.admission.policies.matching import Match
from styr.api.registry import Registry, ServedResource
from styr.api.store.commit import Store, Txn
from styr.api.store.records import Change
from styr.kinds.resources import Object, Resource

if TYPE_CHECKING:
    from styr.api.admission.policies.compiled import Compiled


class Policy:
    """`compiled` at the first request that it means."""

    def __init__(self, obj: Object) -> None:
        self.name: str = obj["metadata"]["name"]
        self.spec: Object = obj["spec"]
        self.match = Match.of(self.spec.get("matchConstraints") or {})

    @cached_property
    def compiled(self) -> Compiled:
        from styr.api.admission.policies.compiled import Compiled

        return Compiled(self.spec)

    @property
    def fails_open(self) -> bool:
        return self.spec.get("failurePolicy") == "Ignore"

    @property
    def param_kind(self) -> Any:
        return self.spec.get("paramKind")


@dataclass(frozen=True, slots=True)
class Binding:
    name: str
    spec: Object
    match: Match | None

    @classmethod
    def of(cls, obj: Object) -> Binding:
        spec = obj["spec"]
        resources = spec.get("matchResources")
        return cls(obj["metadata"]["name"], spec, None if resources is None else Match.of(resources))

    @property
    def param_ref(self) -> Any:
        return self.spec.get("paramRef")


class Book:
    """By name: policies, and the bindings of each."""

    def __init__(self, policies: Resource, bindings: Resource, registry: Registry) -> None:
        self._keys = (policies.group_resource, bindings.group_resource)
        self.registry = registry
        self._policies: dict[str, Policy] = {}
        self._bindings: dict[str, Binding] = {}
        self._changed: Callable[[], None] = lambda: None
        self.all: tuple[tuple[Policy, tuple[Binding, ...]], ...] = ()
        """Those that have a binding."""

    def follow(self, store: Store, changed: Callable[[], None]) -> None:
        """Loads what is there and follows every later change. `changed` runs after each."""
        self._changed = changed
        policies, bindings = self._keys
        for (_, name), record in store.state(policies).items():
            self._policies[name] = Policy(record.decode())
        for (_, name), record in store.state(bindings).items():
            self._bindings[name] = Binding.of(record.decode())
        self._order()
        store.on_commit(self._see)

    def _see(self, changes: Iterable[Change]) -> None:
        touched = False
        for change in changes:
            if change.key.resource not in self._keys:
                continue
            touched = True
            name, obj = change.key.name, None if change.new is None else change.new.decode()
            if change.key.resource == self._keys[0]:
                self._keep(name, obj)
            elif obj is None:
                self._bindings.pop(name, None)
            else:
                self._bindings[name] = Binding.of(obj)
        if touched:
            self._order()

    def _keep(self, name: str, obj: Object | None) -> None:
        """A policy of which only metadata or status changed stays compiled."""
        known = self._policies.get(name)
        if obj is None:
            self._policies.pop(name, None)
        elif known is None or known.spec != obj["spec"]:
            self._policies[name] = Policy(obj)

    def _order(self) -> None:
        bound: dict[str, list[Binding]] = {}
        for name in sorted(self._bindings):
            binding = self._bindings[name]
            bound.setdefault(binding.spec.get("policyName", ""), []).append(binding)
        self.all = tuple(
            (policy, tuple(bound[name])) for name, policy in sorted(self._policies.items()) if name in bound
        )
        self._changed()

    def may_match(self, operation: str, served: ServedResource, subresource: str) -> bool:
        return any(policy.match.may_match(operation, served, subresource) for policy, _ in self.all)

    def meaning(self, attributes: Attributes, txn: Txn) -> Iterator[tuple[Policy, ServedResource, list[Binding]]]:
        """The policies that mean a request, in the version that each wants to see, with those of their bindings that do."""
        for policy, bindings in self.all:
            served = policy.match.meant(attributes, txn, self.registry)
            if served is None:
                continue
            meant = [
                binding
                for binding in bindings
                if binding.match is None or binding.match.meant(attributes, txn, self.registry) is not None
            ]
            if meant:
                yield policy, served, meant
