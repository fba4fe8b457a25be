"""What a container or a pod asks for: limits, requests, claims. Called by the rules of pods, runtime classes; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from styr.api.builtin import pod_resources
from styr.api.faults import amounts, names
from styr.api.faults.causes import Faults, duplicate, each, forbidden, get, invalid, not_found, required, unsupported
from styr.kinds import quantities

Name = Callable[[str, str], Faults]


def requirements(
    found: dict[str, Any], path: str, claims: set[str], name_rule: Name = amounts.container_resource_name
) -> Faults:
    """`claims` are the names that the pod has in `spec.resourceClaims`."""
    limits, requests = found.get("limits") or {}, found.get("requests") or {}
    for name, value in limits.items():
        yield from _one(name, value, f"{path}.limits[{name}]", name_rule)
    for name, value in requests.items():
        yield from _one(name, value, f"{path}.requests[{name}]", name_rule)
        if name in limits:
            wanted, most = quantities.parse(value), quantities.parse(limits[name])
            if wanted != most and not amounts.overcommits(name):
                yield invalid(f"{path}.requests", value, f"must be equal to {name} limit of {limits[name]}")
            elif wanted > most:
                yield invalid(
                    f"{path}.requests", value, f"must be less than or equal to {name} limit of {limits[name]}"
                )
        elif not amounts.overcommits(name):
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
    named = {*limits, *requests}
    if any(map(amounts.is_huge, named)) and not named & {"cpu", "memory"}:
        yield forbidden(path, "HugePages require cpu or memory")
    yield from _claims(found.get("claims") or [], f"{path}.claims", claims)


def _one(name: str, value: str, path: str, name_rule: Name) -> Faults:
    yield from name_rule(name, path)
    yield from amounts.amount(name, value, path)
    if amounts.is_huge(name):
        size, number = _page(name), quantities.parse(value)
        if not size or number < 0 or number % size:
            yield invalid(path, value, f"{value} is not positive integer multiple of {name}")


def _page(name: str) -> int:
    try:
        found = quantities.parse(name.removeprefix("hugepages-"))
    except quantities.QuantityError:
        return 0
    return int(found) if found.denominator == 1 and found > 0 else 0


def _claims(found: list[dict[str, Any]], path: str, known: set[str]) -> Faults:
    seen: set[str] = set()
    for index, claim in enumerate(found):
        place, name, request = f"{path}[{index}]", claim.get("name", ""), claim.get("request", "")
        if not name:
            yield required(place)
        elif name in seen:
            yield duplicate(place, name)
        else:
            key = f"{name}/{request}" if request else name
            if request:
                yield from each(f"{place}.request", request, names.dns_label(request))
            if key in seen:
                yield duplicate(place, key)
            elif not request:
                for _ in [other for other in seen if other.partition("/")[0] == name and "/" in other]:
                    yield duplicate(place, name)
            seen.add(key)
        if name and name not in known:
            cause = not_found(place, name)
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            cause["message"] += f": must be one of the names in pod.spec.resourceClaims{listed}"
            yield cause


def pod_resource_name(name: str, path: str) -> Faults:
    wrong = list(amounts.resource_name(name, path))
    yield from wrong
    if not wrong and name not in ("cpu", "memory") and not amounts.is_huge(name):
        yield unsupported(path, name, ("cpu", "hugepages-", "memory"))


def of_pod(spec: dict[str, Any], path: str, claims: set[str]) -> Faults:
    """`spec.resources`, beside what the containers ask for."""
    if "resources" not in spec:
        return
    place, own = f"{path}.resources", spec["resources"]
    if get(spec, "os", "name") == "windows":
        yield forbidden(place, "may not be set for a windows pod")
        return
    if own.get("claims"):
        yield forbidden(f"{place}.claims", "claims may not be set for Resources at pod-level")
    yield from requirements(own, place, claims, pod_resource_name)
    for name, value in pod_resources.total(spec, "requests").items():
        held = get(own, "requests", name)
        if held is not None and quantities.parse(value) > quantities.parse(held):
            message = f"must be greater than or equal to aggregate container requests of {value}"
            yield invalid(f"{place}.requests[{name}]", held, message)
    for name, value in pod_resources.total(spec, "limits").items():
        held = get(own, "limits", name)
        if amounts.is_huge(name) and held is not None and quantities.parse(value) > quantities.parse(held):
            yield invalid(
                f"{place}.limits[{name}]",
                held,
                f"must be greater than or equal to aggregate container limits of {value}",
            )
    for index, container in enumerate(spec.get("containers") or ()):
        for name, value in (get(container, "resources", "limits") or {}).items():
            held = get(own, "limits", name)
            if held is not None and quantities.parse(value) > quantities.parse(held):
                where = f"{place}.containers[{index}][{name}].limits"
                yield invalid(where, value, f"must be less than or equal to pod limits of {held}")
