"""The spec of a Job, also inside a CronJob. Called by their strategies; pure."""

from __future__ import annotations

import re
from typing import Any

from styr.api.faults import names, pods
from styr.api.faults.causes import (
    OMITTED,
    Faults,
    duplicate,
    each,
    invalid,
    not_negative,
    required,
    too_long,
    too_many,
    unsupported,
)
from styr.api.faults.paths import domain_path

_MOST = 100_000
_MOST_HIGH = 10_000
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_STATUSES = ("False", "True", "Unknown")
_COUNTS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
           "backoffLimitPerIndex", "maxFailedIndexes")  # fmt: skip


def spec(found: dict[str, Any], path: str) -> Faults:
    for field in _COUNTS:
        yield from not_negative(f"{path}.{field}", found.get(field))
    if "maxFailedIndexes" in found and "backoffLimitPerIndex" not in found:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if (manager := found.get("managedBy")) is not None:
        yield from domain_path(f"{path}.managedBy", manager)
        if len(manager) > 63:
            yield too_long(f"{path}.managedBy", 63)
    mode = found.get("completionMode")
    if mode not in (None, "NonIndexed", "Indexed"):
        yield unsupported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))
    if mode == "Indexed":
        yield from _indexed(found, path)
    if mode in (None, "NonIndexed"):
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if field in found:
                yield invalid(f"{path}.{field}", found[field], "requires indexed completion mode")
    yield from _failure(found, f"{path}.podFailurePolicy")
    if "successPolicy" in found:
        if mode != "Indexed":
            yield invalid(f"{path}.successPolicy", found["successPolicy"], "requires indexed completion mode")
        else:
            yield from _success(found, f"{path}.successPolicy")
    yield from _replacement(found, f"{path}.podReplacementPolicy")
    yield from pods.template(found.get("template"), f"{path}.template")
    yield from _restart(found, f"{path}.template.spec.restartPolicy")


def _indexed(found: dict[str, Any], path: str) -> Faults:
    total, beside, failed = found.get("completions"), found.get("parallelism"), found.get("maxFailedIndexes")
    if total is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    if beside is not None and beside > _MOST:
        message = f"must be less than or equal to {_MOST} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", beside, message)
    if failed is not None and total is not None and failed > total:
        yield invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
    if failed is not None and failed > _MOST:
        yield invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_MOST}")
    if total is not None and total > _MOST and "backoffLimitPerIndex" in found:
        limits = f"{_MOST_HIGH} when completions are above {_MOST}"
        words = f"must be less than or equal to {limits} and used with backoff limit per index"
        if failed is None:
            yield required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {_MOST}")
        if beside is not None and beside > _MOST_HIGH:
            yield invalid(f"{path}.parallelism", beside, words)
        if failed is not None and failed > _MOST_HIGH:
            yield invalid(f"{path}.maxFailedIndexes", failed, words)


def _restart(found: dict[str, Any], path: str) -> Faults:
    policy = ((found.get("template") or {}).get("spec") or {}).get("restartPolicy", "")
    if policy in ("", "Always"):
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield unsupported(path, policy, ("OnFailure", "Never"))
    elif "podFailurePolicy" in found and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _quoted(options: tuple[str, ...]) -> str:
    return "valid values: [" + " ".join(f'"{option}"' for option in options) + "]"


def _failure(found: dict[str, Any], path: str) -> Faults:
    if "podFailurePolicy" not in found:
        return
    rules = found["podFailurePolicy"].get("rules") or []
    if len(rules) > 20:
        yield too_many(f"{path}.rules", len(rules), 20)
    template = (found.get("template") or {}).get("spec") or {}
    known = {c.get("name", "") for group in ("containers", "initContainers") for c in template.get(group) or ()}
    for index, rule in enumerate(rules):
        place, action = f"{path}.rules[{index}]", rule.get("action", "")
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
        if not action:
            yield required(f"{place}.action", _quoted(_ACTIONS))
        elif action == "FailIndex":
            if "backoffLimitPerIndex" not in found:
                yield invalid(f"{place}.action", action, "requires the backoffLimitPerIndex to be set")
        elif action not in _ACTIONS:
            yield unsupported(f"{place}.action", action, _ACTIONS)
        if codes is not None:
            yield from _codes(codes, known, f"{place}.onExitCodes")
        if len(conditions) > 20:
            yield too_many(f"{place}.onPodConditions", len(conditions), 20)
        for number, condition in enumerate(conditions):
            yield from _condition(condition, f"{place}.onPodConditions[{number}]")
        if codes is not None and conditions:
            yield invalid(place, OMITTED, "specifying both OnExitCodes and OnPodConditions is not supported")
        elif codes is None and not conditions:
            yield invalid(place, OMITTED, "specifying one of OnExitCodes and OnPodConditions is required")


