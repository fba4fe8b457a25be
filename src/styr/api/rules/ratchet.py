"""What an update may leave as wrong as it was (CRDValidationRatcheting): a fault in a value that the update does not change is
forgiven. Called by `tree` and by the strategy of custom resources. Pure.

Values are compared where the old one can be told: fields, entries of maps, items of lists by their keys. Inside anything else
the nearest value above that can be told counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from styr.cel.values import equal

_MISSING = object()


class Pair:
    """A value and the one before it, and the nearest such pair above, for what has none before it."""

    __slots__ = ("_equal", "_new", "_old", "_parent")

    def __init__(self, new: Any, old: Any, parent: Pair | None = None) -> None:
        self._new, self._old, self._parent = new, old, parent
        self._equal: bool | None = None

    def unchanged(self) -> bool:
        if self._old is _MISSING:
            return self._parent is not None and self._parent.unchanged()
        if self._equal is None:
            self._equal = equal(self._new, self._old)
        return self._equal

    def above(self) -> Pair:
        """For allOf, which is not compared by itself."""
        return Pair(None, _MISSING, self._parent)

    def key(self, name: str) -> Pair:
        if self._old is _MISSING:
            return self
        if not isinstance(self._old, dict) or name not in self._old:
            return Pair(None, _MISSING, self)
        if self._parent is None and name in ("apiVersion", "kind"):
            return ROOT
        return Pair(self._new.get(name), self._old[name], self)

    def item(self, new: Any, old: Any) -> Pair:
        if self._old is _MISSING:
            return self
        return Pair(None, _MISSING, self) if old is None else Pair(new, old, self)


ROOT = Pair(None, _MISSING)
"""Of a new object: nothing was there before."""


def unchanged(path: str, new: Any, old: Any, schema: Mapping[str, Any]) -> bool:
    """Is what a fault at `path` is about as it was? Walks down as far as both have the step that the path names, and compares
    there. `schema` says how lists are compared."""
    while path:
        step = _step(path, new, schema)
        if step is None:
            break
        rest, below_new, below_old, below_schema = step(old)
        if below_old is _MISSING:
            break
        path, new, old, schema = rest, below_new, below_old, below_schema
    return equal(new, old)


def _step(path: str, value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, list) and path[0] == "[":
        number, _, rest = path[1:].partition("]")
        if not number.isdigit() or int(number) >= len(value):
            return None
        item = value[int(number)]
        return lambda old: (rest.lstrip("."), item, _counterpart(item, old, schema), schema.get("items") or {})
    if not isinstance(value, dict):
        return None
    # A key may have dots in it: the longest one that fits is meant.
    fitting = [key for key in value if path == key or path.startswith((f"{key}.", f"{key}["))]
    if not fitting:
        return None
    key = max(fitting, key=len)
    below = (schema.get("properties") or {}).get(key) or schema.get("additionalProperties")
    return lambda old: (
        path[len(key) :].lstrip("."),
        value[key],
        old.get(key, _MISSING) if isinstance(old, dict) else _MISSING,
        below if isinstance(below, Mapping) else {},
    )


def _counterpart(item: Any, old: Any, schema: Mapping[str, Any]) -> Any:
    keys = schema.get("x-kubernetes-list-map-keys")
    if (
        schema.get("x-kubernetes-list-type") != "map"
        or not keys
        or not isinstance(old, list)
        or not isinstance(item, dict)
    ):
        return _MISSING
    for other in old:
        if isinstance(other, dict) and all(key in item and equal(other.get(key), item[key]) for key in keys):
            return other
    return _MISSING
