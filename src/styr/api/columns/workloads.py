"""The cells of the kinds that run pods, and of what watches over them. Called by `printers`."""

from __future__ import annotations

from typing import Any

from styr.api.builtin.forms import FORMS
from styr.api.columns.words import NONE, UNKNOWN, UNSET, at, born, condition, containers, labels, name, number, selector
from styr.api.durations import age, human_duration
from styr.kinds.resources import Object
from styr.kit.clock import parse_rfc3339

_TEMPLATE = "spec.template.spec"


def deployment(obj: Object, now: float) -> list[Any]:
    ready = f"{number(obj, 'status.readyReplicas')}/{number(obj, 'spec.replicas')}"
    counts = [number(obj, "status.updatedReplicas"), number(obj, "status.availableReplicas")]
    chosen = selector(at(obj, "spec.selector", None))
    chosen = "" if chosen == NONE else chosen
    return [name(obj), ready, *counts, born(obj, now), *containers(at(obj, _TEMPLATE)), chosen]


def replica_set(obj: Object, now: float) -> list[Any]:
    return [*_replicas(obj, now), *containers(at(obj, _TEMPLATE)), selector(at(obj, "spec.selector", None))]


def replication_controller(obj: Object, now: float) -> list[Any]:
    return [*_replicas(obj, now), *containers(at(obj, _TEMPLATE)), labels(at(obj, "spec.selector", {}))]


def _replicas(obj: Object, now: float) -> list[Any]:
    paths = ("spec.replicas", "status.replicas", "status.readyReplicas")
    return [name(obj), *(number(obj, path) for path in paths), born(obj, now)]


def stateful_set(obj: Object, now: float) -> list[Any]:
    ready = f"{number(obj, 'status.readyReplicas')}/{number(obj, 'spec.replicas')}"
    return [name(obj), ready, born(obj, now), *containers(at(obj, _TEMPLATE))]


def daemon_set(obj: Object, now: float) -> list[Any]:
    counts = ["desiredNumberScheduled", "currentNumberScheduled", "numberReady"]
    counts += ["updatedNumberScheduled", "numberAvailable"]
    cells = [name(obj), *(number(obj, f"status.{count}") for count in counts)]
    cells += [labels(at(obj, f"{_TEMPLATE}.nodeSelector", {})), born(obj, now)]
    return [*cells, *containers(at(obj, _TEMPLATE)), selector(at(obj, "spec.selector", None))]


def pod_template(obj: Object, now: float) -> list[Any]:
    return [name(obj), *containers(at(obj, "template.spec")), labels(at(obj, "template.metadata.labels", {}))]


_JOB_STATES = {
    "Complete": "Complete",
    "Failed": "Failed",
    "": "Terminating",
    "Suspended": "Suspended",
    "FailureTarget": "FailureTarget",
    "SuccessCriteriaMet": "SuccessCriteriaMet",
}
"""The first condition that is true; "" is the deletion of the job."""


def job(obj: Object, now: float) -> list[Any]:
    deleting = at(obj, "metadata.deletionTimestamp", None) is not None
    holds = (word for kind, word in _JOB_STATES.items() if (condition(obj, kind) == "True" if kind else deleting))
    cells = [name(obj), next(holds, "Running"), _completions(obj), _duration(obj, now), born(obj, now)]
    return [*cells, *containers(at(obj, _TEMPLATE)), selector(at(obj, "spec.selector", None))]


def _completions(obj: Object) -> str:
    done, wanted = number(obj, "status.succeeded"), at(obj, "spec.completions", None)
    if wanted is not None:
        return f"{done}/{wanted}"
    parallel = number(obj, "spec.parallelism")
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _duration(obj: Object, now: float) -> str:
    began, ended = at(obj, "status.startTime", None), at(obj, "status.completionTime", None)
    if began is None:
        return ""
    return human_duration((now if ended is None else parse_rfc3339(ended)) - parse_rfc3339(began))


