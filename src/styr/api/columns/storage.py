"""The cells of volumes, claims, drivers, and of devices. Called by `printers`."""

from __future__ import annotations

from typing import Any

from styr.api.columns.words import NONE, UNSET, at, born, name
from styr.kinds.resources import Object

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _modes(found: Any) -> str:
    return ",".join(short for long, short in _MODES.items() if long in found)


def _phase(obj: Object) -> str:
    deleting = at(obj, "metadata.deletionTimestamp", None) is not None
    return "Terminating" if deleting else str(at(obj, "status.phase"))


def _class(obj: Object) -> str:
    return str(at(obj, "metadata.annotations", {}).get(_CLASS, at(obj, "spec.storageClassName")))


def volume(obj: Object, now: float) -> list[Any]:
    claim = at(obj, "spec.claimRef", None)
    named = f"{at(claim, 'namespace')}/{at(claim, 'name')}" if claim else ""
    cells = [name(obj), str(at(obj, "spec.capacity.storage", "0")), _modes(at(obj, "spec.accessModes", ()))]
    cells += [at(obj, "spec.persistentVolumeReclaimPolicy"), _phase(obj), named, _class(obj)]
    cells += [at(obj, "spec.volumeAttributesClassName", UNSET), at(obj, "status.reason"), born(obj, now)]
    return [*cells, at(obj, "spec.volumeMode", UNSET)]


def claim(obj: Object, now: float) -> list[Any]:
    bound, capacity, modes = at(obj, "spec.volumeName"), "", ""
    if bound:
        capacity, modes = str(at(obj, "status.capacity.storage", "0")), _modes(at(obj, "status.accessModes", ()))
    cells = [name(obj), _phase(obj), bound, capacity, modes, _class(obj)]
    cells += [at(obj, "spec.volumeAttributesClassName", UNSET), born(obj, now)]
    return [*cells, at(obj, "spec.volumeMode", UNSET)]


def storage_class(obj: Object, now: float) -> list[Any]:
    notes = at(obj, "metadata.annotations", {})
    shown = name(obj) + (" (default)" if any(notes.get(key) == "true" for key in _DEFAULT) else "")
    cells = [shown, at(obj, "provisioner"), at(obj, "reclaimPolicy", "Delete")]
    cells += [at(obj, "volumeBindingMode", "Immediate"), at(obj, "allowVolumeExpansion", False)]
    return [*cells, born(obj, now)]


def attachment(obj: Object, now: float) -> list[Any]:
    texts = [at(obj, f"spec.{path}") for path in ("attacher", "source.persistentVolumeName", "nodeName")]
    return [name(obj), *texts, at(obj, "status.attached", False), born(obj, now)]


def csi_driver(obj: Object, now: float) -> list[Any]:
    tokens = at(obj, "spec.tokenRequests", None)
    audiences = UNSET if tokens is None else ",".join(at(token, "audience") for token in tokens)
    cells = [name(obj), at(obj, "spec.attachRequired", True), at(obj, "spec.podInfoOnMount", False)]
    cells += [at(obj, "spec.storageCapacity", False), audiences, at(obj, "spec.requiresRepublish", False)]
    return [*cells, ",".join(at(obj, "spec.volumeLifecycleModes", ())) or NONE, born(obj, now)]


def csi_node(obj: Object, now: float) -> list[Any]:
    return [name(obj), len(at(obj, "spec.drivers", ())), born(obj, now)]


def resource_claim(obj: Object, now: float) -> list[Any]:
    deleted = at(obj, "metadata.deletionTimestamp", None) is not None
    states = ["deleted"] if deleted else []
    if at(obj, "status.allocation", None) is None:
        states += [] if deleted else ["pending"]
    else:
        states += ["allocated", *(["reserved"] if at(obj, "status.reservedFor", ()) else [])]
    return [name(obj), ",".join(states), born(obj, now)]


def resource_slice(obj: Object, now: float) -> list[Any]:
    return [name(obj), *(at(obj, f"spec.{path}") for path in ("nodeName", "driver", "pool.name")), born(obj, now)]
