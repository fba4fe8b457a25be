"""DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice: devices, as drivers offer them and pods ask for them."""

from __future__ import annotations

from typing import Any

from styr.api.faults import devices, meta, names
from styr.api.faults.affinity import node_selector
from styr.api.faults.causes import Faults, each, forbidden, immutable, invalid, required
from styr.api.faults.volumes import csi_driver
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey
from styr.api.strategies.base import TypedStrategy
from styr.kinds.errors import Invalid
from styr.kinds.resources import NAMESPACE, Object

_ADMIN = "resource.kubernetes.io/admin-access"
_NODES = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_OFF = ("taints", "consumesCounters", "nodeName", "nodeSelector", "allNodes", "bindingConditions",
        "bindingFailureConditions", "bindsToNode", "allowMultipleAllocations")  # fmt: skip
"""Of a device, behind gates that are off."""


class DeviceClassStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        obj["spec"].pop("extendedResourceName", None)

    def prepare_update(self, new: Object, old: Object) -> None:
        if "extendedResourceName" not in old["spec"]:
            self.prepare_create(new)

    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        yield from devices.selectors(spec.get("selectors") or [], "spec.selectors")
        yield from devices.listed(spec.get("config") or [], "spec.config", devices.MOST, devices.settings)


class _Claims(TypedStrategy):
    def claim(self, obj: Object) -> dict[str, Any]:
        """What is asked for."""
        raise NotImplementedError

    def _requests(self, obj: Object) -> list[dict[str, Any]]:
        return self.claim(obj).get("requests") or []

    def _drop(self, obj: Object) -> None:
        """What is behind gates that are off."""
        for request in self._requests(obj):
            for asked in (request.get("exactly"), *(request.get("firstAvailable") or ())):
                for field in ("tolerations", "capacity"):
                    (asked or {}).pop(field, None)
        for constraint in self.claim(obj).get("constraints") or ():
            constraint.pop("distinctAttribute", None)

    def admit(self, new: Object, old: Object | None, txn: Txn) -> None:
        """Access as an administrator is for namespaces that say so."""
        if old is not None:
            return
        for index, request in enumerate(self._requests(new)):
            if not (request.get("exactly") or {}).get("adminAccess"):
                continue
            found = txn.get(ObjectKey(NAMESPACE.group_resource, "", new["metadata"]["namespace"]))
            labels = found.decode()["metadata"].get("labels") or {} if found is not None else {}
            if labels.get(_ADMIN) == "true":
                return
            path = f"spec.devices.requests[{index}].adminAccess"
            words = f"admin access to devices requires the `{_ADMIN}: true` label on the containing namespace"
            cause, name, kind = forbidden(path, words), new["metadata"]["name"], self.kind.resource.kind
            details = {"name": name, "group": "resource.k8s.io", "kind": kind, "causes": [cause]}
            raise Invalid(f'{kind}.resource.k8s.io "{name}" is invalid: {path}: {cause["message"]}', details=details)


class ResourceClaimStrategy(_Claims):
    def claim(self, obj: Object) -> dict[str, Any]:
        return obj["spec"].get("devices") or {}

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        self._drop(obj)

    def prepare_update(self, new: Object, old: Object) -> None:
        new["status"] = old["status"]
        self._drop(new)

    def rules(self, obj: Object) -> Faults:
        yield from devices.claim(self.claim(obj), "spec.devices")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from immutable("spec", new["spec"], old["spec"])


class ResourceClaimTemplateStrategy(_Claims):
    def claim(self, obj: Object) -> dict[str, Any]:
        return (obj["spec"].get("spec") or {}).get("devices") or {}

    def prepare_create(self, obj: Object) -> None:
        self._drop(obj)

    def prepare_update(self, new: Object, old: Object) -> None:
        self._drop(new)

    def rules(self, obj: Object) -> Faults:
        told = obj["spec"].get("metadata") or {}
        yield from meta.maps(told, "spec.metadata")
        for field in told:
            if field not in ("labels", "annotations") and told[field]:
                yield forbidden(f"spec.metadata.{field}", "cannot be set")
        yield from devices.claim(self.claim(obj), "spec.spec.devices")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        yield from immutable("spec", new["spec"], old["spec"])


class ResourceSliceStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        spec = obj["spec"]
        for field in ("sharedCounters", "perDeviceNodeSelection"):
            spec.pop(field, None)
        for device in spec.get("devices") or ():
            for field in _OFF:
                device.pop(field, None)
            for capacity in (device.get("capacity") or {}).values():
                capacity.pop("requestPolicy", None)

    def prepare_update(self, new: Object, old: Object) -> None:
        self.prepare_create(new)

    def rules(self, obj: Object) -> Faults:
        return self._spec(obj["spec"], None)

    def update_rules(self, new: Object, old: Object) -> Faults:
        return self._spec(new["spec"], old["spec"])

    def _spec(self, spec: dict[str, Any], old: dict[str, Any] | None) -> Faults:
        yield from csi_driver(spec.get("driver", ""), "spec.driver")
        pool = spec.get("pool") or {}
        yield from devices.pool_name(pool.get("name", ""), "spec.pool.name")
        if (count := pool.get("resourceSliceCount", 0)) <= 0:
            yield invalid("spec.pool.resourceSliceCount", count, "must be greater than zero")
        if (generation := pool.get("generation", 0)) < 0:
            yield invalid("spec.pool.generation", generation, "must be greater than or equal to zero")
        if old is not None:
            yield from immutable("spec.pool.name", pool.get("name", ""), (old.get("pool") or {}).get("name", ""))
            for field in ("driver", "nodeName"):
                yield from immutable(f"spec.{field}", spec.get(field), old.get(field))
        yield from _place(spec)
        found = spec.get("devices") or []
        yield from devices.uniques(found, "spec.devices", devices.MOST_DEVICES, devices.device, "name")


def _place(spec: dict[str, Any]) -> Faults:
    """On which nodes the devices are."""
    given = []
    if (node := spec.get("nodeName")) is not None:
        if node:
            given.append("`nodeName`")
            yield from each("spec.nodeName", node, names.dns_subdomain(node))
        else:
            yield invalid("spec.nodeName", node, "must be either unset or set to a non-empty string")
    if (chosen := spec.get("nodeSelector")) is not None:
        given.append("`nodeSelector`")
        yield from node_selector(chosen, "spec.nodeSelector")
        terms = chosen.get("nodeSelectorTerms") or []
        if len(terms) != 1:
            yield invalid("spec.nodeSelector.nodeSelectorTerms", terms, "must have exactly one node selector term")
    if (everywhere := spec.get("allNodes")) is not None:
        if everywhere:
            given.append("`allNodes`")
        else:
            yield invalid("spec.allNodes", everywhere, "must be either unset or set to true")
    if not given:
        yield required("spec", _NODES)
    elif len(given) > 1:
        yield invalid("spec", f"{{{', '.join(given)}}}", f"{_NODES}, but multiple fields are set")
