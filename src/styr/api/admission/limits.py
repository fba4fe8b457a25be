"""LimitRanger: the limits of a namespace for pods, containers and claims. What a container leaves out is filled in before
the pod is validated; what is too little or too much is refused, with Kubernetes' texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from styr.api.admission import amounts
from styr.api.admission.amounts import Amount, Amounts
from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.registry import ServedResource
from styr.api.store.commit import Store, Txn
from styr.kinds.resources import LIMIT_RANGE, Object

ANNOTATION = "kubernetes.io/limit-ranger"


class LimitRanger(Base):
    name = "LimitRanger"

    def __init__(self, store: Store) -> None:
        self._store = store

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        if served.key == "pods":
            return (operation, subresource) in (("CREATE", ""), ("UPDATE", "resize"))
        return served.key == "persistentvolumeclaims" and not subresource and operation in ("CREATE", "UPDATE")

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        pod = attributes.object
        if attributes.key != "pods" or pod is None:
            return
        for limits in self._limits(attributes, txn):
            if fill_in(pod, limits):
                attributes.touched = True

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        obj = attributes.object
        if obj is None or (attributes.old is not None and "deletionTimestamp" in attributes.old["metadata"]):
            return
        for limits in self._limits(attributes, txn):
            faults = list(pod_faults(obj, limits) if attributes.key == "pods" else claim_faults(obj, limits))
            if faults:
                text = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
                raise attributes.forbidden(text)

    def _limits(self, attributes: Attributes, txn: Txn) -> Iterator[list[Object]]:
        """`spec.limits` of each LimitRange of the namespace, by name."""
        key = LIMIT_RANGE.group_resource
        if not self._store.state(key):
            return
        found = sorted(txn.list(key, attributes.namespace), key=lambda entry: entry[0].name)
        for _, record in found:
            yield (record.decode().get("spec") or {}).get("limits") or []


def fill_in(pod: Object, limits: list[Object]) -> bool:
    """Gives every container the defaults of the range; an annotation tells which. True when there was something to give."""
    defaults: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for entry in limits:
        if entry.get("type") == "Container":
            defaults["requests"] |= entry.get("defaultRequest") or {}
            defaults["limits"] |= entry.get("default") or {}
    told: list[str] = []
    for group, word in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(group) or ():
            told += _fill_container(container, defaults, word)
    if told:
        notes = pod["metadata"].setdefault("annotations", {})
        notes[ANNOTATION] = f"LimitRanger plugin set: {'; '.join(told)}"
    return bool(told)


def _fill_container(container: Object, defaults: Mapping[str, Mapping[str, str]], word: str) -> Iterator[str]:
    for field, singular in (("requests", "request"), ("limits", "limit")):
        known = (container.get("resources") or {}).get(field) or {}
        missing = {name: text for name, text in defaults[field].items() if name not in known}
        if missing:
            container.setdefault("resources", {})[field] = {**known, **missing}
            yield f"{', '.join(sorted(missing))} {singular} for {word} {container['name']}"


def pod_faults(pod: Object, limits: Iterable[Object]) -> Iterator[str]:
    spec = pod["spec"]
    for entry in limits:
        if entry.get("type") == "Container":
            for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
                wanted = container.get("resources") or {}
                requests, most = (amounts.parse_all(wanted.get(field)) for field in ("requests", "limits"))
                yield from _faults("Container", entry, requests, most)
        elif entry.get("type") == "Pod":
            requests, most = (amounts.of_pod(pod, field, overhead=False) for field in ("requests", "limits"))
            yield from _faults("Pod", entry, requests, most)


def claim_faults(claim: Object, limits: Iterable[Object]) -> Iterator[str]:
    wanted = amounts.parse_all((claim["spec"].get("resources") or {}).get("requests"))
    kind = "PersistentVolumeClaim"
    for entry in limits:
        if entry.get("type") != kind:
            continue
        for name, least in _sorted(entry, "min"):
            yield from _least(kind, name, least, wanted.get(name), None)
        for name, most in _sorted(entry, "max"):
            found, rule = wanted.get(name), f"maximum {name} usage per {kind} is {most}"
            if found is None:
                yield f"{rule}.  No request is specified"
            elif found.value > most.value:
                yield f"{rule}, but request is {found}"


def _faults(kind: str, entry: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in _sorted(entry, "min"):
        yield from _least(kind, name, least, requests.get(name), limits.get(name))
    for name, most in _sorted(entry, "max"):
        yield from _most(kind, name, most, requests.get(name), limits.get(name))
    for name, ratio in _sorted(entry, "maxLimitRequestRatio"):
        yield from _ratio(kind, name, ratio, requests.get(name), limits.get(name))


def _sorted(entry: Object, field: str) -> list[tuple[str, Amount]]:
    return sorted(amounts.parse_all(entry.get(field)).items())


def _least(kind: str, name: str, least: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    rule = f"minimum {name} usage per {kind} is {least}"
    if request is None:
        yield f"{rule}.  No request is specified"
    elif request.value < least.value:
        yield f"{rule}, but request is {request}"
    elif limit is not None and limit.value < least.value:
        yield f"{rule}, but limit is {limit}"


def _most(kind: str, name: str, most: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    rule = f"maximum {name} usage per {kind} is {most}"
    if limit is None:
        yield f"{rule}.  No limit is specified"
    elif limit.value > most.value:
        yield f"{rule}, but limit is {limit}"
    elif request is not None and request.value > most.value:
        yield f"{rule}, but request is {request}"


def _ratio(kind: str, name: str, ratio: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    rule = f"{name} max limit to request ratio per {kind} is {ratio}"
    zero: Any = Fraction(0)
    if request is None or request.value == zero:
        yield f"{rule}, but no request is specified or request is 0"
    elif limit is None or limit.value == zero:
        yield f"{rule}, but no limit is specified or limit is 0"
    elif limit.value > ratio.value * request.value:
        yield f"{rule}, but provided ratio is {float(limit.value / request.value):f}"
