"""Deployment, ReplicaSet, ReplicationController, DaemonSet, PodTemplate: selector against template, how they roll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from styr.api.faults import names, pods
from styr.api.faults.causes import Faults, forbidden, get, immutable, invalid, not_negative, required, unsupported
from styr.api.faults.selectors import is_empty, selector
from styr.api.faults.shares import at_most_all, number, share
from styr.api.strategies.base import TypedStrategy
from styr.kinds import selectors
from styr.kinds.resources import Object

_NO_MATCH = "`selector` does not match template `labels`"


def template_of(obj: Object) -> dict[str, Any]:
    found: dict[str, Any] = get(obj, "spec", "template") or {}
    return found


class WorkloadStrategy(TypedStrategy):
    """What they have in common: a template, and a status that is the controller's."""

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        pods.drop(template_of(obj).get("spec") or {}, {})

    def prepare_update(self, new: Object, old: Object) -> None:
        new["status"] = old["status"]
        pods.drop(template_of(new).get("spec") or {}, template_of(old).get("spec") or {})


def counts(status: dict[str, Any], fields: Sequence[str], of_all: Sequence[str], ready: str) -> Faults:
    """Numbers of pods in a status: none negative, none above the whole. `ready` is what the last message calls them."""
    for field in fields:
        yield from not_negative(f"status.{field}", status.get(field))
    whole = status.get("replicas", 0)
    for field in of_all:
        if status.get(field, 0) > whole:
            yield invalid(f"status.{field}", status[field], "cannot be greater than status.replicas")
    if ready and status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        yield invalid("status.availableReplicas", status["availableReplicas"], f"cannot be greater than {ready}")


