"""Amounts of resources, added and compared exactly, and what a pod asks for in all. Pure; called by quota and limits.

An amount remembers whether it was written in powers of two (`Mi`), and so is its sum shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from styr.kinds import quantities


class Amount(NamedTuple):
    value: Fraction
    binary: bool = False

    def __str__(self) -> str:
        return quantities.show(self.value, binary=self.binary)


Amounts = dict[str, Amount]
ONE = Amount(Fraction(1))
ZERO = Amount(Fraction(0))


def parse(text: str | int | float) -> Amount:
    """Raises QuantityError."""
    return Amount(quantities.parse(text), str(text).endswith("i"))


def parse_all(table: Mapping[str, Any] | None) -> Amounts:
    return {name: parse(text) for name, text in (table or {}).items()}


def show_all(amounts: Mapping[str, Amount]) -> dict[str, str]:
    return {name: str(amounts[name]) for name in sorted(amounts)}


def tell(amounts: Mapping[str, Amount]) -> str:
    """`cpu=1,memory=2Gi`, as messages have it."""
    return ",".join(f"{name}={text}" for name, text in show_all(amounts).items())


def add(first: Mapping[str, Amount], second: Mapping[str, Amount]) -> Amounts:
    result = dict(first)
    for name, amount in second.items():
        known = result.get(name, ZERO)
        result[name] = Amount(known.value + amount.value, known.binary if known.value else amount.binary)
    return result


def most(first: Mapping[str, Amount], second: Mapping[str, Amount]) -> Amounts:
    result = dict(first)
    for name, amount in second.items():
        if name not in result or amount.value > result[name].value:
            result[name] = amount
    return result


def of_pod(pod: Mapping[str, Any], field: str, *, overhead: bool = True) -> Amounts:
    """`field` is requests or limits. All containers beside each other, or an init container beside the sidecars that were
    started before it, whichever is more; what the pod says of itself as a whole counts instead; its overhead on top."""
    spec = pod.get("spec") or {}
    running = total(_wanted(container, field) for container in spec.get("containers") or ())
    sidecars: Amounts = {}
    first: Amounts = {}
    for container in spec.get("initContainers") or ():
        wanted = _wanted(container, field)
        if container.get("restartPolicy") == "Always":
            running, sidecars = add(running, wanted), add(sidecars, wanted)
            first = most(first, sidecars)
        else:
            first = most(first, add(wanted, sidecars))
    found = most(running, first) | _wanted(spec, field)
    extra = parse_all(spec.get("overhead")) if overhead else {}
    if field == "limits":  # an overhead only adds to a limit that there is
        extra = {name: amount for name, amount in extra.items() if name in found}
    return add(found, extra)


def total(parts: Iterable[Mapping[str, Amount]]) -> Amounts:
    result: Amounts = {}
    for part in parts:
        result = add(result, part)
    return result


def _wanted(holder: Mapping[str, Any], field: str) -> Amounts:
    return parse_all((holder.get("resources") or {}).get(field))
