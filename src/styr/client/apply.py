"""What must change so that an object has what is wanted of it. Pure; `Context.apply_children` and controllers call it.

Servers add defaults, and other writers own fields of their own: a wanted object names only what its controller cares for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def covers(have: Any, want: Any) -> bool:
    """Does `have` hold everything that `want` says? Maps may hold more; lists must have the same length, item by item.
    A wanted None means absent, and an absent list or value is an empty one: servers leave them out."""
    if have is None and not isinstance(want, Mapping):
        return not want
    if isinstance(want, Mapping):
        return isinstance(have, Mapping) and all(
            have.get(key) is None if value is None else covers(have.get(key), value) for key, value in want.items()
        )
    if isinstance(want, Sequence) and not isinstance(want, str):
        if not isinstance(have, Sequence) or isinstance(have, str):
            return False
        return len(have) == len(want) and all(covers(h, w) for h, w in zip(have, want, strict=True))
    if isinstance(want, bool) or isinstance(have, bool):
        return have is want
    return bool(have == want)


def same(have: Any, want: Any) -> bool:
    """Are they equal, but for what is empty?"""
    return covers(have, want) and not _more(have, want)


def _more(have: Any, want: Any) -> bool:
    """Has `have`, which covers `want`, anything that it does not say?"""
    if isinstance(have, Mapping):
        known = want if isinstance(want, Mapping) else {}
        return any(_more(value, known.get(key)) for key, value in have.items())
    if isinstance(have, Sequence) and isinstance(want, Sequence) and not isinstance(have, str):
        return any(_more(h, w) for h, w in zip(have, want, strict=True))
    return bool(have) and want is None


def difference(want: Mapping[str, Any], have: Mapping[str, Any] | None) -> dict[str, Any]:
    """The smallest merge patch (RFC 7396) after which `have` covers `want`; {} when it does already."""
    patch: dict[str, Any] = {}
    current = have or {}
    for key, value in want.items():
        there = current.get(key)
        if value is None:
            if there is not None:
                patch[key] = None
        elif isinstance(value, Mapping) and isinstance(there, Mapping):
            if inner := difference(value, there):
                patch[key] = inner
        elif not covers(there, value):
            patch[key] = value
    return patch


def wanted_parts(want: Mapping[str, Any]) -> dict[str, Any]:
    """What of a wanted child is compared: all but its identity and its status."""
    skipped = ("apiVersion", "kind", "metadata", "status")
    parts = {key: value for key, value in want.items() if key not in skipped}
    given = want.get("metadata") or {}
    kept = {key: given[key] for key in ("labels", "annotations", "finalizers") if given.get(key)}
    return {**parts, "metadata": kept} if kept else parts
