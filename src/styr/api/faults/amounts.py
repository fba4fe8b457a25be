"""Names of resources (cpu, memory, ...) and amounts of them. Called by the rules of the kinds. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, invalid
from styr.kinds import quantities

NOT_INTEGER = "must be an integer"
NEGATIVE = "must be greater than or equal to 0"
OF_CONTAINERS = frozenset(("cpu", "memory", "ephemeral-storage"))
_COUNTED = frozenset(
    (
        *("pods", "services", "services.nodeports", "services.loadbalancers", "replicationcontrollers"),
        *("secrets", "configmaps", "persistentvolumeclaims", "resourcequotas"),
    )
)
OF_QUOTAS = OF_CONTAINERS | _COUNTED | {f"{way}.{name}" for way in ("requests", "limits") for name in OF_CONTAINERS}
OF_QUOTAS |= {"requests.storage"}
STANDARD = OF_QUOTAS | {"storage"}


def is_huge(name: str) -> bool:
    return name.startswith("hugepages-")


def is_quota_huge(name: str) -> bool:
    return name.startswith(("hugepages-", "requests.hugepages-"))


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified(f"requests.{name}")


def overcommits(name: str) -> bool:
    return is_native(name) and not is_huge(name)


def is_whole(name: str) -> bool:
    """Counted in ones."""
    return name in _COUNTED or is_extended(name)


def resource_name(name: str, path: str) -> Faults:
    if found := names.qualified(name):
        yield from each(path, name, found)
    elif "/" not in name and name not in STANDARD and not is_quota_huge(name):
        yield invalid(path, name, "must be a standard resource type or fully qualified")


def container_resource_name(name: str, path: str) -> Faults:
    yield from resource_name(name, path)
    if "/" not in name:
        if name not in OF_CONTAINERS and not is_huge(name):
            yield invalid(path, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def quota_resource_name(name: str, path: str) -> Faults:
    found = list(resource_name(name, path))
    yield from found
    if "/" not in name and name not in OF_QUOTAS and not is_quota_huge(name):
        yield invalid(path, name, "must be a standard resource for quota")


def amount(name: str, value: str, path: str) -> Faults:
    """Not negative, and whole where the resource is counted."""
    number = quantities.parse(value)
    if number < 0:
        yield invalid(path, value, NEGATIVE)
    if is_whole(name) and number.denominator != 1:
        yield invalid(path, value, NOT_INTEGER)


def not_negative(value: str, path: str) -> Faults:
    if quantities.parse(value) < 0:
        yield invalid(path, value, NEGATIVE)


def amounts(found: Mapping[str, str] | None, path: str) -> Faults:
    for name, value in (found or {}).items():
        yield from amount(name, value, f"{path}[{name}]")
