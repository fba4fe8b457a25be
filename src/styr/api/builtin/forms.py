"""Kinds that Kubernetes serves in two forms of different shape, and stores in one: Events, and autoscalers.

Called by the registry, and through it by every call to the other form (`Call.present`, `Call.to_store`). Pure; may take its
argument over. Source of the rules: k8s.io/kubernetes pkg/apis/autoscaling/v1/conversion.go and pkg/apis/events/v1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from styr.kinds.resources import Object


@dataclass(frozen=True, slots=True)
class Form:
    """The form that is not stored. `stored` is the apiVersion of stored objects, `key` their name in the store; `fields` says
    where a selectable field of this form is in them."""

    stored: str
    key: str
    show: Callable[[Object], Object]
    store: Callable[[Object], Object]
    fields: Mapping[str, str] = field(default_factory=dict)


# --- Events ----------------------------------------------------------------------------------------------------------

_EVENT = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""Fields of a core Event, as an Event of events.k8s.io has them. The others have one name."""
_STORED_EVENT = {new: old for old, new in _EVENT.items()}


def _new_event(obj: Object) -> Object:
    return {_EVENT.get(key, key): value for key, value in obj.items()} | {"apiVersion": "events.k8s.io/v1"}


def _core_event(obj: Object) -> Object:
    return {_STORED_EVENT.get(key, key): value for key, value in obj.items()} | {"apiVersion": "v1"}


# --- autoscalers -------------------------------------------------------------------------------------------------------

_KEPT = "autoscaling.alpha.kubernetes.io/"
"""What autoscaling/v1 has no fields for is kept in these annotations: metrics, current-metrics, conditions, behavior."""
_DEFAULT_CPU = 80


def _is_cpu(metric: Object, place: str) -> bool:
    """The one metric that v1 has a field for."""
    found = metric.get("resource") or {}
    plain = metric.get("type") == "Resource" and found.get("name") == "cpu"
    return plain and (found.get(place) or {}).get("averageUtilization") is not None


