"""Priority: a pod's class becomes its number. `system-node-critical` and `system-cluster-critical` are there from the start."""

from __future__ import annotations

from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.registry import ServedResource
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey
from styr.kinds.resources import PRIORITY_CLASS, Object

KEY = PRIORITY_CLASS.group_resource
_SYSTEM = {
    "system-node-critical": (2_000_001_000, "What a node needs itself: pods that must stay where they are."),
    "system-cluster-critical": (2_000_000_000, "What the cluster needs: pods that may move to another node."),
}


def system_classes() -> list[Object]:
    return [
        {
            "apiVersion": PRIORITY_CLASS.api_version,
            "kind": PRIORITY_CLASS.kind,
            "metadata": {"name": name},
            "value": value,
            "description": description,
            "preemptionPolicy": "PreemptLowerPriority",
        }
        for name, (value, description) in _SYSTEM.items()
    ]


class Priorities(Base):
    name = "Priority"

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return served.key in ("pods", KEY) and operation in ("CREATE", "UPDATE") and not subresource

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        if attributes.key != "pods":
            return
        assert attributes.object is not None
        spec = attributes.object["spec"]
        if attributes.operation == "UPDATE":
            old = (attributes.old or {}).get("spec") or {}
            for field in ("priority", "preemptionPolicy"):
                if field not in spec and field in old:
                    spec[field] = old[field]
                    attributes.touched = True
            return
        self._resolve(attributes, txn, spec)
        attributes.touched = True

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        """One class may be the default."""
        if attributes.key != KEY or not (attributes.object or {}).get("globalDefault"):
            return
        known = _default(txn)
        if known is not None and (attributes.operation == "CREATE" or known["metadata"]["name"] != attributes.name):
            raise attributes.forbidden(
                f"PriorityClass {known['metadata']['name']} is already marked as default. Only one default can exist"
            )

    def _resolve(self, attributes: Attributes, txn: Txn, spec: Object) -> None:
        name, found = spec.get("priorityClassName"), None
        if name:
            record = txn.get(ObjectKey(KEY, "", name))
            if record is None:
                raise attributes.forbidden(f"no PriorityClass with name {name} was found")
            found = record.decode()
        elif (found := _default(txn)) is not None:
            spec["priorityClassName"] = found["metadata"]["name"]
        value = found["value"] if found is not None else 0
        policy = (found or {}).get("preemptionPolicy", "PreemptLowerPriority")
        if spec.get("priority") not in (None, value):
            raise attributes.forbidden(
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority admission "
                f"controller computed {value} from the given PriorityClass name"
            )
        if spec.get("preemptionPolicy") not in (None, policy):
            raise attributes.forbidden(
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name"
            )
        spec["priority"], spec["preemptionPolicy"] = value, policy


def _default(txn: Txn) -> Object | None:
    """The class for pods that name none; the lowest, should there be several."""
    marked = [record.decode() for _, record in txn.list(KEY) if b'"globalDefault":true' in record.data]
    found = [obj for obj in marked if obj.get("globalDefault") is True]
    return min(found, key=lambda obj: obj["value"], default=None)
