"""Job and CronJob."""

from __future__ import annotations

import copy
import re
from typing import Any

from styr.api.faults import cron, jobs, names, pods
from styr.api.faults.causes import Faults, get, immutable, invalid, not_negative, required, unsupported
from styr.api.faults.selectors import selector
from styr.api.strategies.base import TypedStrategy
from styr.api.strategies.workloads import fits
from styr.kinds.resources import Object

NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
_CONCURRENCY = ("Allow", "Forbid", "Replace")


class JobStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        spec, meta = obj["spec"], obj["metadata"]
        pods.drop(get(spec, "template", "spec") or {}, {})
        obj["status"] = {}
        if spec.get("manualSelector"):
            return
        labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
        for key in NAME_LABELS:
            labels.setdefault(key, meta["name"])
        for key in UID_LABELS:
            labels.setdefault(key, meta.get("uid", ""))
        chosen = spec.setdefault("selector", {}).setdefault("matchLabels", {})
        chosen.setdefault(UID_LABELS[1], meta.get("uid", ""))
        meta.setdefault("labels", dict(labels))

    def prepare_update(self, new: Object, old: Object) -> None:
        new["status"] = old["status"]
        pods.drop(get(new, "spec", "template", "spec") or {}, get(old, "spec", "template", "spec") or {})

    def rules(self, obj: Object) -> Faults:
        spec, name = obj["spec"], obj["metadata"].get("name", "")
        yield from _generated(obj)
        yield from _selected(spec)
        count = spec.get("completions") or 0
        if spec.get("completionMode") == "Indexed" and count > 0:
            host = f"{name}-{count - 1}"
            if names.dns_label(host):
                message = f"will not able to create pod with invalid DNS label: {host}"
                yield invalid("metadata.name", name, message)

    def update_rules(self, new: Object, old: Object) -> Faults:
        after, before = new["spec"], old["spec"]
        yield from self.rules(new)
        yield from _completions(after, before)
        yield from immutable("spec.selector", after.get("selector"), before.get("selector"))
        yield from _template_kept(after, before, old)
        for field in ("podFailurePolicy", "completionMode", "backoffLimitPerIndex", "managedBy", "successPolicy"):
            yield from immutable(f"spec.{field}", after.get(field), before.get(field))


def _selected(spec: dict[str, Any]) -> Faults:
    yield from jobs.spec(spec, "spec")
    wrong = list(selector(spec.get("selector"), "spec.selector"))
    if "selector" not in spec:
        yield required("spec.selector")
    yield from wrong
    labels = get(spec, "template", "metadata", "labels") or {}
    if not wrong and not fits(spec.get("selector"), labels):
        yield invalid("spec.template.metadata.labels", labels or None, "`selector` does not match template `labels`")


def _generated(obj: Object) -> Faults:
    """The labels and the selector that the server makes, unless the job brings its own."""
    spec, meta = obj["spec"], obj["metadata"]
    if spec.get("manualSelector") or "selector" not in spec:
        return
    labels = get(spec, "template", "metadata", "labels") or {}
    wanted = {UID_LABELS[0]: meta.get("uid", ""), NAME_LABELS[0]: meta.get("name", "")}
    wanted |= {UID_LABELS[1]: meta.get("uid", ""), NAME_LABELS[1]: meta.get("name", "")}
    for key, value in wanted.items():
        path = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            yield required(path, f"must be '{value}'")
        elif labels[key] != value:
            yield invalid(path, labels, f"must be '{value}'")
    if not any(selector(spec["selector"], "")) and not fits(spec["selector"], wanted):
        yield invalid("spec.selector", spec["selector"], "`selector` not auto-generated")


def _completions(new: dict[str, Any], old: dict[str, Any]) -> Faults:
    after, before = new.get("completions"), old.get("completions")
    if new.get("completionMode") != "Indexed":
        yield from immutable("spec.completions", after, before)
    elif after != before and after is not None and after != new.get("parallelism"):
        yield invalid("spec.completions", after, "can only be modified in tandem with spec.parallelism")