def _v1_autoscaler(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    notes: dict[str, Any] = {}
    metrics, current = spec.pop("metrics", None) or [], status.pop("currentMetrics", None) or []
    cpu = [metric["resource"]["target"]["averageUtilization"] for metric in metrics if _is_cpu(metric, "target")]
    if cpu:
        spec["targetCPUUtilizationPercentage"] = cpu[0]
    if others := [_flat(metric, "target") for metric in metrics if not _is_cpu(metric, "target")]:
        notes["metrics"] = others
    if used := [
        metric["resource"]["current"]["averageUtilization"] for metric in current if _is_cpu(metric, "current")
    ]:
        status["currentCPUUtilizationPercentage"] = used[-1]
    if current:
        notes["current-metrics"] = [_flat(metric, "current") for metric in current]
    if conditions := status.pop("conditions", None):
        notes["conditions"] = conditions
    if behavior := spec.pop("behavior", None):
        notes["behavior"] = behavior
    made = {**obj, "apiVersion": "autoscaling/v1", "spec": spec, "status": status}
    return _with_notes(made, notes)


def _v2_autoscaler(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    notes = {key: _read(text) for key, text in ((obj.get("metadata") or {}).get("annotations") or {}).items()}
    metrics = [_deep(metric, "target") for metric in _objects(notes.get(f"{_KEPT}metrics"))]
    cpu = spec.pop("targetCPUUtilizationPercentage", None)
    if cpu is not None or not metrics:
        metrics.append(
            _cpu("target", {"type": "Utilization", "averageUtilization": _DEFAULT_CPU if cpu is None else cpu})
        )
    used = status.pop("currentCPUUtilizationPercentage", None)
    current = [] if used is None else [_cpu("current", {"averageUtilization": used})]
    if isinstance(notes.get(f"{_KEPT}current-metrics"), list):
        current = [_deep(metric, "current") for metric in _objects(notes[f"{_KEPT}current-metrics"])]
    conditions, behavior = _objects(notes.get(f"{_KEPT}conditions")), notes.get(f"{_KEPT}behavior")
    spec["metrics"] = metrics
    status |= {"currentMetrics": current} if current else {}
    status |= {"conditions": conditions} if conditions else {}
    spec |= {"behavior": behavior} if isinstance(behavior, dict) and behavior else {}
    made = {**obj, "apiVersion": "autoscaling/v2", "spec": spec, "status": status}
    return _with_notes(made, {})


def _with_notes(obj: Object, notes: Mapping[str, Any]) -> Object:
    """With these annotations of ours, and no others of ours."""
    metadata = dict(obj.get("metadata") or {})
    found = {key: text for key, text in (metadata.get("annotations") or {}).items() if key not in _NOTES}
    found |= {f"{_KEPT}{key}": json.dumps(value, separators=(",", ":")) for key, value in notes.items()}
    metadata.pop("annotations", None)
    return {**obj, "metadata": metadata | ({"annotations": found} if found else {})}


_NOTES = frozenset(f"{_KEPT}{name}" for name in ("metrics", "current-metrics", "conditions", "behavior"))


def _read(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) and text[:1] in "[{" else None
    except (ValueError, RecursionError):
        return None


def _objects(found: Any) -> list[Object]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _cpu(place: str, value: Object) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", place: value}}


def _field(metric: Object) -> str:
    """`containerResource`: where a metric of this type has what it is about."""
    kind = str(metric.get("type") or "")
    return kind[:1].lower() + kind[1:]


_WORDS = {
    "target": {"value": "targetValue", "averageValue": "targetAverageValue"},
    "current": {"value": "currentValue", "averageValue": "currentAverageValue"},
}


_ZERO = {
    ("target", "object"): "targetValue",
    ("current", "object"): "currentValue",
    ("current", "external"): "currentValue",
    ("current", "pods"): "currentAverageValue",
    ("current", "resource"): "currentAverageValue",
    ("current", "containerResource"): "currentAverageValue",
}
"""Numbers that v1 always writes."""


def _flat(metric: Object, place: str) -> Object:
    """A metric of v2 as those of the annotations are: without a level for the metric, and without one for the numbers."""
    name = _field(metric)
    found = dict(metric.get(name) or {})
    numbers = dict(found.pop(place, None) or {})
    about = dict(found.pop("metric", None) or {})
    numbers.pop("type", None)
    selector = "metricSelector" if name == "external" else "selector"
    made = {**found, **_named(about, {"name": "metricName", "selector": selector})}
    if "describedObject" in made:
        made["target"] = made.pop("describedObject")
    words = {**_WORDS[place], "averageUtilization": f"{place}AverageUtilization"}
    if name == "object":
        words["averageValue"] = "averageValue"
    zero = _ZERO.get((place, name))
    return {"type": metric.get("type"), name: made | ({zero: "0"} if zero else {}) | _named(numbers, words)}


def _deep(metric: Object, place: str) -> Object:
    name = _field(metric)
    found = dict(metric.get(name) or {}) if isinstance(metric.get(name), dict) else {}
    words = {new: old for old, new in _WORDS[place].items()} | {f"{place}AverageUtilization": "averageUtilization"}
    if name == "object":
        words = {f"{place}Value": "value", "averageValue": "averageValue"}
    numbers = {words[key]: found.pop(key) for key in list(found) if key in words}
    if place == "target":
        kinds = (("averageUtilization", "Utilization"), ("averageValue", "AverageValue"))
        numbers["type"] = next((kind for key, kind in kinds if key in numbers), "Value")
        if name == "object" and numbers["type"] == "AverageValue":
            numbers.pop("value", None)
    about = {
        key: found.pop(old)
        for key, old in (("name", "metricName"), ("selector", "metricSelector"), ("selector", "selector"))
        if old in found
    }
    if name == "object" and "target" in found:
        found["describedObject"] = found.pop("target")
    return {"type": metric.get("type"), name: found | ({"metric": about} if about else {}) | {place: numbers}}


def _named(found: Mapping[str, Any], words: Mapping[str, str]) -> Object:
    return {words.get(key, key): value for key, value in found.items()}


FORMS: dict[tuple[str, str], Form] = {
    ("events.k8s.io/v1", "events"): Form(
        "v1",
        "events",
        _new_event,
        _core_event,
        {
            "reportingController": "reportingComponent",
            **{
                f"regarding.{name}": f"involvedObject.{name}"
                for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
            },
        },
    ),
    ("autoscaling/v1", "horizontalpodautoscalers"): Form(
        "autoscaling/v2", "horizontalpodautoscalers.autoscaling", _v1_autoscaler, _v2_autoscaler
    ),
}
"""By apiVersion and plural."""
