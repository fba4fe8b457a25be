"""Fields, keys and methods of values: what `.Name` finds. Called by `execute`. Pure."""

from __future__ import annotations

from typing import Any

from styr.metrics.model.histogram import Histogram
from styr.metrics.rules.templates.values import ANY, Function, GoList, GoMap, Struct

_HISTOGRAM = {
    "CounterResetHint": "counter_reset_hint",
    "Schema": "schema",
    "ZeroThreshold": "zero_threshold",
    "ZeroCount": "zero_count",
    "Count": "count",
    "Sum": "sum",
}
_LISTS = {
    "PositiveBuckets": "positive_buckets",
    "NegativeBuckets": "negative_buckets",
    "CustomValues": "custom_values",
}


class Unknown(Exception):
    """There is no such field."""


def lookup(receiver: Any, name: str) -> tuple[Any, str]:
    """The value, or the method as a Function whose first argument is the receiver; and `interface {}` when it is
    declared so. Raises Unknown."""
    if isinstance(receiver, GoMap):
        method = receiver.methods.get(name)
        if method is not None:
            return method, ""
        return receiver.get(name, receiver.zero), ANY if receiver.elem == ANY else ""
    if isinstance(receiver, Struct):
        if name in receiver.methods:
            return receiver.methods[name], ""
        if name in receiver.fields:
            return receiver.fields[name], ANY if name in receiver.interfaces else ""
    elif isinstance(receiver, GoList) and name in receiver.methods:
        return receiver.methods[name], ""
    elif isinstance(receiver, Histogram):
        return _of_histogram(receiver, name), ""
    raise Unknown(name)


def _of_histogram(histogram: Histogram, name: str) -> Any:
    if name in _HISTOGRAM:
        return getattr(histogram, _HISTOGRAM[name])
    if name in _LISTS:
        return GoList(getattr(histogram, _LISTS[name]), "float64")
    if name == "String":
        from styr.metrics.rules.templates.printing import plain

        return Function(plain)
    raise Unknown(name)
