"""HorizontalPodAutoscaler, and PodDisruptionBudget of policy."""

from __future__ import annotations

from itertools import islice
from typing import Any

from styr.api.builtin.forms import FORMS
from styr.api.faults import amounts, meta, names
from styr.api.faults.causes import Faults, each, forbidden, get, invalid, not_negative, required, unsupported
from styr.api.faults.selectors import selector
from styr.api.faults.shares import at_most_all, share
from styr.api.schema import MAX_CAUSES
from styr.api.strategies.base import TypedStrategy
from styr.kinds import quantities
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

_SOURCES = {
    "object": "Object",
    "external": "External",
    "pods": "Pods",
    "resource": "Resource",
    "containerResource": "ContainerResource",
}
_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_POPULATE = "must populate information for the given metric source"


class HorizontalPodAutoscalerStrategy(TypedStrategy):
    """The rules are of autoscaling/v2; an autoscaler of v1 is looked at in that form."""

    def rules(self, obj: Object) -> Faults:
        form = FORMS.get((self.stored_version, "horizontalpodautoscalers"))
        spec = (form.store(obj) if form is not None else obj)["spec"]
        least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
        if least is not None and least < 1:
            yield invalid("spec.minReplicas", least, "must be greater than or equal to 1")
        if most < 1:
            yield invalid("spec.maxReplicas", most, "must be greater than 0")
        if least is not None and most < least:
            yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
        yield from _reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef", grouped=True)
        metrics = spec.get("metrics") or []
        for index, metric in enumerate(metrics):
            yield from _metric(metric, f"spec.metrics[{index}]")
        if least == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
            message = "must specify at least one Object or External metric to support scaling to zero replicas"
            yield forbidden("spec.metrics", message)
        for side in ("scaleUp", "scaleDown"):
            if (rules := get(spec, "behavior", side)) is not None:
                yield from _scaling(rules, f"spec.behavior.{side}")

    def status_rules(self, new: Object, old: Object) -> Faults:
        for field in ("currentReplicas", "desiredReplicas"):
            yield from not_negative(f"status.{field}", new["status"].get(field))


def _reference(found: dict[str, Any], path: str, *, grouped: bool = False) -> Faults:
    """`grouped`: it must name an API group."""
    for field in ("kind", "name"):
        if not found.get(field):
            yield required(f"{path}.{field}")
        else:
            yield from each(f"{path}.{field}", found[field], names.path_segment(found[field]))
    version = found.get("apiVersion", "")
    if version.count("/") > 1:
        yield invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    elif grouped and "/" not in version.lstrip("/"):
        yield invalid(f"{path}.apiVersion", version, "apiVersion must specify API group")


def _metric(metric: dict[str, Any], path: str) -> Faults:
    kind = metric.get("type", "")
    given = [field for field in _SOURCES if field in metric]
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    if kind not in _TYPES:
        yield unsupported(f"{path}.type", kind, _TYPES)
    if given:
        yield from _source(metric[given[0]], given[0], f"{path}.{given[0]}")
    wanted = next((field for field, word in _SOURCES.items() if word == kind), "")
    if wanted and wanted not in metric:
        yield required(f"{path}.{wanted}", _POPULATE)
    if len(given) != 1:
        for field in given:
            if field != wanted:
                yield forbidden(f"{path}.{field}", "must populate the given metric source only")


