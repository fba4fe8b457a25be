"""The plugins of admission, in Kubernetes' order, and the way of a write through them.

The verbs take the `Stage` of what they do from the `Chain` (None when no plugin wants to see it, which costs one look into a
dict) and call it within the store's write function: `mutate` before the rules of the kind, `validate` after them. So what a
plugin sees in the transaction is exact, and what it writes there is stored or dropped with the object.

A plugin that has to ask somebody outside (a webhook) cannot wait there. It raises `Pending`: the write function ends with
nothing changed, `verbs.admit` has the question answered, and runs the function again, where the plugin finds the answer in
`Attributes.replies` under what it asked: the objects themselves. Had the old object changed meanwhile, the question would be
another one, and is asked anew. So a commit always rests on answers about the very objects that it replaces and stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from styr.api.admission.attributes import Attributes, Operation
from styr.api.store.commit import Txn

if TYPE_CHECKING:
    from styr.api.registry import ServedResource


class Plugin(Protocol):
    """Both methods run in the write path: they must not wait, and may be called again for the same request. On a dry run
    they write nothing. They raise ApiError to refuse."""

    name: str
    waits: bool
    """Does it ever raise Pending?"""

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        """Asked once, and again after `Chain.forget`."""
        ...

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None: ...

    def validate(self, attributes: Attributes, txn: Txn, /) -> None: ...


class Base:
    """A plugin that does nothing, to build on."""

    name = ""
    waits = False

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return False

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None: ...

    def validate(self, attributes: Attributes, txn: Txn, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """The plugins that want to see one operation on one resource."""

    plugins: tuple[Plugin, ...]

    @property
    def waits(self) -> bool:
        return any(plugin.waits for plugin in self.plugins)

    def mutate(self, attributes: Attributes, txn: Txn) -> None:
        for plugin in self.plugins:
            plugin.mutate(attributes, txn)
        if attributes.reinvoke:
            attributes.second = True
            for plugin in self.plugins:
                plugin.mutate(attributes, txn)

    def validate(self, attributes: Attributes, txn: Txn) -> None:
        for plugin in self.plugins:
            plugin.validate(attributes, txn)


class Chain:
    """`plugins` in the order in which they are asked."""

    def __init__(self, plugins: Iterable[Plugin] = ()) -> None:
        self.plugins = tuple(plugins)
        self._stages: dict[tuple[Operation, str, str], Stage | None] = {}

    def stage(self, operation: Operation, served: ServedResource, subresource: str = "") -> Stage | None:
        key = (operation, served.key, subresource)
        try:
            return self._stages[key]
        except KeyError:
            found = tuple(p for p in self.plugins if p.handles(operation, served, subresource))
            stage = self._stages[key] = Stage(found) if found else None
            return stage

    def waits(self, served: ServedResource, subresource: str = "") -> bool:
        """May a write of this resource have to wait for somebody outside?"""
        operations: tuple[Operation, ...] = ("CREATE", "UPDATE", "DELETE", "CONNECT")
        stages = (self.stage(operation, served, subresource) for operation in operations)
        return any(stage is not None and stage.waits for stage in stages)

    def forget(self) -> None:
        """After a change of what plugins want to see: a configuration came or went."""
        self._stages.clear()
