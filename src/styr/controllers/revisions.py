"""Revisions: the templates that a DaemonSet has had, each kept as a ControllerRevision. Pure; the controllers write.

A revision holds a patch of the template, in Kubernetes' own form, so that kubectl can show it and go back to it. A
template that comes back is the old revision again, under a higher number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from styr.controllers.naming import child_name, digest
from styr.kinds import meta
from styr.kinds.resources import Object

HASH = "controller-revision-hash"
DEFAULT_LIMIT = 10


def data(owner: Object) -> Object:
    """What a revision holds: a strategic merge patch that makes the template this one. In order of its keys: kube-apiserver
    compares the bytes, and takes any other order for a change."""
    found: Object = _ordered({"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}})
    return found


def current(owner: Object, history: Iterable[Object]) -> Object | None:
    """The revision of today's template: of several the newest."""
    wanted = data(owner)
    return max((each for each in history if each.get("data") == wanted), key=number, default=None)


def new(owner: Object, history: Iterable[Object]) -> Object:
    """A revision of today's template, but for its owner."""
    known = list(history)
    text = digest(data(owner), _collisions(owner), length=10)
    labels = meta.labels(owner["spec"]["template"])
    return {
        "metadata": {"name": child_name(meta.name(owner), text), "labels": {**labels, HASH: text}},
        "data": data(owner),
        "revision": highest(known) + 1,
    }


def number(revision: Mapping[str, Any]) -> int:
    return int(revision.get("revision") or 0)


def highest(history: Iterable[Object]) -> int:
    return max(map(number, history), default=0)


def hash_of(obj: Mapping[str, Any]) -> str:
    """Of a revision, or of a pod that was made from one."""
    return meta.labels(obj).get(HASH, "")


def surplus(owner: Object, history: list[Object], live: set[str]) -> list[Object]:
    """Old revisions beyond the limit, oldest first; those of which there are pods (`live` are hashes) stay."""
    limit = owner["spec"].get("revisionHistoryLimit")
    now = current(owner, history)
    old = [each for each in history if each is not now and hash_of(each) not in live]
    many = len(old) - (DEFAULT_LIMIT if limit is None else int(limit))
    return sorted(old, key=number)[: max(0, many)]


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def _collisions(owner: Object) -> int:
    return int((owner.get("status") or {}).get("collisionCount") or 0)