def always(template: dict[str, Any], path: str, kind: str) -> Faults:
    """Pods that are kept running never end by themselves."""
    spec = template.get("spec") or {}
    if spec.get("restartPolicy") != "Always":
        yield unsupported(f"{path}.spec.restartPolicy", spec.get("restartPolicy", ""), ("Always",))
    if "activeDeadlineSeconds" in spec:
        yield forbidden(f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")


def selector_and_template(
    spec: dict[str, Any], *, kind: str, word: str, invalid_word: str = "invalid label selector"
) -> Faults:
    chosen, template = spec.get("selector"), spec.get("template") or {}
    wrong = list(selector(chosen, "spec.selector"))
    if chosen is None:
        yield required("spec.selector")
    else:
        yield from wrong
        if is_empty(chosen):
            yield invalid("spec.selector", chosen, f"empty selector is invalid for {word}")
    if wrong:
        yield invalid("spec.selector", chosen, invalid_word)
        return
    labels = get(template, "metadata", "labels") or {}
    if not fits(chosen, labels):
        yield invalid("spec.template.metadata.labels", labels or None, _NO_MATCH)
    yield from pods.template(template, "spec.template")
    yield from always(template, "spec.template", kind)


def fits(chosen: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """No selector fits nothing, an empty one everything."""
    if chosen is None:
        return False
    return is_empty(chosen) or selectors.matches(selectors.from_object(chosen), labels)


class ReplicaSetStrategy(WorkloadStrategy):
    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        for field in ("replicas", "minReadySeconds"):
            yield from not_negative(f"spec.{field}", spec.get(field))
        yield from selector_and_template(spec, kind="ReplicaSet", word="deployment")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        yield from immutable("spec.selector", new["spec"].get("selector"), old["spec"].get("selector"))

    def status_rules(self, new: Object, old: Object) -> Faults:
        fields = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
        yield from counts(new["status"], (*fields, "terminatingReplicas"), fields[1:4], "status.readyReplicas")


class ReplicationControllerStrategy(ReplicaSetStrategy):
    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
        chosen, template = spec.get("selector") or {}, spec.get("template")
        if not chosen:
            yield required("spec.selector")
        yield from not_negative("spec.replicas", spec.get("replicas"))
        if template is None:
            yield required("spec.template")
            return
        labels = get(template, "metadata", "labels") or {}
        if not chosen.items() <= labels.items():
            yield invalid("spec.template.metadata.labels", labels or None, _NO_MATCH)
        yield from pods.template(template, "spec.template")
        yield from always(template, "spec.template", "ReplicationController")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)


class DeploymentStrategy(WorkloadStrategy):
    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        yield from not_negative("spec.replicas", spec.get("replicas"))
        yield from selector_and_template(spec, kind="ReplicaSet", word="deployment")
        yield from _rolling(spec.get("strategy") or {})
        yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
        yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
        deadline = spec.get("progressDeadlineSeconds")
        if deadline is not None:
            yield from not_negative("spec.progressDeadlineSeconds", deadline)
            if deadline <= spec.get("minReadySeconds", 0):
                yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        yield from immutable("spec.selector", new["spec"].get("selector"), old["spec"].get("selector"))

    def status_rules(self, new: Object, old: Object) -> Faults:
        fields = ("updatedReplicas", "readyReplicas", "availableReplicas")
        more = ("observedGeneration", "replicas", "unavailableReplicas", "terminatingReplicas", "collisionCount")
        yield from counts(new["status"], (*more, *fields), fields, "readyReplicas")
        known, given = get(old, "status", "collisionCount"), new["status"].get("collisionCount")
        if known is not None and (given is None or given < known):
            yield invalid("status.collisionCount", given, "cannot be decremented")


def _rolling(strategy: dict[str, Any]) -> Faults:
    path, rolling = "spec.strategy.rollingUpdate", strategy.get("rollingUpdate")
    kind = strategy.get("type", "")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden(path, "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        rolling = rolling or {}
        most, least = rolling.get("maxSurge", 0), rolling.get("maxUnavailable", 0)
        yield from share(f"{path}.maxUnavailable", least)
        yield from share(f"{path}.maxSurge", most)
        if number(most) == number(least) == 0:
            yield invalid(f"{path}.maxUnavailable", least, "may not be 0 when `maxSurge` is 0")
        yield from at_most_all(f"{path}.maxUnavailable", least)
    else:
        yield unsupported("spec.strategy", strategy, ("Recreate", "RollingUpdate"))


GENERATION = "deprecated.daemonset.template.generation"


class DaemonSetStrategy(WorkloadStrategy):
    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        obj["metadata"].setdefault("annotations", {})[GENERATION] = "1"

    def prepare_update(self, new: Object, old: Object) -> None:
        super().prepare_update(new, old)
        known = get(old, "metadata", "annotations", GENERATION) or "1"
        changed = new["spec"].get("template") != old["spec"].get("template")
        count = int(known) + changed if known.isdigit() else 1
        new["metadata"].setdefault("annotations", {})[GENERATION] = str(count)

    def rules(self, obj: Object) -> Faults:
        spec = obj["spec"]
        chosen, template = spec.get("selector"), spec.get("template") or {}
        wrong = list(selector(chosen, "spec.selector"))
        yield from wrong
        labels = get(template, "metadata", "labels") or {}
        if not wrong and not fits(chosen, labels):
            yield invalid("spec.template.metadata.labels", labels or None, _NO_MATCH)
        if chosen is not None and is_empty(chosen):
            yield invalid("spec.selector", chosen, "empty selector is invalid for daemonset")
        yield from pods.template(template, "spec.template")
        yield from always(template, "spec.template", "DaemonSet")
        yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
        yield from _daemon_rolling(spec.get("updateStrategy") or {})
        yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        yield from immutable("spec.selector", new["spec"].get("selector"), old["spec"].get("selector"))

    def status_rules(self, new: Object, old: Object) -> Faults:
        fields = (
            "currentNumberScheduled numberMisscheduled desiredNumberScheduled numberReady observedGeneration "
            "updatedNumberScheduled numberAvailable numberUnavailable collisionCount"
        )
        for field in fields.split():
            yield from not_negative(f"status.{field}", new["status"].get(field))


def _daemon_rolling(strategy: dict[str, Any]) -> Faults:
    path, rolling, kind = "spec.updateStrategy", strategy.get("rollingUpdate"), strategy.get("type", "")
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        yield unsupported(path, strategy, ("RollingUpdate", "OnDelete"))
        return
    if rolling is None:
        yield required(f"{path}.rollingUpdate")
        return
    place, least, most = f"{path}.rollingUpdate", rolling["maxUnavailable"], rolling["maxSurge"]
    for field in ("maxUnavailable", "maxSurge"):
        yield from share(f"{place}.{field}", rolling[field])
    for field in ("maxUnavailable", "maxSurge"):
        yield from at_most_all(f"{place}.{field}", rolling[field])
    if number(least) and number(most):
        yield invalid(f"{place}.maxSurge", most, "may not be set when maxUnavailable is non-zero")
    elif not number(least) and not number(most):
        yield required(f"{place}.maxUnavailable", "cannot be 0 when maxSurge is 0")


class PodTemplateStrategy(TypedStrategy):
    name_check = staticmethod(names.dns_subdomain)

    def prepare_create(self, obj: Object) -> None:
        pods.drop(get(obj, "template", "spec") or {}, {})

    def prepare_update(self, new: Object, old: Object) -> None:
        pods.drop(get(new, "template", "spec") or {}, get(old, "template", "spec") or {})

    def rules(self, obj: Object) -> Faults:
        yield from pods.template(obj.get("template"), "template")
