"""Resources of a whole pod (`spec.resources`): what its containers come to, and what is filled in from that.

Called by `conditional`. Pure. Amounts are quantities as texts; sums keep the style of their first part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from styr.api.builtin import quantity
from styr.kinds import quantities

Amounts = dict[str, str]


def default(spec: dict[str, Any]) -> None:
    """Fills in the pod's own requests and limits where it has some already."""
    own = spec.get("resources")
    if not own or not (own.get("limits") or own.get("requests")):
        return
    limits = dict(own.get("limits") or {})
    for name, amount in total(spec, "limits").items():
        if name.startswith("hugepages-") and name not in (own.get("requests") or {}):
            limits.setdefault(name, amount)
    if limits:
        own["limits"] = limits
    if not limits:
        return
    requests = dict(own.get("requests") or {})
    for name, amount in total(spec, "requests").items():
        if name in ("cpu", "memory"):
            requests.setdefault(name, amount)
    for name, amount in limits.items():
        if name in ("cpu", "memory") or name.startswith("hugepages-"):
            requests.setdefault(name, amount)
    if requests:
        own["requests"] = requests


def total(spec: dict[str, Any], field: str) -> Amounts:
    """What the containers need together: all that run beside each other, or an init container with the sidecars that
    were started before it, whichever is more."""
    running = _sum(_amounts(container, field) for container in spec.get("containers") or ())
    sidecars: Amounts = {}
    first: Amounts = {}
    for container in spec.get("initContainers") or ():
        wanted = _amounts(container, field)
        if container.get("restartPolicy") == "Always":
            running, sidecars = _sum([running, wanted]), _sum([sidecars, wanted])
            wanted = sidecars
        else:
            wanted = _sum([wanted, sidecars])
        first = _most(first, wanted)
    return _most(running, first)


def _amounts(container: dict[str, Any], field: str) -> Amounts:
    found: Amounts = (container.get("resources") or {}).get(field) or {}
    return found


def _sum(parts: Iterable[Amounts]) -> Amounts:
    found: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            found[name] = quantity.add(found[name], amount) if name in found else amount
    return found


def _most(one: Amounts, other: Amounts) -> Amounts:
    found = dict(one)
    for name, amount in other.items():
        if name not in found or quantities.parse(amount) > quantities.parse(found[name]):
            found[name] = amount
    return found
