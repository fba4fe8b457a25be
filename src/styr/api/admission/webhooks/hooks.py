"""The webhooks that configurations name, in the order in which they are asked, and whether one means a request.

Follows the store from its write path. Called by the two plugins. Order: by name of the configuration, then as listed in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from styr.api.admission import rules
from styr.api.admission.attributes import Attributes
from styr.api.registry import Registry, ServedResource
from styr.api.store.commit import Store, Txn
from styr.api.store.records import Change, ObjectKey
from styr.kinds import selectors
from styr.kinds.resources import NAMESPACE, Object
from styr.kinds.selectors import Selector

if TYPE_CHECKING:
    from styr.api.admission.session import Allows

EXEMPT = "admissionregistration.k8s.io"
"""Nothing that a configuration or policy says holds for configurations and policies: the way out of a broken one."""


class Conditions:
    """`matchConditions` of one webhook, compiled when they are first asked."""

    def __init__(self, spec: Object, allows: Allows) -> None:
        self._spec = spec
        self._allows = allows

    @cached_property
    def _compiled(self) -> Any:
        from styr.api.admission import session

        return session.for_webhook(self._spec)

    def hold(self, attributes: Attributes, served: ServedResource, txn: Txn) -> bool:
        """Raises Forbidden when they cannot be evaluated and the webhook must be asked."""
        from styr.api.expressions.compiler import ExpressionError

        try:
            return bool(self._compiled.hold(attributes, served, txn, self._allows))
        except ExpressionError as error:
            raise attributes.forbidden(str(error)) from None


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
    """Those of one kind of configuration (`key` is its group resource). `allows` is asked by match conditions."""

    def __init__(
        self,
        key: str,
        registry: Registry,
        allows: Allows,
    ) -> None:
        self._key = key
        self._registry = registry
        self._allows = allows
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
            yield Hook(
                meta["name"],
                meta["uid"],
                meta["resourceVersion"],
                index,
                spec,
                selectors.from_object(spec.get("namespaceSelector")),
                selectors.from_object(spec.get("objectSelector")),
                Conditions(spec, self._allows) if spec.get("matchConditions") else None,
            )

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
            equivalent = hook.spec.get("matchPolicy", "Equivalent") == "Equivalent"
            found = rules.meant(hook.spec.get("rules") or (), attributes, self._registry, equivalent=equivalent)
            if (
                found is not None
                and in_namespace(hook.namespace_selector, attributes, txn)
                and is_selected(hook.object_selector, attributes)
                and (hook.conditions is None or hook.conditions.hold(attributes, found, txn))
            ):
                yield hook, found


def in_namespace(selector: Selector, attributes: Attributes, txn: Txn) -> bool:
    """Cluster-scoped objects are in no namespace and always meant, but a Namespace counts as in itself."""
    if not selector:
        return True
    if attributes.key == NAMESPACE.group_resource:
        if attributes.object is not None and not attributes.subresource:
            return selectors.matches(selector, _labels(attributes.object))
        name = attributes.name
    elif attributes.namespace:
        name = attributes.namespace
    else:
        return True
    record = txn.get(ObjectKey(NAMESPACE.group_resource, "", name))
    return record is not None and selectors.matches(selector, _labels(record.decode()))


def is_selected(selector: Selector, attributes: Attributes) -> bool:
    """The new object or the old one."""
    if not selector:
        return True
    return any(
        obj is not None and selectors.matches(selector, _labels(obj)) for obj in (attributes.object, attributes.old)
    )


def _labels(obj: Object) -> dict[str, str]:
    labels = (obj.get("metadata") or {}).get("labels")
    return labels if isinstance(labels, dict) else {}
