"""The webhooks that configurations name, in the order in which they are asked, and whether one means a request.

Follows the store from its write path. Called by the two plugins. Order: by name of the configuration, then as listed in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from styr.api.admission.attributes import Attributes
from styr.api.admission.webhooks import rules
from styr.api.registry import Registry, ServedResource
from styr.api.store.commit import Store, Txn
from styr.api.store.records import Change, ObjectKey
from styr.kinds import selectors
from styr.kinds.resources import NAMESPACE, Object
from styr.kinds.selectors import Selector

EXEMPT = "admissionregistration.k8s.io"
"""Nothing that a configuration or policy says holds for configurations and policies: the way out of a broken one."""


class Conditions(Protocol):
    """`matchConditions` of one webhook, compiled. Raises ApiError when they cannot be evaluated."""

    def __call__(self, attributes: Attributes, served: ServedResource, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook. `spec` is its entry in the configuration."""

    configuration: str
    uid: str
    version: str
    """The resourceVersion of the configuration."""
    index: int
    spec: Object
    namespace_selector: Selector
    object_selector: Selector
    conditions: Conditions | None = None

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def identity(self) -> str:
        return f"{self.uid}/{self.version}/{self.index}"

    @property
    def fails_open(self) -> bool:
        return self.spec.get("failurePolicy") == "Ignore"

    @property
    def timeout(self) -> float:
        return float(self.spec.get("timeoutSeconds", 10))


class Hooks:
    """Those of one kind of configuration (`key` is its group resource). `compile` makes conditions; `changed` runs after
    each change."""

    def __init__(
        self,
        key: str,
        registry: Registry,
        compile: Callable[[Sequence[Object]], Conditions] | None = None,
    ) -> None:
        self._key = key
        self._registry = registry
        self._compile = compile
        self._configurations: dict[str, list[Hook]] = {}
        self._changed: Callable[[], None] = lambda: None
        self.all: tuple[Hook, ...] = ()

    def follow(self, store: Store, changed: Callable[[], None]) -> None:
        """Loads what is there and follows every later change."""
        self._changed = changed
        for (_, name), record in store.state(self._key).items():
            self._configurations[name] = list(self._read(record.decode()))
        self._order()
        store.on_commit(self._see)

    def _see(self, changes: Iterable[Change]) -> None:
        touched = False
        for change in changes:
            if change.key.resource == self._key:
                touched = True
                if change.new is None:
                    self._configurations.pop(change.key.name, None)
                else:
                    self._configurations[change.key.name] = list(self._read(change.new.decode()))
        if touched:
            self._order()

    def _order(self) -> None:
        self.all = tuple(hook for name in sorted(self._configurations) for hook in self._configurations[name])
        self._changed()

    def _read(self, configuration: Object) -> Iterable[Hook]:
        meta = configuration["metadata"]
        for index, spec in enumerate(configuration.get("webhooks") or ()):
            conditions = spec.get("matchConditions")
            yield Hook(
                meta["name"],
                meta["uid"],
                meta["resourceVersion"],
                index,
                spec,
                selectors.from_object(spec.get("namespaceSelector")),
                selectors.from_object(spec.get("objectSelector")),
                self._conditions(conditions) if conditions else None,
            )

    def _conditions(self, conditions: Sequence[Object]) -> Conditions:
        return self._compile(conditions) if self._compile else _unknown

    def may_match(self, operation: str, served: ServedResource, subresource: str) -> bool:
        """Is there one that might mean such a request?"""
        resource = served.resource
        return resource.group != EXEMPT and any(
            rules.may_match(rule, operation, resource.group, resource.plural, subresource)
            for hook in self.all
            for rule in hook.spec.get("rules") or ()
        )

    def meaning(self, attributes: Attributes, txn: Txn) -> Iterable[tuple[Hook, ServedResource]]:
        """The hooks that mean this request, each with the resource in the version that it wants to see. Lazily: a mutation
        by one may change whether the next is meant."""
        for hook in self.all:
            found = self._version(hook, attributes)
            if (
                found is not None
                and _in_namespace(hook, attributes, txn)
                and _is_selected(hook, attributes)
                and (hook.conditions is None or hook.conditions(attributes, found))
            ):
                yield hook, found

    def _version(self, hook: Hook, attributes: Attributes) -> ServedResource | None:
        asked = attributes.served
        if any(self._rule_matches(rule, attributes, asked) for rule in hook.spec.get("rules") or ()):
            return asked
        if hook.spec.get("matchPolicy", "Equivalent") != "Equivalent":
            return None
        others = [s for s in self._registry.versions(asked.key) if s.resource.version != asked.resource.version]
        for rule in hook.spec.get("rules") or ():
            for other in others:
                if self._rule_matches(rule, attributes, other):
                    return other
        return None

    def _rule_matches(self, rule: Any, attributes: Attributes, served: ServedResource) -> bool:
        resource = served.resource
        return rules.matches(
            rule,
            attributes.operation,
            resource.group,
            resource.version,
            resource.plural,
            attributes.subresource,
            resource.namespaced,
        )


def _unknown(attributes: Attributes, served: ServedResource) -> bool:
    raise attributes.forbidden("the matchConditions of a webhook cannot be evaluated: this server has no CEL")


def _in_namespace(hook: Hook, attributes: Attributes, txn: Txn) -> bool:
    """Cluster-scoped objects are in no namespace and always meant, but a Namespace counts as in itself."""
    if not hook.namespace_selector:
        return True
    if attributes.key == NAMESPACE.group_resource:
        if attributes.object is not None and not attributes.subresource:
            return selectors.matches(hook.namespace_selector, _labels(attributes.object))
        name = attributes.name
    elif attributes.namespace:
        name = attributes.namespace
    else:
        return True
    record = txn.get(ObjectKey(NAMESPACE.group_resource, "", name))
    return record is not None and selectors.matches(hook.namespace_selector, _labels(record.decode()))


def _is_selected(hook: Hook, attributes: Attributes) -> bool:
    if not hook.object_selector:
        return True
    return any(
        obj is not None and selectors.matches(hook.object_selector, _labels(obj))
        for obj in (attributes.object, attributes.old)
    )


def _labels(obj: Object) -> dict[str, str]:
    labels = (obj.get("metadata") or {}).get("labels")
    return labels if isinstance(labels, dict) else {}
