"""The kinds of storage.k8s.io, and PriorityClass of scheduling.k8s.io."""

from __future__ import annotations

from typing import Any

from styr.api.faults import amounts, names
from styr.api.faults.causes import (
    Faults,
    duplicate,
    each,
    forbidden,
    get,
    immutable,
    invalid,
    not_negative,
    required,
    too_long,
    unsupported,
)
from styr.api.faults.selectors import selector
from styr.api.faults.volumes import csi_driver
from styr.api.strategies.base import TypedStrategy
from styr.api.strategies.volumes import inline_volume
from styr.kinds.resources import Object

_RECLAIM, _BINDING = ("Delete", "Retain"), ("Immediate", "WaitForFirstConsumer")
_MOST_PARAMETERS, _MOST_BYTES = 512, 256 << 10
_GROUPS = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLES = ("Persistent", "Ephemeral")
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def _provisioner(text: str, path: str) -> Faults:
    if not text:
        yield required(path)
    else:
        yield from each(path, text.lower(), names.qualified(text.lower()))


def _parameters(found: dict[str, str], path: str, *, needed: bool = False) -> Faults:
    if len(found) > _MOST_PARAMETERS:
        yield too_long(path, _MOST_PARAMETERS)
        return
    if "" in found:
        yield invalid(path, "", "field can not be empty.")
    if sum(len(key.encode()) + len(value.encode()) for key, value in found.items()) > _MOST_BYTES:
        yield too_long(path, _MOST_BYTES)
    if needed and not found:
        yield required(path, "must contain at least one key/value pair")


class StorageClassStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        yield from _provisioner(obj.get("provisioner", ""), "provisioner")
        yield from _parameters(obj.get("parameters") or {}, "parameters")
        policy, binding = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
        if policy and policy not in _RECLAIM:
            yield unsupported("reclaimPolicy", policy, _RECLAIM)
        if binding not in _BINDING:
            yield unsupported("volumeBindingMode", binding or "", _BINDING)
        seen: list[Any] = []
        for index, term in enumerate(obj.get("allowedTopologies") or ()):
            path, pairs = f"allowedTopologies[{index}]", {}
            for number, entry in enumerate(term.get("matchLabelExpressions") or ()):
                place, key, values = (
                    f"{path}.matchLabelExpressions[{number}]",
                    entry.get("key", ""),
                    entry.get("values") or [],
                )
                if not values:
                    yield required(f"{place}.values")
                for position, value in enumerate(values):
                    if value in values[:position]:
                        yield duplicate(f"{place}.values[{position}]", value)
                yield from each(f"{place}.key", key, names.qualified(key))
                if key in pairs:
                    yield duplicate(f"{place}.key", key)
                pairs[key] = frozenset(values)
            if pairs in seen:
                yield duplicate(f"{path}.matchLabelExpressions", "")
            seen.append(pairs)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        for field in ("parameters", "provisioner", "reclaimPolicy"):
            if new.get(field) != old.get(field):
                yield forbidden(field, f"updates to {field} are forbidden.")
        yield from immutable("volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode"))


class VolumeAttributesClassStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        yield from _provisioner(obj.get("driverName", ""), "driverName")
        yield from _parameters(obj.get("parameters") or {}, "parameters", needed=True)

    def update_rules(self, new: Object, old: Object) -> Faults:
        for field in ("driverName", "parameters"):
            if new.get(field) != old.get(field):
                yield forbidden(field, f"updates to {field} are forbidden.")
        yield from self.rules(new)


class VolumeAttachmentStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        yield from self._spec(obj)
        yield from csi_driver(obj["spec"].get("attacher", ""), "spec.attacher")
        name = get(obj, "spec", "source", "persistentVolumeName")
        if name is not None:
            yield from each("spec.source.persistentVolumeName", name, names.dns_subdomain(name))

    def _spec(self, obj: Object) -> Faults:
        spec = obj["spec"]
        if not spec.get("attacher"):
            yield required("spec.attacher")
        inline, name = get(spec, "source", "inlineVolumeSpec"), get(spec, "source", "persistentVolumeName")
        if inline is None and name is None:
            yield required("spec.source", _ONE_SOURCE)
        elif inline is not None and name is not None:
            yield forbidden("spec.source", _ONE_SOURCE)
        elif name == "":
            yield required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
        elif inline is not None:
            yield from inline_volume(inline, "spec.source.inlineVolumeSpec")
        node = spec.get("nodeName", "")
        yield from each("spec.nodeName", node, names.dns_subdomain(node))

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self._spec(new)
        if new["spec"] != old["spec"]:
            yield invalid("spec", new["spec"], "field is immutable")

    def status_rules(self, new: Object, old: Object) -> Faults:
        yield from self.update_rules(new, old)


class CSINodeStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        seen: set[str] = set()
        for index, driver in enumerate(obj["spec"].get("drivers") or ()):
            path = f"spec.drivers[{index}]"
            yield from csi_driver(driver.get("name", ""), f"{path}.name")
            identity = driver.get("nodeID", "")
            if not identity:
                yield required(f"{path}.nodeID")
            if len(identity) > 256:
                yield invalid(f"{path}.nodeID", identity, "must be 256 characters or less")
            yield from not_negative(f"{path}.allocatable.count", get(driver, "allocatable", "count"))
            keys: set[str] = set()
            for key in driver.get("topologyKeys") or ():
                if not key:
                    yield required(path, key)
                if key in keys:
                    yield duplicate(path, key)
                keys.add(key)
                yield from each(path, key, names.qualified(key))
            if driver.get("name", "") in seen:
                yield duplicate(f"{path}.name", driver.get("name", ""))
            seen.add(driver.get("name", ""))

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        for before in old["spec"].get("drivers") or ():
            for after in new["spec"].get("drivers") or ():
                if after.get("name") == before.get("name"):
                    yield from immutable("spec.drivers", _uncounted(after), _uncounted(before))


def _uncounted(driver: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in driver.items() if key != "allocatable"}


class CSIDriverStrategy(TypedStrategy):
    def prepare_update(self, new: Object, old: Object) -> None:
        """A new one has no generation yet."""
        if new["spec"] != old["spec"]:
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        policy = spec.get("fsGroupPolicy")
        if policy is not None and policy not in _GROUPS:
            yield unsupported("spec.fsGroupPolicy", policy, _GROUPS)
        seen: set[str] = set()
        for index, entry in enumerate(spec.get("tokenRequests") or ()):
            path, audience, seconds = (
                f"spec.tokenRequests[{index}]",
                entry.get("audience", ""),
                entry.get("expirationSeconds"),
            )
            if audience in seen:
                yield duplicate(f"{path}.audience", audience)
                continue
            seen.add(audience)
            if seconds is not None and seconds < 600:
                yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            if seconds is not None and seconds > 1 << 32:
                message = "may not specify a duration larger than 2^32 seconds"
                yield invalid(f"{path}.expirationSeconds", seconds, message)
        for mode in spec.get("volumeLifecycleModes") or ():
            if mode not in _LIFECYCLES:
                yield unsupported("spec.volumeLifecycleModes", mode, _LIFECYCLES)
        period = spec.get("nodeAllocatableUpdatePeriodSeconds")
        if period is not None and period < 10:
            message = "must be greater than or equal to 10 seconds"
            yield invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, message)
        if "serviceAccountTokenInSecrets" in spec and not spec.get("tokenRequests"):
            value = spec["serviceAccountTokenInSecrets"]
            yield invalid(
                "spec.serviceAccountTokenInSecrets", value, "may not be set when tokenRequests is not specified"
            )

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        after, before = new["spec"], old["spec"]
        yield from immutable("spec.attachedRequired", after.get("attachRequired"), before.get("attachRequired"))
        yield from immutable(
            "spec.volumeLifecycleModes", after.get("volumeLifecycleModes"), before.get("volumeLifecycleModes")
        )


class CSIStorageCapacityStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        yield from selector(obj.get("nodeTopology"), "nodeTopology")
        name = obj.get("storageClassName", "")
        yield from each("storageClassName", name, names.dns_subdomain(name))
        if "capacity" in obj:
            yield from amounts.not_negative(obj["capacity"], "capacity")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        for field in ("nodeTopology", "storageClassName"):
            yield from immutable(field, new.get(field), old.get(field))


_HIGHEST_OF_USERS = 1_000_000_000
_SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


class PriorityClassStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        name, value, policy = obj["metadata"].get("name", ""), obj.get("value", 0), obj.get("preemptionPolicy")
        if name.startswith("system-"):
            if _SYSTEM.get(name) != value or obj.get("globalDefault"):
                message = "priority class names with 'system-' prefix are reserved for system use only. error: "
                wrong = f"{name} is not a known system priority class"
                if name in _SYSTEM:
                    wrong = f"value of {name} PriorityClass must be {_SYSTEM[name]}"
                    if _SYSTEM[name] == value:
                        wrong = f"globalDefault of {name} PriorityClass must be false"
                yield forbidden("metadata.name", message + wrong)
        elif value > _HIGHEST_OF_USERS:
            message = f"maximum allowed value of a user defined priority is {_HIGHEST_OF_USERS}"
            yield forbidden("value", message)
        if policy == "":
            yield required("preemptionPolicy")
        elif policy not in (None, "PreemptLowerPriority", "Never"):
            yield unsupported("preemptionPolicy", policy, ("PreemptLowerPriority", "Never"))

    def update_rules(self, new: Object, old: Object) -> Faults:
        if new.get("value") != old.get("value"):
            yield forbidden("value", "may not be changed in an update.")
        yield from immutable("preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))
