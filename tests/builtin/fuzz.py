"""Objects of every built-in kind, by chance: `thing` makes one from the types, `mutate` changes a given one in a few places.

Deterministic from the `Random` that is handed in. Values come from pools by the field's name (`pools`), good ones before bad
ones, so that objects get past the first rule of their kind.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from styr.api.builtin import types
from styr.api.builtin.types import Field, Type
from tests.builtin.pools import AMOUNTS, BY_KIND, LABELS, NAMES, POOLS, RESOURCES

LEFT_OUT = ("managedFields", "ownerReferences", "selfLink", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
            "deletionGracePeriodSeconds", "generation", "finalizers", "status")  # fmt: skip
_FITS: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str),
    "int32": lambda v: isinstance(v, int) and abs(v) < 1 << 31,
    "int64": lambda v: isinstance(v, int),
    "intorstring": lambda v: isinstance(v, int | str),
    "quantity": lambda v: isinstance(v, str),
}


class Fuzz:
    """`good`: how often the first half of a pool is drawn from."""

    def __init__(self, source: random.Random, good: float = 0.8) -> None:
        self.random = source
        self.good = good

    def thing(self, made: Type, depth: int = 0, share: float = 0.35) -> dict[str, Any]:
        """A structure with some of its fields."""
        types.ready(made)
        found: dict[str, Any] = {}
        for name, field in made.fields.items():
            if name in LEFT_OUT or depth > 9:
                continue
            if self.random.random() < (0.95 if field.keep and not field.pointer else share):
                found[name] = self.field(name, field, depth + 1, share)
        return found

    def field(self, name: str, field: Field, depth: int, share: float) -> Any:
        if field.many == "{}":
            return self._table(name, field, depth, share)
        if field.many == "[]":
            return [self._one(name, field, depth, share) for _ in range(self.random.choice((1, 1, 1, 2, 2, 0)))]
        return self._one(name, field, depth, share)

    def _table(self, name: str, field: Field, depth: int, share: float) -> dict[str, Any]:
        if field.kind == "quantity":
            return {self.pick(RESOURCES): self.pick(AMOUNTS) for _ in range(self.random.randint(1, 2))}
        if field.kind == "string":
            keys = list(LABELS)
            chosen = keys[:2] if self.random.random() < self.good else self.random.sample(keys, 2)
            return {key: LABELS[key] for key in chosen[: self.random.randint(1, 2)]}
        return {self.pick(NAMES) or "x": self._one(name, field, depth, share) for _ in range(self.random.randint(1, 2))}

    def _one(self, name: str, field: Field, depth: int, share: float) -> Any:
        if field.type is not None:
            return self.thing(field.type, depth, share)
        fit = _FITS.get(field.kind)
        pool = [value for value in POOLS.get(name, ()) if fit is not None and fit(value)]
        return self.pick(pool or BY_KIND[field.kind])

    def pick(self, pool: list[Any]) -> Any:
        if self.random.random() < self.good:
            pool = pool[: max(1, (len(pool) + 1) // 2)]
        return copy.deepcopy(self.random.choice(pool))

    def mutate(self, obj: dict[str, Any], made: Type, times: int = 1) -> dict[str, Any]:
        """A copy with fields set, changed, doubled or taken away, anywhere below."""
        new = copy.deepcopy(obj)
        for _ in range(times):
            self._step(new, made, top=True)
        return new

    def _step(self, value: dict[str, Any], made: Type, top: bool = False) -> None:
        types.ready(made)
        below = [
            (name, field)
            for name, field in made.fields.items()
            if field.type is not None and value.get(name) and name not in LEFT_OUT
        ]
        if below and self.random.random() < (0.93 if top else 0.72):
            self._below(value, *self.random.choice(below))
            return
        known = [name for name in made.fields if name not in LEFT_OUT]
        if not known:
            return
        present = [name for name in known if name in value]
        if present and self.random.random() < 0.3:
            del value[self.random.choice(present)]
            return
        name = self.random.choice(present if present and self.random.random() < 0.5 else known)
        value[name] = Fuzz(self.random, 0.5).field(name, made.fields[name], 1, 0.4)

    def _below(self, value: dict[str, Any], name: str, field: Field) -> None:
        child = value[name]
        if field.many == "[]":
            if self.random.random() < 0.12:
                child.append(copy.deepcopy(self.random.choice(child)))
                return
            child = self.random.choice(child)
        elif field.many:
            child = self.random.choice(list(child.values()))
        assert field.type is not None
        if isinstance(child, dict):
            self._step(child, field.type)
