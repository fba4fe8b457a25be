"""PodSecurity: a namespace's labels say what its pods may not do. What breaks `enforce` is refused, what breaks `warn` is
told to the writer, what breaks `audit` to the audit log; of objects that make pods only the last two. A namespace without such
labels costs one look at its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.admission.podsecurity import baseline, restricted
from styr.api.admission.podsecurity.parts import Fault, Pod
from styr.api.admission.podsecurity.policy import FREE, PREFIX, Policy, Standard, read
from styr.api.registry import ServedResource
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey
from styr.kinds import meta
from styr.kinds.errors import Invalid
from styr.kinds.resources import NAMESPACE, POD, Object
from styr.version import KUBERNETES_VERSION

MAX_PODS = 3000
"""How many pods of a namespace a new label is checked against."""
_TEMPLATES = frozenset(
    {
        "replicationcontrollers", "podtemplates", "replicasets.apps", "deployments.apps", "statefulsets.apps",
        "daemonsets.apps", "jobs.batch", "cronjobs.batch",
    }
)  # fmt: skip
_IGNORED = frozenset({"exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"})
_NEWEST = int(KUBERNETES_VERSION.split(".")[1])


class PodSecurity(Base):
    name = "PodSecurity"

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        if operation not in ("CREATE", "UPDATE"):
            return False
        if served.key == POD.group_resource:
            return subresource not in _IGNORED
        return not subresource and (served.key in _TEMPLATES or served.key == NAMESPACE.group_resource)

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        obj = attributes.object
        assert obj is not None
        if attributes.key == NAMESPACE.group_resource:
            _namespace(attributes, txn, obj)
            return
        policy = _policy(txn, attributes.namespace)
        if policy.is_free:
            return
        if attributes.key == POD.group_resource:
            if attributes.operation == "UPDATE" and not _matters(obj, attributes.old or {}):
                return
            _judge(attributes, policy, obj, enforce=True)
        elif (template := _template(attributes.key, obj)) is not None and not (
            policy.warn.is_free and policy.audit.is_free
        ):
            _judge(attributes, policy, template, enforce=False)


def faults(standard: Standard, pod: Mapping[str, Any]) -> list[Fault]:
    """What of a pod (or a template) breaks a standard."""
    if standard.is_free:
        return []
    minor = min(standard.minor, _NEWEST)
    seen = Pod(pod.get("spec") or {}, (pod.get("metadata") or {}).get("annotations") or {}, minor)
    checks = baseline.CHECKS if standard.level == "baseline" else restricted.checks(minor)
    return [fault for check in checks if (fault := check(seen)) is not None]


def _judge(attributes: Attributes, policy: Policy, pod: Mapping[str, Any], *, enforce: bool) -> None:
    known: dict[Standard, list[Fault]] = {}

    def found(standard: Standard) -> str:
        if standard not in known:
            known[standard] = faults(standard, pod)
        return ", ".join(f"{fault.reason} ({fault.detail})" for fault in known[standard])

    if policy.errors:
        told = "; ".join(f"{label}: {why}" for label, _, why in policy.errors)
        attributes.annotations[f"{PREFIX}error"] = f"Failed to parse policy: {told}"
    if text := found(policy.audit):
        attributes.annotations[f"{PREFIX}audit-violations"] = f'would violate PodSecurity "{policy.audit}": {text}'
    if enforce:
        attributes.annotations[f"{PREFIX}enforce-policy"] = str(policy.enforce)
        if text := found(policy.enforce):
            raise attributes.forbidden(f'violates PodSecurity "{policy.enforce}": {text}')
    if text := found(policy.warn):
        attributes.warnings.append(f'would violate PodSecurity "{policy.warn}": {text}')


def _policy(txn: Txn, namespace: str) -> Policy:
    record = txn.get(ObjectKey(NAMESPACE.group_resource, "", namespace))
    return read(record.labels if record is not None else None)


def _namespace(attributes: Attributes, txn: Txn, namespace: Object) -> None:
    new = read(meta.labels(namespace))
    old = read(meta.labels(attributes.old)) if attributes.old is not None else Policy()
    if new.errors and (attributes.operation == "CREATE" or new.errors != old.errors):
        raise _unreadable(attributes, new)
    if attributes.operation == "CREATE" or new.enforce in (old.enforce, FREE) or new.enforce.is_free:
        return
    if new.enforce.minor == old.enforce.minor and not new.enforce.stricter(old.enforce):
        return
    attributes.warnings += _existing(txn, attributes.name, new.enforce)


def _unreadable(attributes: Attributes, policy: Policy) -> Invalid:
    causes = [
        {
            "reason": "FieldValueInvalid",
            "field": f"metadata.labels[{label}]",
            "message": f'Invalid value: "{value}": {why}',
        }
        for label, value, why in policy.errors
    ]
    told = [f"{cause['field']}: {cause['message']}" for cause in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    details = {"name": attributes.name, "kind": "Namespace", "causes": causes}
    return Invalid(f'Namespace "{attributes.name}" is invalid: {text}', details=details)


def _existing(txn: Txn, namespace: str, enforce: Standard) -> list[str]:
    """Warnings about pods that are there already and would be refused now: one a kind of fault."""
    broken: dict[str, list[str]] = {}
    found = sorted(txn.list(POD.group_resource, namespace), key=lambda entry: entry[0].name)
    for key, record in found[:MAX_PODS]:
        if reasons := [fault.reason for fault in faults(enforce, record.decode())]:
            broken.setdefault(", ".join(reasons), []).append(key.name)
    told: list[str] = []
    if len(found) > MAX_PODS:
        told.append(
            f"new PodSecurity enforce level only checked against the first {MAX_PODS} of {len(found)} existing pods"
        )
    if broken:
        told.append(f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{enforce}"')
    more = {1: "", 2: " (and 1 other pod)"}
    return told + sorted(
        f"{names[0]}{more.get(len(names), f' (and {len(names) - 1} other pods)')}: {reasons}"
        for reasons, names in broken.items()
    )


def _template(key: str, obj: Object) -> Mapping[str, Any] | None:
    if key == "podtemplates":
        return obj.get("template")
    spec = obj.get("spec") or {}
    if key == "cronjobs.batch":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    template: Mapping[str, Any] | None = spec.get("template")
    return template


def _matters(new: Object, old: Object) -> bool:
    """Of a pod's update only other images and new containers do."""

    def images(pod: Object) -> list[tuple[str, Any]]:
        spec = pod.get("spec") or {}
        groups = ("initContainers", "containers", "ephemeralContainers")
        return [(str(c["name"]), c.get("image")) for group in groups for c in spec.get(group) or ()]

    return images(new) != images(old)