def _source(source: dict[str, Any], kind: str, path: str) -> Faults:
    target = source.get("target") or {}
    if kind == "object":
        yield from _reference(source.get("describedObject") or {}, f"{path}.describedObject")
    if kind in ("object", "external", "pods"):
        name = get(source, "metric", "name") or ""
        if not name:
            yield required(f"{path}.metric.name", "must specify a metric name")
        else:
            yield from each(f"{path}.metric.name", name, names.path_segment(name))
    else:
        yield from _resource(source, kind, path)
    yield from _target(target, f"{path}.target")
    value, average, share_ = (field in target for field in ("value", "averageValue", "averageUtilization"))
    place = f"{path}.target"
    if kind == "object" and not value and not average:
        yield required(f"{place}.averageValue", "must set either a target value or averageValue")
    elif kind == "external":
        if not value and not average:
            yield required(f"{place}.averageValue", "must set either a target value for metric or a per-pod target")
        elif value and average:
            yield forbidden(f"{place}.value", "may not set both a target value for metric and a per-pod target")
    elif kind == "pods" and not average:
        yield required(f"{place}.averageValue", "must specify a positive target averageValue")
    elif kind in ("resource", "containerResource"):
        if not share_ and not average:
            yield required(f"{place}.averageUtilization", "must set either a target raw value or a target utilization")
        elif share_ and average:
            yield forbidden(f"{place}.averageValue", "may not set both a target raw value and a target utilization")


def _resource(source: dict[str, Any], kind: str, path: str) -> Faults:
    name, container = source.get("name", ""), source.get("container", "")
    if not name:
        yield required(f"{path}.name", "must specify a resource name")
    elif kind == "containerResource":
        yield from amounts.container_resource_name(name, f"{path}.name")
    if kind == "containerResource":
        if not container:
            yield required(f"{path}.container", "must specify a container")
        else:
            yield from each(f"{path}.container", container, names.dns_label(container))


def _target(target: dict[str, Any], path: str) -> Faults:
    kind = target.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in ("Utilization", "Value", "AverageValue"):
        yield invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        if field in target and quantities.parse(target[field]) <= 0:
            yield invalid(f"{path}.{field}", target[field], "must be positive")
    share_ = target.get("averageUtilization")
    if share_ is not None and share_ < 1:
        yield invalid(f"{path}.averageUtilization", share_, "must be greater than 0")


def _scaling(rules: dict[str, Any], path: str) -> Faults:
    window, choice = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and window < 0:
        yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > 3600:
        yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be less than or equal to 3600")
    if choice is not None and choice not in ("Disabled", "Max", "Min"):
        yield unsupported(f"{path}.selectPolicy", choice, ("Disabled", "Max", "Min"))
    policies = rules.get("policies") or []
    if not policies:
        yield required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(policies):
        place, seconds, value = f"{path}.policies[{index}]", policy.get("periodSeconds", 0), policy.get("value", 0)
        if policy.get("type", "") not in ("Percent", "Pods"):
            yield unsupported(f"{place}.type", policy.get("type", ""), ("Percent", "Pods"))
        if value <= 0:
            yield invalid(f"{place}.value", value, "must be greater than zero")
        if seconds <= 0:
            yield invalid(f"{place}.periodSeconds", seconds, "must be greater than zero")
        if seconds > 1800:
            yield invalid(f"{place}.periodSeconds", seconds, "must be less than or equal to 1800")
    if "tolerance" in rules:
        yield from amounts.not_negative(rules["tolerance"], f"{path}.tolerance")


class PodDisruptionBudgetStrategy(TypedStrategy):
    def validate(self, obj: Object) -> list[Cause]:
        """The metadata is looked at last, and by nobody but the server."""
        found = list(islice(self.rules(obj), MAX_CAUSES))
        return found or list(meta.faults(obj, namespaced=True, name=names.path_segment))

    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        if "minAvailable" in spec and "maxUnavailable" in spec:
            yield invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
        for field in ("minAvailable", "maxUnavailable"):
            if field in spec:
                yield from share(f"spec.{field}", spec[field])
                yield from at_most_all(f"spec.{field}", spec[field])
        yield from selector(spec.get("selector"), "spec.selector")
        policy = spec.get("unhealthyPodEvictionPolicy")
        if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
            yield unsupported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget"))

    def status_rules(self, new: Object, old: Object) -> Faults:
        for field in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
            yield from not_negative(f"status.{field}", new["status"].get(field))
