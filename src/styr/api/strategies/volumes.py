"""PersistentVolume and PersistentVolumeClaim."""

from __future__ import annotations

import posixpath
from typing import Any

from styr.api.faults import affinity, amounts, claims, names
from styr.api.faults import volumes as sources
from styr.api.faults.causes import Faults, each, forbidden, get, immutable, invalid, required, unsupported
from styr.api.faults.paths import no_backsteps
from styr.api.faults.volumes import Check
from styr.api.strategies.base import TypedStrategy
from styr.kinds import quantities
from styr.kinds.resources import Object

_RECLAIM = ("Delete", "Recycle", "Retain")
_CLASS_NOTE = "volume.beta.kubernetes.io/storage-class"
_RESIZING = ("ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible",
             "NodeResizePending")  # fmt: skip
_CLAIM_FIXED = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def _secret(source: dict[str, Any], path: str) -> Faults:
    for field, check in (("name", names.dns_subdomain), ("namespace", names.dns_label)):
        if not source.get(field):
            yield required(f"{path}.{field}")
        else:
            yield from each(f"{path}.{field}", source[field], check(source[field]))


def _csi(source: dict[str, Any], path: str) -> Faults:
    yield from sources.csi_driver(source.get("driver", ""), f"{path}.driver")
    if not source.get("volumeHandle"):
        yield required(f"{path}.volumeHandle")
    for field in (
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ):
        if field in source:
            yield from _secret(source[field], f"{path}.{field}")


def _local(source: dict[str, Any], path: str) -> Faults:
    if not source.get("path"):
        yield required(f"{path}.path")
    else:
        yield from no_backsteps(f"{path}.path", source["path"])


def _gluster(source: dict[str, Any], path: str) -> Faults:
    yield from sources.OF_PODS["glusterfs"](source, path)
    place = source.get("endpointsNamespace")
    if place is not None:
        if not place:
            message = "if the endpointnamespace is set, it must be a valid namespace name"
            yield invalid(f"{path}.endpointsNamespace", place, message)
        else:
            yield from each(f"{path}.endpointsNamespace", place, names.dns_label(place))


def _cinder(source: dict[str, Any], path: str) -> Faults:
    if not source.get("volumeID"):
        yield required(f"{path}.volumeID")
    for field in ("name", "namespace"):
        if "secretRef" in source and not source["secretRef"].get(field):
            yield required(f"{path}.secretRef.{field}")


def _azure_file(source: dict[str, Any], path: str) -> Faults:
    yield from sources.OF_PODS["azureFile"](source, path)
    if source.get("secretNamespace") == "":
        yield required(f"{path}.secretNamespace")


_OF_VOLUMES: dict[str, Check] = {
    **{kind: sources.SHARED[kind] for kind in ("hostPath", "gcePersistentDisk", "awsElasticBlockStore")},
    "glusterfs": _gluster,
    **{kind: sources.SHARED[kind] for kind in ("flocker", "nfs")},
    "rbd": sources.OF_PODS["rbd"],
    "quobyte": sources.SHARED["quobyte"],
    "cephfs": sources.OF_PODS["cephfs"],
    "iscsi": sources.OF_PODS["iscsi"],
    "cinder": _cinder,
    "fc": sources.SHARED["fc"],
    "flexVolume": sources.OF_PODS["flexVolume"],
    "azureFile": _azure_file,
    **{kind: sources.SHARED[kind] for kind in ("vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk")},
    "scaleIO": sources.OF_PODS["scaleIO"],
    "local": _local,
    "storageos": sources.OF_PODS["storageos"],
    "csi": _csi,
}


class PersistentVolumeStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": obj["metadata"]["creationTimestamp"]}

    def prepare_update(self, new: Object, old: Object) -> None:
        new["status"] = old["status"]

    def prepare_status(self, new: Object, old: Object) -> None:
        """The time of a change of phase is the server's, unless the writer says one."""

    def rules(self, obj: Object) -> Faults:
        yield from _volume(obj["spec"])

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        after, before = new["spec"], old["spec"]
        if _source(after, before) != _source(before, before):
            message = "spec.persistentvolumesource is immutable after creation"
            yield forbidden("spec.persistentvolumesource", message)
        yield from immutable("volumeMode", after.get("volumeMode"), before.get("volumeMode"))
        if "nodeAffinity" in before and after.get("nodeAffinity") != before["nodeAffinity"]:
            yield invalid("nodeAffinity", after.get("nodeAffinity"), "field is immutable")
        if "volumeAttributesClassName" in before and "volumeAttributesClassName" not in after:
            yield forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden")