def _codes(codes: dict[str, Any], known: set[str], path: str) -> Faults:
    operator, values, name = codes.get("operator", ""), codes.get("values") or [], codes.get("containerName")
    if not operator:
        yield required(f"{path}.operator", _quoted(("In", "NotIn")))
    elif operator not in ("In", "NotIn"):
        yield unsupported(f"{path}.operator", operator, ("In", "NotIn"))
    if name is not None and name not in known:
        message = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", name, message)
    if not values:
        yield invalid(f"{path}.values", values or None, "at least one value is required")
    elif len(values) > 255:
        yield too_many(f"{path}.values", len(values), 255)
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            yield invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
        if value in values[:index]:
            yield duplicate(f"{path}.values[{index}]", value)
    if values != sorted(values):
        yield invalid(f"{path}.values", values, "must be ordered")


def _condition(condition: dict[str, Any], path: str) -> Faults:
    kind, status = condition.get("type", ""), condition.get("status", "")
    yield from each(f"{path}.type", kind, names.qualified(kind))
    if not status:
        yield required(f"{path}.status", _quoted(_STATUSES))
    elif status not in _STATUSES:
        yield unsupported(f"{path}.status", status, _STATUSES)


def _success(found: dict[str, Any], path: str) -> Faults:
    rules = found["successPolicy"].get("rules") or []
    if not rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > 20:
        yield too_many(f"{path}.rules", len(rules), 20)
    total = found.get("completions") or 0
    for index, rule in enumerate(rules):
        place = f"{path}.rules[{index}]"
        indexes, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        if indexes is None and count is None:
            yield required(place, "at least one of succeededCount or succeededIndexes must be specified")
        listed = 0
        if indexes is not None:
            if len(indexes) > 64 << 10:
                yield too_long(f"{place}.succeededIndexes", 64 << 10)
            listed, wrong = _indexes(indexes, total)
            if wrong:
                yield invalid(f"{place}.succeededIndexes", indexes, f"error parsing succeededIndexes: {wrong}")
        if count is not None:
            yield from not_negative(f"{place}.succeededCount", count)
            if count > total:
                message = f"must be less than or equal to {total} (the number of specified completions)"
                yield invalid(f"{place}.succeededCount", count, message)
            if indexes is not None and count > listed:
                where = "the number of indexes in the specified succeededIndexes field"
                message = f"must be less than or equal to {listed} ({where})"
                yield invalid(f"{place}.succeededCount", count, message)


def _indexes(text: str, total: int) -> tuple[int, str]:
    """How many `0-3,5` are, and what is wrong with it."""
    if not text:
        return 0, ""
    count, last = 0, -1
    for part in text.split(","):
        ends = part.split("-")
        if len(ends) > 2:
            return (
                0,
                f'the fragment "{part}" violates the requirement that an index interval can have at most two parts '
                "separated by '-'",
            )
        numbers = []
        for end in ends:
            if not re.fullmatch(r"[-+]?\d{1,10}", end):
                return 0, f'cannot convert string to integer for index: "{end}"'
            numbers.append(int(end))
        first, final = numbers[0], numbers[-1]
        if max(numbers) >= total:
            return 0, f'too large index: "{ends[0] if first >= total else ends[-1]}"'
        if first <= last:
            return 0, f"non-increasing order, previous: {last}, current: {first}"
        if len(numbers) == 2 and first >= final:
            return 0, f"non-increasing order, previous: {first}, current: {final}"
        count += final - first + 1
        last = final
    return count, ""


def _replacement(found: dict[str, Any], path: str) -> Faults:
    policy = found.get("podReplacementPolicy")
    if policy is None:
        return
    if "podFailurePolicy" in found:
        if policy != "Failed":
            yield unsupported(path, policy, ("Failed",))
    elif policy not in ("Failed", "TerminatingOrFailed"):
        yield unsupported(path, policy, ("Failed", "TerminatingOrFailed"))