def cron_job(obj: Object, now: float) -> list[Any]:
    last, suspend = at(obj, "status.lastScheduleTime", None), at(obj, "spec.suspend", None)
    template = at(obj, "spec.jobTemplate.spec", {})
    cells = [name(obj), at(obj, "spec.schedule"), at(obj, "spec.timeZone", NONE)]
    cells += [UNSET if suspend is None else str(suspend), len(at(obj, "status.active", ()))]
    cells += [NONE if last is None else age(last, now), born(obj, now)]
    return [*cells, *containers(at(template, "template.spec")), selector(at(template, "selector", None))]


def controller_revision(obj: Object, now: float) -> list[Any]:
    owners = at(obj, "metadata.ownerReferences", ())
    owner = next((each for each in owners if each.get("controller")), None)
    text = NONE
    if owner:
        group, slash, _ = str(owner["apiVersion"]).rpartition("/")
        kind = f"{owner['kind']}.{group}" if slash else owner["kind"]
        text = f"{kind.lower()}/{owner['name']}"
    return [name(obj), text, number(obj, "revision"), born(obj, now)]


def disruption_budget(obj: Object, now: float) -> list[Any]:
    bounds = [str(at(obj, f"spec.{field}", "N/A")) for field in ("minAvailable", "maxUnavailable")]
    return [name(obj), *bounds, number(obj, "status.disruptionsAllowed"), born(obj, now)]


# --- autoscaling ---------------------------------------------------------------------------------------------------


def autoscaler(obj: Object, now: float) -> list[Any]:
    if obj.get("apiVersion") == "autoscaling/v1":
        obj = FORMS["autoscaling/v1", "horizontalpodautoscalers"].store(obj)
    target = f"{at(obj, 'spec.scaleTargetRef.kind')}/{at(obj, 'spec.scaleTargetRef.name')}"
    least = at(obj, "spec.minReplicas", None)
    counts = [UNSET if least is None else str(least), number(obj, "spec.maxReplicas")]
    return [name(obj), target, _targets(obj), *counts, number(obj, "status.currentReplicas"), born(obj, now)]


def _targets(obj: Object) -> str:
    wanted, found = at(obj, "spec.metrics", ()), at(obj, "status.currentMetrics", ())
    texts = [_target(spec, found[index] if index < len(found) else {}) for index, spec in enumerate(wanted)]
    if not texts:
        return NONE
    text = ", ".join(texts[:2])
    return f"{text} + {len(texts) - 2} more..." if len(texts) > 2 else text


def _target(spec: Object, status: Object) -> str:
    kind = spec.get("type", "")
    field = kind[:1].lower() + kind[1:]
    wanted, current = at(spec, f"{field}.target", {}), at(status, f"{field}.current", None)
    average = at(wanted, "averageValue", None)
    if kind in ("Resource", "ContainerResource"):
        prefix = f"{at(spec, f'{field}.name')}: "
        if average is not None:
            shown = UNKNOWN if current is None else at(current, "averageValue", "<nil>")
            return f"{prefix}{shown}/{average}"
        shown, target = at(current, "averageUtilization", None), at(wanted, "averageUtilization", None)
        return f"{prefix}{_percent(shown, UNKNOWN)}/{_percent(target, '<auto>')}"
    if kind == "Pods":
        shown = UNKNOWN if current is None else at(current, "averageValue", "<nil>")
        return f"{shown}/{at(wanted, 'averageValue', '<nil>')}"
    if kind in ("Object", "External"):
        if average is not None:
            return f"{at(current, 'averageValue', UNKNOWN)}/{average} (avg)"
        shown = UNKNOWN if current is None else at(current, "value", "<nil>")
        return f"{shown}/{at(wanted, 'value', '<nil>')}"
    return "<unknown type>"


def _percent(value: Any, missing: str) -> str:
    return missing if value is None else f"{value}%"


def scale(obj: Object, now: float) -> list[Any]:
    return [name(obj), number(obj, "spec.replicas"), number(obj, "status.replicas"), born(obj, now)]