def _source(spec: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    found = {kind: spec[kind] for kind in _OF_VOLUMES if kind in spec}
    if "csi" in found and "csi" in before and "controllerExpandSecretRef" not in before["csi"]:
        found["csi"] = {key: value for key, value in found["csi"].items() if key != "controllerExpandSecretRef"}
    return found


def _volume(spec: dict[str, Any]) -> Faults:
    yield from claims.access_modes(spec.get("accessModes") or [], "spec.accessModes")
    capacity = spec.get("capacity") or {}
    if not capacity:
        yield required("spec.capacity")
    if "storage" not in capacity or len(capacity) > 1:
        yield unsupported("spec.capacity", capacity or None, ("storage",))
    for name, value in capacity.items():
        if quantities.parse(value) < 0:
            yield invalid(f"spec.capacity[{name}]", value, "must be a valid resource quantity")
        if quantities.parse(value) <= 0:
            yield invalid(f"spec.capacity[{name}]", value, "must be greater than zero")
    if (policy := spec.get("persistentVolumeReclaimPolicy")) and policy not in _RECLAIM:
        yield unsupported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM)
    placed = spec.get("nodeAffinity")
    if placed is not None:
        if "required" not in placed:
            yield required("spec.nodeAffinity.required", "must specify required node constraints")
        else:
            yield from affinity.node_selector(placed["required"], "spec.nodeAffinity.required")
    yield from _one_source(spec)
    name = spec.get("storageClassName")
    if name:
        yield from each("spec.storageClassName", name, names.dns_subdomain(name))
    if "volumeMode" in spec and spec["volumeMode"] not in claims.MODES:
        yield unsupported("spec.volumeMode", spec["volumeMode"], claims.MODES)
    if (wanted := spec.get("volumeAttributesClassName")) is not None:
        if not wanted:
            yield required("spec.volumeAttributesClassName", "an empty string is disallowed")
        else:
            yield from each("spec.volumeAttributesClassName", wanted, names.dns_subdomain(wanted))
        if "csi" not in spec:
            yield required("spec.csi", "has to be specified when using volumeAttributesClassName")


def inline_volume(spec: dict[str, Any], path: str) -> Faults:
    """A volume inside a VolumeAttachment: CSI, and no object of its own."""
    for field in ("claimRef", "capacity", "nodeAffinity", "storageClassName"):
        if spec.get(field):
            yield forbidden(f"{path}.{field}", "may not be specified in the context of inline volumes")
    if "csi" not in spec:
        yield required(f"{path}.csi", "has to be specified in the context of inline volumes")
    yield from claims.access_modes(spec.get("accessModes") or [], f"{path}.accessModes")
    policy, mode = spec.get("persistentVolumeReclaimPolicy"), spec.get("volumeMode")
    if policy and policy != "Retain":
        yield forbidden(f"{path}.persistentVolumeReclaimPolicy", "may only be Retain in the context of inline volumes")
    if mode not in (None, "Filesystem"):
        message = "may not specify volumeMode other than Filesystem in the context of inline volumes"
        yield forbidden(f"{path}.volumeMode", message)
    for fault in _one_source(spec):
        yield {**fault, "field": path + fault["field"].removeprefix("spec")}


def _one_source(spec: dict[str, Any]) -> Faults:
    count = 0
    for kind, check in _OF_VOLUMES.items():
        if kind not in spec:
            continue
        if count and kind != "flexVolume":
            yield forbidden(f"spec.{'cephFS' if kind == 'cephfs' else kind}", "may not specify more than 1 volume type")
            continue
        count += 1
        yield from check(spec[kind], f"spec.{'persistentDisk' if kind == 'gcePersistentDisk' else kind}")
        if kind == "local" and "nodeAffinity" not in spec:
            yield required("spec.nodeAffinity", "Local volume requires node affinity")
    if not count:
        yield required("spec", "must specify a volume type")
    place = get(spec, "hostPath", "path")
    if place and posixpath.normpath(place) == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        yield forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")


class PersistentVolumeClaimStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}
        _sources_in_step(obj["spec"], {})

    def prepare_update(self, new: Object, old: Object) -> None:
        new["status"] = old["status"]
        _sources_in_step(new["spec"], old["spec"])

    def rules(self, obj: Object) -> Faults:
        yield from claims.spec(obj["spec"], "spec")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        after, before = new["spec"], old["spec"]
        bound = new["status"].get("phase") == "Bound"
        for key in (_CLASS_NOTE,):
            note, known = (get(obj, "metadata", "annotations", key) or "" for obj in (new, old))
            if note != known:
                yield invalid(f"metadata.annotations.{key}", note, "field is immutable")
        if _fixed(after, before, bound) != _fixed(before, before, bound):
            yield forbidden("spec", _CLAIM_FIXED)
        size, was = _storage(after), _storage(before)
        held = quantities.parse(get(old, "status", "capacity", "storage") or "0")
        if size < was and size <= held:
            yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
        yield from immutable("volumeMode", after.get("volumeMode"), before.get("volumeMode"))
        wanted = after.get("volumeAttributesClassName")
        if (
            wanted != before.get("volumeAttributesClassName")
            and get(old, "status", "currentVolumeAttributesClassName") is not None
        ) and not wanted:
            words = "nil" if wanted is None else "empty string"
            message = f"update to {words} is forbidden when status.currentVolumeAttributesClassName is not nil"
            yield forbidden("spec.volumeAttributesClassName", message)

    def status_rules(self, new: Object, old: Object) -> Faults:
        for field in ("capacity", "allocatedResources"):
            for name, value in (new["status"].get(field) or {}).items():
                yield from amounts.not_negative(value, f"status.{field}[{name}]")
        for name, state in (new["status"].get("allocatedResourceStatuses") or {}).items():
            if state not in _RESIZING:
                yield unsupported("status.allocatedResourceStatuses", name, sorted(_RESIZING))


def _storage(spec: dict[str, Any]) -> Any:
    return quantities.parse(get(spec, "resources", "requests", "storage") or "0")


def _fixed(spec: dict[str, Any], old: dict[str, Any], bound: bool) -> dict[str, Any]:
    """The part of a claim's spec that never changes. A class may be given to a claim that has none."""
    kept = {key: value for key, value in spec.items() if value not in (None, [], {})}
    if not old.get("volumeName"):
        kept.pop("volumeName", None)
    if bound:
        kept.pop("volumeAttributesClassName", None)
        resources = dict(kept.get("resources") or {})
        requests = {name: value for name, value in (resources.get("requests") or {}).items() if name != "storage"}
        kept["resources"] = resources | {"requests": requests}
    return kept


def _sources_in_step(spec: dict[str, Any], old: dict[str, Any]) -> None:
    """`dataSource` and the newer `dataSourceRef` say the same; what only the newer one can say is not in the older one."""
    if get(spec, "dataSourceRef", "namespace") and "dataSourceRef" not in old:
        del spec["dataSourceRef"]
    source = spec.get("dataSource")
    if source is not None and "dataSource" not in old and "dataSourceRef" not in spec and not _is_plain(source):
        del spec["dataSource"]
    fields = ("apiGroup", "kind", "name")
    if "dataSource" in spec and "dataSourceRef" not in spec:
        spec["dataSourceRef"] = {key: spec["dataSource"].get(key) for key in fields if key in spec["dataSource"]}
        spec["dataSourceRef"].setdefault("apiGroup", None)
    elif "dataSourceRef" in spec and "dataSource" not in spec and not spec["dataSourceRef"].get("namespace"):
        spec["dataSource"] = {key: spec["dataSourceRef"].get(key) for key in fields if key in spec["dataSourceRef"]}


def _is_plain(source: dict[str, Any]) -> bool:
    group = source.get("apiGroup") or ""
    if not group and source.get("kind") == "PersistentVolumeClaim":
        return True
    return group == "snapshot.storage.k8s.io" and source.get("kind") == "VolumeSnapshot"
