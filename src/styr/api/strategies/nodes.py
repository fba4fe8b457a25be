"""Node, RuntimeClass, Lease, Event: what the machines say and need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import chain, islice
from typing import Any

from styr.api.faults import amounts, meta, names
from styr.api.faults.addresses import family, legacy_cidr
from styr.api.faults.causes import (
    Faults,
    duplicate,
    each,
    forbidden,
    get,
    immutable,
    invalid,
    not_negative,
    one_of,
    required,
    unsupported,
)
from styr.api.faults.meta import labels
from styr.api.faults.resources import requirements
from styr.api.faults.tolerations import tolerations
from styr.api.schema import MAX_CAUSES
from styr.api.strategies.base import TypedStrategy
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class NodeStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        obj["spec"].pop("configSource", None)
        obj["status"].pop("config", None)

    def prepare_update(self, new: Object, old: Object) -> None:
        new["status"] = old["status"]
        if "configSource" not in old["spec"]:
            new["spec"].pop("configSource", None)

    def rules(self, obj: Object) -> Faults:
        yield from _taints(obj["spec"].get("taints") or [])
        yield from _capacity(obj)
        networks = obj["spec"].get("podCIDRs") or []
        for index, network in enumerate(networks):
            yield from legacy_cidr(f"spec.podCIDRs[{index}]", network)
        if len(networks) > 1:
            families = {family(network.partition("/")[0]) for network in networks}
            if families != {4, 6} or len(networks) > 2:
                yield invalid("spec.podCIDRs", networks, "may specify no more than one CIDR for each IP family")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        before, after = old["spec"], new["spec"]
        if before.get("podCIDRs") and before["podCIDRs"] != after.get("podCIDRs"):
            yield forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
        if before.get("providerID") and before["providerID"] != after.get("providerID"):
            yield forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')
        if before.get("externalID") != after.get("externalID"):
            yield forbidden("spec.externalID", "may not be updated")

    def status_rules(self, new: Object, old: Object) -> Faults:
        yield from _capacity(new)
        seen = []
        for index, address in enumerate(new["status"].get("addresses") or ()):
            if address in seen:
                yield duplicate(f"status.addresses[{index}]", address)
            seen.append(address)


def _capacity(obj: Object) -> Faults:
    for field in ("capacity", "allocatable"):
        for name, value in (obj["status"].get(field) or {}).items():
            yield from amounts.amount(name, value, f"status.{field}.{name}")


def _taints(taints: list[dict[str, Any]]) -> Faults:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        path = f"metadata.taints[{index}]"  # as Kubernetes has it
        key, value, effect = taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
        yield from each(f"{path}.key", key, names.qualified(key))
        if bad := names.label_value(value):
            yield invalid(f"{path}.value", value, ";".join(bad))
        yield from one_of(f"{path}.effect", effect, EFFECTS)
        if (key, effect) in seen:
            cause = duplicate(path, taint)
            cause["message"] += ": taints must be unique by key and effect pair"
            yield cause
        seen.add((key, effect))


class RuntimeClassStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        handler = obj.get("handler", "")
        yield from each("handler", handler, names.dns_label(handler))
        if "overhead" in obj:
            yield from requirements({"limits": obj["overhead"].get("podFixed")}, "overhead", set())
        if "scheduling" in obj:
            yield from labels(obj["scheduling"].get("nodeSelector"), "scheduling.nodeSelector")
            yield from tolerations(obj["scheduling"].get("tolerations") or [], "scheduling.tolerations", unique=True)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        yield from immutable("handler", new.get("handler"), old.get("handler"))


class LeaseStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        self.prepare_update(obj, {"spec": {}})

    def prepare_update(self, new: Object, old: Object) -> None:
        """Coordinated election is not on by default: its fields stay where they are already."""
        for field in ("strategy", "preferredHolder"):
            if field not in old["spec"]:
                new["spec"].pop(field, None)

    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        seconds = spec.get("leaseDurationSeconds")
        if seconds is not None and seconds <= 0:
            yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
        yield from not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))
        strategy = spec.get("strategy")
        if strategy is not None:
            if "/" in strategy:
                yield from each("spec.strategy.strategy", strategy, names.qualified(strategy))
            elif strategy != "OldestEmulationVersion":
                yield unsupported("spec.strategy.strategy", strategy, ("OldestEmulationVersion",))
        if spec.get("preferredHolder") and not strategy:
            yield forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


class EventStrategy(TypedStrategy):
    @cached_property
    def getters(self) -> dict[str, Callable[[Mapping[str, Any]], str]]:
        """`source` is the component, or whoever reports in its place."""
        return dict(super().getters) | {
            "source": lambda obj: get(obj, "source", "component") or obj.get("reportingComponent") or ""
        }

    name_check = staticmethod(names.path_segment)

    def rules(self, obj: Object) -> Faults:
        """Those of the core group, which are looser than those of events.k8s.io."""
        about, place = (obj.get("involvedObject") or {}).get("namespace", ""), obj["metadata"].get("namespace", "")
        if obj.get("eventTime") is None:
            if place != about and (about or place != "default"):
                yield invalid("involvedObject.namespace", about, "does not match event.namespace")
        else:
            if not about and place not in ("default", "kube-system"):
                yield invalid("involvedObject.namespace", about, "does not match event.namespace")
            yield from _reporter(obj)
        yield from each("namespace", place, names.dns_subdomain(place))


class NewEventStrategy(TypedStrategy):
    """Of events.k8s.io: those of the core group, and stricter ones. Faults name the fields of a core Event."""

    name_check = staticmethod(names.path_segment)

    def validate(self, obj: Object) -> list[Cause]:
        strict = meta.faults(obj, namespaced=True, name=names.dns_subdomain)
        return list(_most(_loose(obj), strict, _series(obj), _new_event(obj)))

    def update_faults(self, new: Object, old: Object) -> list[Cause]:
        changed = _series(new) if new.get("series") != old.get("series") else iter(())
        return list(_most(_loose(new), meta.update_faults(new, old), changed, _kept(new, old)))


def _most(*parts: Faults) -> Faults:
    return islice(chain(*parts), MAX_CAUSES)


def _loose(obj: Object) -> Faults:
    about, place = (obj.get("regarding") or {}).get("namespace", ""), obj["metadata"].get("namespace", "")
    if obj.get("eventTime") is None:
        if place != about and (about or place != "default"):
            yield invalid("involvedObject.namespace", about, "does not match event.namespace")
    else:
        if not about and place not in ("default", "kube-system"):
            yield invalid("involvedObject.namespace", about, "does not match event.namespace")
        yield from _reporter(obj, "reportingController", "note")
    yield from each("namespace", place, names.dns_subdomain(place))


def _series(obj: Object) -> Faults:
    if (series := obj.get("series")) is not None:
        if series.get("count", 0) < 2:
            yield invalid("series.count", "", "should be at least 2")
        if not series.get("lastObservedTime"):
            yield required("series.lastObservedTime")


def _new_event(obj: Object) -> Faults:
    if obj.get("eventTime") is None:
        yield required("eventTime")
    if (kind := obj.get("type", "")) not in ("Normal", "Warning"):
        yield invalid("type", "", f"has invalid value: {kind}")
    for field, said in _OLD_FIELDS.items():
        if obj.get(said) and (said != "deprecatedSource" or any(obj[said].values())):
            yield invalid(field, "", "needs to be unset")


_OLD_FIELDS = {
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "source": "deprecatedSource",
}
_FIXED = {
    "involvedObject": ("regarding", {}),
    "reason": ("reason", ""),
    "message": ("note", ""),
    "source": ("deprecatedSource", {}),
    "firstTimestamp": ("deprecatedFirstTimestamp", None),
    "lastTimestamp": ("deprecatedLastTimestamp", None),
    "count": ("deprecatedCount", 0),
    "type": ("type", ""),
    "eventTime": ("eventTime", None),
    "action": ("action", ""),
    "related": ("related", None),
    "reportingController": ("reportingController", ""),
    "reportingInstance": ("reportingInstance", ""),
}


def _kept(new: Object, old: Object) -> Faults:
    for field, (said, absent) in _FIXED.items():
        yield from immutable(field, new.get(said, absent), old.get(said, absent))


def _reporter(obj: Object, reporting: str = "reportingComponent", message: str = "message") -> Faults:
    reporter = obj.get(reporting, "")
    if not reporter:
        yield required(reporting)
    yield from each(reporting, reporter, names.qualified(reporter))
    for field, said, most in (
        ("reportingInstance", "reportingInstance", 128),
        ("action", "action", 128),
        ("reason", "reason", 128),
        ("message", message, 1024),
    ):
        text = obj.get(said, "")
        if not text and field != "message":
            yield required(field)
        if len(text.encode()) > most:
            yield invalid(field, "", f"can have at most {most} characters")
