"""How large each ReplicaSet of a Deployment should be next. Pure; `deployment.py` calls it and writes the sizes.

The rounding is Kubernetes': maxSurge up, maxUnavailable down, and 1 unavailable when both come out as 0. Counts of
available pods are capped by the size already asked for, since a status may be older than the size.
"""

from __future__ import annotations

import math
from typing import Any

from styr.kinds import meta
from styr.kinds.resources import Object

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"


def plan(deployment: Object, new: Object | None, sets: list[Object]) -> dict[str, int]:
    """Size by uid, for every ReplicaSet in `sets`. `new` is the one of the present template, None before it exists."""
    sizes = {meta.uid(rs): size(rs) for rs in sets}
    wanted = replicas(deployment)
    if _resized(deployment, sets):
        return _proportional(deployment, new, sets)
    if paused(deployment):
        return sizes
    old = [rs for rs in sets if new is None or meta.uid(rs) != meta.uid(new)]
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        sizes |= {meta.uid(rs): 0 for rs in old}
        if new is not None and not any(map(size, old)):
            sizes[meta.uid(new)] = wanted
        return sizes
    if new is None:
        return sizes
    grown = _grow(deployment, new, sets)
    if grown != size(new):
        return {**sizes, meta.uid(new): grown}
    return sizes | _shrink(deployment, new, old)


def _grow(deployment: Object, new: Object, sets: list[Object]) -> int:
    """The new one's size: as much as the surge leaves room for, or down to what is wanted."""
    wanted, total = replicas(deployment), sum(map(size, sets))
    room = wanted + surge(deployment) - total
    if size(new) >= wanted:
        return wanted
    return min(wanted, size(new) + max(0, room))


def _shrink(deployment: Object, new: Object, old: list[Object]) -> dict[str, int]:
    """Old sizes: first what is not available anyway, then the oldest, never below the minimum of available pods."""
    minimum = replicas(deployment) - unavailable(deployment)
    sizes = {meta.uid(rs): size(rs) for rs in old}
    total = size(new) + sum(sizes.values())
    budget = total - minimum - (size(new) - available(new))
    for rs in sorted(old, key=age):
        useless = min(max(0, budget), size(rs) - available(rs))
        sizes[meta.uid(rs)] -= useless
        budget -= useless
    spare = available(new) + sum(min(available(rs), sizes[meta.uid(rs)]) for rs in old) - minimum
    budget = min(budget, spare)
    for rs in sorted(old, key=age):
        fewer = min(max(0, budget), sizes[meta.uid(rs)])
        sizes[meta.uid(rs)] -= fewer
        budget -= fewer
    return sizes


def _resized(deployment: Object, sets: list[Object]) -> bool:
    """Was `replicas` changed since these sizes were written?"""
    marks = [meta.annotations(rs).get(DESIRED) for rs in sets if size(rs) > 0]
    return any(mark is not None and mark != str(replicas(deployment)) for mark in marks)


def _proportional(deployment: Object, new: Object | None, sets: list[Object]) -> dict[str, int]:
    """A change of `replicas` in the middle of a rollout is spread over all sizes, so that the mix stays what it was.
    What rounding leaves over goes to the largest."""
    active = [rs for rs in sets if size(rs) > 0]
    sizes = {meta.uid(rs): size(rs) for rs in sets}
    wanted = replicas(deployment)
    if len(active) <= 1:
        only = active[0] if active else new
        return sizes | ({meta.uid(only): wanted} if only is not None else {})
    if new is not None and size(new) >= _marked(new, DESIRED) and available(new) >= size(new):
        return sizes | {meta.uid(rs): 0 for rs in active} | {meta.uid(new): wanted}
    allowed = wanted + surge(deployment) if wanted > 0 else 0
    change = allowed - sum(map(size, active))
    left = change
    active.sort(key=lambda rs: (-size(rs), [-ord(letter) for letter in age(rs)[0]], meta.name(rs)))
    for rs in active:
        share = round(size(rs) * allowed / max(1, _marked(rs, MAX))) - size(rs)
        step = max(min(share, left), 0) if change > 0 else min(max(share, left), 0)
        sizes[meta.uid(rs)] = size(rs) + step
        left -= step
    first = meta.uid(active[0])
    sizes[first] = max(0, sizes[first] + left)
    return sizes


def _marked(rs: Object, name: str) -> int:
    text = meta.annotations(rs).get(name, "")
    return int(text) if text.isdecimal() else size(rs)


# what the objects say


def replicas(deployment: Object) -> int:
    wanted = deployment["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def size(rs: Object) -> int:
    wanted = rs["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def available(rs: Object) -> int:
    return min(size(rs), int((rs.get("status") or {}).get("availableReplicas") or 0))


def observed(rs: Object) -> bool:
    """Has its controller seen the present spec?"""
    return int((rs.get("status") or {}).get("observedGeneration") or 0) >= int(meta.metadata(rs).get("generation") or 0)


def paused(deployment: Object) -> bool:
    return bool(deployment["spec"].get("paused"))


def age(rs: Object) -> tuple[str, str]:
    """Sorts the oldest first."""
    return str(meta.metadata(rs).get("creationTimestamp", "")), meta.name(rs)


def surge(deployment: Object) -> int:
    """Pods above `replicas` that a rollout may have."""
    return _limits(deployment)[0]


def unavailable(deployment: Object) -> int:
    """Pods below `replicas` that a rollout may lack."""
    return min(_limits(deployment)[1], replicas(deployment))


def _limits(deployment: Object) -> tuple[int, int]:
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, 0
    given = strategy.get("rollingUpdate") or {}
    wanted = replicas(deployment)
    more = scaled(given.get("maxSurge", "25%"), wanted, up=True)
    fewer = scaled(given.get("maxUnavailable", "25%"), wanted, up=False)
    return more, (1 if more == fewer == 0 else fewer)


def scaled(value: Any, of: int, *, up: bool) -> int:
    """A count, or a percentage of `of`."""
    text = str(value)
    if text.endswith("%"):
        exact = of * int(text[:-1])
        return math.ceil(exact / 100) if up else exact // 100
    return int(text)
