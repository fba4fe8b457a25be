"""Conditions in a status: set one, find one. The transition time moves only when the status does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def find(conditions: Sequence[Mapping[str, Any]] | None, kind: str) -> Mapping[str, Any] | None:
    return next((condition for condition in conditions or () if condition.get("type") == kind), None)


def is_true(obj: Mapping[str, Any], kind: str) -> bool:
    """Does `status.conditions` say this?"""
    condition = find((obj.get("status") or {}).get("conditions"), kind)
    return condition is not None and condition.get("status") == "True"


def put(
    conditions: Sequence[Mapping[str, Any]] | None,
    kind: str,
    status: bool | None,
    *,
    now: str,
    reason: str,
    message: str = "",
    generation: int | None = None,
) -> list[dict[str, Any]]:
    """A new list with this condition in place; order is kept. `status=None` is Unknown. `now` is RFC 3339."""
    word = {True: "True", False: "False", None: "Unknown"}[status]
    old = find(conditions, kind)
    new: dict[str, Any] = {
        "type": kind,
        "status": word,
        "lastTransitionTime": old["lastTransitionTime"] if old and old.get("status") == word else now,
        "reason": reason,
        "message": message,
    }
    if generation is not None:
        new["observedGeneration"] = generation
    result = [new if condition.get("type") == kind else dict(condition) for condition in conditions or ()]
    return result if old else [*result, new]