def _template_kept(new: dict[str, Any], old: dict[str, Any], before: Object) -> Faults:
    """A job that was suspended and never ran may still say where its pods run."""
    known = copy.deepcopy(old.get("template") or {})
    wanted = new.get("template") or {}
    if old.get("suspend") and "startTime" not in before["status"]:
        after, spec = wanted.get("spec") or {}, known.setdefault("spec", {})
        for field in ("nodeSelector", "tolerations", "schedulingGates"):
            _same(spec, after, field)
        for field in ("annotations", "labels"):
            _same(known.setdefault("metadata", {}), wanted.get("metadata") or {}, field)
        affinity = spec.setdefault("affinity", {})
        _same(affinity, after.get("affinity") or {}, "nodeAffinity")
        if not affinity and not after.get("affinity"):
            spec.pop("affinity")
            if "affinity" in after:
                spec["affinity"] = {}
    if wanted != known:
        yield invalid("spec.template", wanted, "field is immutable")


def _same(place: dict[str, Any], other: dict[str, Any], field: str) -> None:
    if field in other:
        place[field] = other[field]
    else:
        place.pop(field, None)


class CronJobStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {}
        pods.drop(_pod(obj), {})

    def prepare_update(self, new: Object, old: Object) -> None:
        new["status"] = old["status"]
        pods.drop(_pod(new), _pod(old))

    def rules(self, obj: Object) -> Faults:
        yield from _cron(obj["spec"], None)
        name = obj["metadata"].get("name", "")
        if len(name) > 52:
            yield invalid("metadata.name", name, "must be no more than 52 characters")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from _cron(new["spec"], old["spec"])


def _pod(obj: Object) -> dict[str, Any]:
    return get(obj, "spec", "jobTemplate", "spec", "template", "spec") or {}


def _cron(spec: dict[str, Any], old: dict[str, Any] | None) -> Faults:
    schedule, zone = spec.get("schedule", ""), spec.get("timeZone")
    if not schedule:
        yield required("spec.schedule")
    else:
        if wrong := cron.fault(schedule):
            yield invalid("spec.schedule", schedule, wrong)
        odd = old is not None and "TZ" in old.get("schedule", "")
        if "TZ" in schedule and not odd:
            message = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            yield invalid("spec.schedule", schedule, message)
        elif "TZ" in schedule and zone is not None:
            yield invalid("spec.schedule", schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")
    yield from not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    if zone is not None and (old is None or old.get("timeZone") != zone):
        yield from _zone(zone)
    policy = spec.get("concurrencyPolicy", "")
    if not policy:
        yield required("spec.concurrencyPolicy")
    elif policy not in _CONCURRENCY:
        yield unsupported("spec.concurrencyPolicy", policy, _CONCURRENCY)
    job = get(spec, "jobTemplate", "spec") or {}
    yield from jobs.spec(job, "spec.jobTemplate.spec")
    if "selector" in job:
        yield invalid("spec.jobTemplate.spec.selector", job["selector"], "`selector` will be auto-generated")
    if job.get("manualSelector"):
        yield unsupported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from not_negative(f"spec.{field}", spec.get(field))


def _zone(text: str) -> Faults:
    path = "spec.timeZone"
    if not text:
        yield invalid(path, text, "timeZone must be nil or non-empty string")
        return
    parts = text.split("/")
    if any(
        part in (".", "..") or part.startswith("-") or not re.fullmatch(r"[A-Za-z\.\-_0-9+]{1,14}", part)
        for part in parts
    ):
        yield invalid(path, text, f"unknown time zone {text}")
        return
    if text.lower() == "local":
        message = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid(path, text, message)
    elif text != "UTC" and not _known_zone(text):
        yield invalid(path, text, f"unknown time zone {text}")


def _known_zone(text: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        return False
    return True
