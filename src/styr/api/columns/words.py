"""What the cells of many kinds are made of: fields at a path, labels, selectors, containers, ages. Called by the files of
this package. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from styr.api.durations import age
from styr.kinds.resources import Object

Cells = Callable[[Object, float], list[Any]]
"""The cells of one object, at a time in seconds since 1970."""

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"


def at(obj: Any, path: str, default: Any = "") -> Any:
    """The value at a dotted path; `default` where there is none, or null."""
    for step in path.split("."):
        obj = obj.get(step) if isinstance(obj, Mapping) else None
    return default if obj is None else obj


def number(obj: Object, path: str) -> int:
    return int(at(obj, path, 0))


def born(obj: Object, now: float) -> str:
    return age(at(obj, "metadata.creationTimestamp", None), now)


def name(obj: Object) -> str:
    return str(at(obj, "metadata.name"))


def labels(found: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(found.items())) or NONE


def selector(found: Mapping[str, Any] | None) -> str:
    """A LabelSelector in words, by key."""
    terms = [(key, f"{key}={value}") for key, value in ((found or {}).get("matchLabels") or {}).items()]
    for entry in (found or {}).get("matchExpressions") or ():
        key, values = entry["key"], ",".join(sorted(entry.get("values") or ()))
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append((key, words.get(entry["operator"], f"!{key}")))
    return ",".join(text for _, text in sorted(terms, key=lambda term: term[0])) or NONE


def containers(spec: Any) -> list[str]:
    """Names and images."""
    found = at(spec, "containers", ())
    return [",".join(str(at(each, field)) for each in found) for field in ("name", "image")]


def condition(obj: Object, kind: str) -> str:
    """The status of a condition, "" when there is none of that type."""
    return next((str(at(each, "status")) for each in at(obj, "status.conditions", ()) if each.get("type") == kind), "")


def some(found: Sequence[str], most: int, nothing: str) -> str:
    """The first of them, and how many more there are."""
    text = ",".join(found[:most])
    return f"{text} + {len(found) - most} more..." if len(found) > most else text or nothing


def counted(*paths: str) -> Cells:
    """Name, how many there are at these paths, age."""
    return lambda obj, now: [name(obj), sum(len(at(obj, path, ())) for path in paths), born(obj, now)]


def plain(*paths: str) -> Cells:
    """Name, the texts at these paths, age."""
    return lambda obj, now: [name(obj), *(at(obj, path) for path in paths), born(obj, now)]


def joined(texts: Iterable[str], between: str = ",") -> str:
    return between.join(texts)
