"""The node ports of Services: handed out from 30000-32767, one number to one Service, kept while it wants them. Pure.

Called by `service`. Nothing listens there: traffic goes through the gateway; the number is a name that stays, as in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from styr.api.strategies.base import invalid
from styr.kinds.errors import Cause, InternalError
from styr.kinds.resources import Object

RANGE = range(30000, 32768)
Spec = Mapping[str, Any]


def wanted(spec: Spec) -> bool:
    """A LoadBalancer has them too, unless it says that it needs none."""
    kind = spec.get("type", "ClusterIP")
    return kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def held(obj: Object) -> set[int]:
    return {port["nodePort"] for port in obj.get("spec", {}).get("ports") or () if port.get("nodePort")}


def lacks(spec: Spec, mine: set[int]) -> bool:
    """Whether a number is asked for, or needed, that this Service has not got yet."""
    numbers = [port.get("nodePort") for port in spec.get("ports") or ()]
    return any(number not in mine if number else wanted(spec) for number in numbers)


def carry_over(new: Spec, old: Spec) -> None:
    """A PUT that leaves them out keeps them, by the ports' names; one that no longer has them, and says nothing, gives them
    back."""
    before = {port.get("name", ""): port.get("nodePort") for port in old.get("ports") or ()}
    for port in new.get("ports") or ():
        if not isinstance(port, dict):
            continue
        kept = before.get(port.get("name", ""))
        if wanted(new) and kept and not port.get("nodePort"):
            port["nodePort"] = kept
        elif not wanted(new) and wanted(old) and port.get("nodePort") == kept:
            port.pop("nodePort", None)


def allocate(spec: Spec, mine: set[int], others: Iterable[set[int]]) -> list[Cause]:
    """Gives every port that has none the number after the highest in use. `mine` are those that this Service has already.
    Returns what is wrong with those that were asked for."""
    taken = set().union(*others)
    if faults := list(_faults(spec, mine, taken)):
        return faults
    if wanted(spec):
        asked = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                port["nodePort"] = _free(taken | asked)
                asked.add(port["nodePort"])
    return []


def _faults(spec: Spec, mine: set[int], taken: set[int]) -> Iterable[Cause]:
    seen: set[tuple[int, str]] = set()
    for index, port in enumerate(spec.get("ports") or ()):
        number = port.get("nodePort")
        if not number:
            continue
        field, value = f"spec.ports[{index}].nodePort", f"Invalid value: {number}"
        if not wanted(spec):
            yield invalid(field, f"Forbidden: may not be used when `type` is '{spec['type']}'", "FieldValueForbidden")
        elif number not in RANGE:
            limits = f"{RANGE.start}-{RANGE.stop - 1}"
            yield invalid(
                field, f"{value}: provided port is not in the valid range. The range of valid ports is {limits}"
            )
        elif number in taken and number not in mine:
            yield invalid(field, f"{value}: provided port is already allocated")
        elif (pair := (number, port.get("protocol", "TCP"))) in seen:
            yield invalid(field, f"Duplicate value: {number}", "FieldValueDuplicate")
        else:
            seen.add(pair)


def _free(taken: set[int]) -> int:
    start = max(taken, default=RANGE.start - 1) - RANGE.start
    for step in range(1, len(RANGE) + 1):
        number = RANGE[(start + step) % len(RANGE)]
        if number not in taken:
            return number
    raise InternalError(f"no node port left in {RANGE.start}-{RANGE.stop - 1}: delete services that are not used")
