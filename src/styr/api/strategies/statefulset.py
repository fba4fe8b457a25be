"""StatefulSet: pods with names and claims of their own."""

from __future__ import annotations

import copy
from typing import Any

from styr.api.faults import claims, names, pods
from styr.api.faults.causes import Faults, each, forbidden, get, invalid, not_negative, required, unsupported
from styr.api.faults.selectors import is_empty, selector
from styr.api.faults.shares import at_most_all, number, share
from styr.api.strategies.workloads import WorkloadStrategy, counts, fits
from styr.kinds.resources import Object

_FREE = ("replicas", "template", "updateStrategy", "minReadySeconds", "ordinals", "revisionHistoryLimit",
         "persistentVolumeClaimRetentionPolicy")  # fmt: skip
_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


class StatefulSetStrategy(WorkloadStrategy):
    name_check = staticmethod(names.dns_label)

    def rules(self, obj: Object) -> Faults:
        yield from _spec(obj["spec"], new=True)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from _spec(new["spec"], new=False, whole=not any(_spec(old["spec"], new=False)))
        after, before = new["spec"], old["spec"]
        if any(after.get(field) != before.get(field) for field in {*after, *before} - {*_FREE}):
            yield forbidden("spec", _FIXED)

    def status_rules(self, new: Object, old: Object) -> Faults:
        fields = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
        more = ("replicas", "observedGeneration", "collisionCount")
        yield from counts(new["status"], (*more, *fields), fields, "status.readyReplicas")
        known, given = get(old, "status", "collisionCount"), new["status"].get("collisionCount")
        if known is not None and (given is None or given < known):
            yield invalid("status.collisionCount", given, "cannot be decremented")


def _spec(spec: dict[str, Any], *, new: bool, whole: bool = True) -> Faults:
    policy = spec.get("podManagementPolicy", "")
    if not policy:
        yield required("spec.podManagementPolicy")
    elif policy not in ("OrderedReady", "Parallel"):
        yield invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _rolling(spec.get("updateStrategy") or {})
    kept = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        if kept.get(field) not in ("Retain", "Delete"):
            place = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            yield unsupported(place, kept.get(field, ""), ("Retain", "Delete"))
    if new:
        yield from _claims(spec)
    for field in ("replicas", "minReadySeconds"):
        yield from not_negative(f"spec.{field}", spec.get(field))
    yield from not_negative("spec.ordinals.start", get(spec, "ordinals", "start"))
    if new and (name := spec.get("serviceName")):
        yield from each("spec.serviceName", name, names.dns_label(name))
    yield from _template(spec, whole)


def _rolling(strategy: dict[str, Any]) -> Faults:
    path, kind, rolling = "spec.updateStrategy", strategy.get("type", ""), strategy.get("rollingUpdate")
    if not kind:
        yield required(path)
    elif kind == "OnDelete":
        if rolling is not None:
            yield invalid(f"{path}.rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'")
    elif kind != "RollingUpdate":
        yield invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None:
        yield from not_negative(f"{path}.rollingUpdate.partition", rolling.get("partition"))
        if "maxUnavailable" in rolling:
            place, most = f"{path}.rollingUpdate.maxUnavailable", rolling["maxUnavailable"]
            yield from share(place, most)
            if number(most) == 0:
                yield invalid(place, most, "cannot be 0")
            yield from at_most_all(place, most)


def _claims(spec: dict[str, Any]) -> Faults:
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        yield from claims.spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")


def _template(spec: dict[str, Any], whole: bool) -> Faults:
    chosen, template = spec.get("selector"), spec.get("template") or {}
    wrong = list(selector(chosen, "spec.selector"))
    if chosen is None:
        yield required("spec.selector")
    else:
        yield from wrong
        if is_empty(chosen):
            yield invalid("spec.selector", chosen, "empty selector is invalid for statefulset")
    if wrong:
        yield invalid("spec.selector", chosen)
    else:
        labels = get(template, "metadata", "labels") or {}
        if not fits(chosen, labels):
            message = "`selector` does not match template `labels`"
            yield invalid("spec.template.metadata.labels", labels or None, message)
        if whole:
            yield from pods.template(_with_claims(spec, template), "spec.template")
    own = template.get("spec") or {}
    if own.get("restartPolicy") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", own.get("restartPolicy", ""), ("Always",))
    if "activeDeadlineSeconds" in own:
        message = "activeDeadlineSeconds in StatefulSet is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", message)


def _with_claims(spec: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
    """The template as its pods will have it: a volume for each claim; names are given, not asked for."""
    own = {key: value for key, value in (template.get("spec") or {}).items() if key not in ("subdomain", "hostname")}
    if claimed := [get(claim, "metadata", "name") or "" for claim in spec.get("volumeClaimTemplates") or ()]:
        made = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in dict.fromkeys(claimed)]
        own["volumes"] = [*made, *(v for v in copy.copy(own.get("volumes") or []) if v.get("name") not in claimed)]
    return template | {"spec": own}
