"""The small plugins that fill in what cluster-wide objects say: default storage and ingress classes, runtime classes,
tolerations of a node that is lost."""

from __future__ import annotations

from typing import Any

from styr.api.admission import amounts
from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.registry import ServedResource
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey
from styr.kinds.resources import INGRESS_CLASS, RUNTIME_CLASS, STORAGE_CLASS, Object

LOST_SECONDS = 300
"""How long a pod stays bound to a node that is not ready or not reachable."""
_LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_STORAGE_MARKS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_INGRESS_MARK = "ingressclass.kubernetes.io/is-default-class"
_CLAIM_CLASS = "volume.beta.kubernetes.io/storage-class"


class DefaultTolerationSeconds(Base):
    name = "DefaultTolerationSeconds"

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return served.key == "pods" and operation == "CREATE" and not subresource

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        assert attributes.object is not None
        spec = attributes.object["spec"]
        known = spec.get("tolerations") or []
        missing = [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_SECONDS}
            for key in _LOST
            if not any(_tolerates(toleration, key) for toleration in known)
        ]
        if missing:
            spec["tolerations"] = [*known, *missing]
            attributes.touched = True


class DefaultStorageClass(Base):
    name = "DefaultStorageClass"

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return served.key == "persistentvolumeclaims" and operation == "CREATE" and not subresource

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        assert attributes.object is not None
        spec, notes = attributes.object["spec"], attributes.object["metadata"].get("annotations") or {}
        if spec.get("storageClassName") is None and _CLAIM_CLASS not in notes:
            found = _newest(txn, STORAGE_CLASS.group_resource, _STORAGE_MARKS)
            if found is not None:
                spec["storageClassName"] = found
                attributes.touched = True


class PersistentVolumeClaimResize(Base):
    name = "PersistentVolumeClaimResize"

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return served.key == "persistentvolumeclaims" and operation == "UPDATE" and not subresource

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        new, old = attributes.object or {}, attributes.old or {}
        if _size(new) <= _size(old):
            return
        if (old.get("status") or {}).get("phase") != "Bound":
            raise attributes.forbidden("Only bound persistent volume claims can be expanded")
        name = new["spec"].get("storageClassName")
        record = txn.get(ObjectKey(STORAGE_CLASS.group_resource, "", name)) if name else None
        if record is None or record.decode().get("allowVolumeExpansion") is not True:
            raise attributes.forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support "
                "resize"
            )


class DefaultIngressClass(Base):
    name = "DefaultIngressClass"

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return served.key == "ingresses.networking.k8s.io" and operation == "CREATE" and not subresource

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        assert attributes.object is not None
        notes = attributes.object["metadata"].get("annotations") or {}
        spec = attributes.object.setdefault("spec", {})
        if spec.get("ingressClassName") is None and "kubernetes.io/ingress.class" not in notes:
            found = _newest(txn, INGRESS_CLASS.group_resource, (_INGRESS_MARK,))
            if found is not None:
                spec["ingressClassName"] = found
                attributes.touched = True


class RuntimeClasses(Base):
    name = "RuntimeClass"

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return served.key == "pods" and operation == "CREATE" and not subresource

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        assert attributes.object is not None
        spec = attributes.object["spec"]
        runtime = self._class(attributes, txn)
        if runtime is None:
            return
        overhead = (runtime.get("overhead") or {}).get("podFixed")
        if overhead:
            if spec.get("overhead") and not _same(spec["overhead"], overhead):
                raise attributes.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            spec["overhead"] = dict(overhead)
        scheduling = runtime.get("scheduling") or {}
        self._select(attributes, spec, scheduling.get("nodeSelector") or {})
        known = spec.get("tolerations") or []
        more = [toleration for toleration in scheduling.get("tolerations") or () if toleration not in known]
        if more:
            spec["tolerations"] = [*known, *more]
        attributes.touched = True

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        assert attributes.object is not None
        spec = attributes.object["spec"]
        runtime = self._class(attributes, txn)
        if spec.get("overhead") and not (((runtime or {}).get("overhead") or {}).get("podFixed")):
            raise attributes.forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            )

    def _class(self, attributes: Attributes, txn: Txn) -> Object | None:
        name = (attributes.object or {})["spec"].get("runtimeClassName")
        if not name:
            return None
        record = txn.get(ObjectKey(RUNTIME_CLASS.group_resource, "", name))
        if record is None:
            raise attributes.forbidden(f'pod rejected: RuntimeClass "{name}" not found')
        return record.decode()

    def _select(self, attributes: Attributes, spec: Object, wanted: dict[str, str]) -> None:
        known = spec.get("nodeSelector") or {}
        for key, value in wanted.items():
            if known.get(key, value) != value:
                raise attributes.forbidden(
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                    f"pod.spec.nodeSelector[{key}] = {known[key]}"
                )
        if wanted:
            spec["nodeSelector"] = {**known, **wanted}


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("key") in (key, None, "") and toleration.get("effect") in ("NoExecute", None, "")


def _newest(txn: Txn, key: str, marks: tuple[str, ...]) -> str | None:
    """The name of the class that is marked as the default; the youngest, then the first by name, of several."""
    found: list[tuple[str, str]] = []
    for place, record in txn.list(key):
        if b"is-default-class" in record.data:
            meta: Any = record.decode()["metadata"]
            if any((meta.get("annotations") or {}).get(mark) == "true" for mark in marks):
                found.append((meta["creationTimestamp"], place.name))
    if not found:
        return None
    youngest = max(stamp for stamp, _ in found)
    return min(name for stamp, name in found if stamp == youngest)


def _size(claim: Object) -> amounts.Amount:
    wanted = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
    return amounts.parse(wanted) if wanted is not None else amounts.ZERO


def _same(first: Object, second: Object) -> bool:
    left, right = amounts.parse_all(first), amounts.parse_all(second)
    return left.keys() == right.keys() and all(left[name].value == right[name].value for name in left)
