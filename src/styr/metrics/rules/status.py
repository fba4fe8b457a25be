"""Groups, rules and alerts as the HTTP API v1 shows them. Called by `web` for /api/v1/rules and /api/v1/alerts. Pure.

Shapes are those of Prometheus 3.14; times are RFC 3339 with milliseconds, durations seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import get
from styr.metrics.model.matchers import Matcher
from styr.metrics.rules.alerting import RANK, Alert
from styr.metrics.rules.groups import Rule
from styr.metrics.rules.running import RunningGroup, RunningRule
from styr.metrics.rules.templates.numbers import format_float

NEVER = "0001-01-01T00:00:00Z"
Query = Callable[[Rule], str]
"""How the expression is shown; Prometheus prints the parsed tree."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What /api/v1/rules is asked for; empty means all. `kind`: "alert" or "record". With `limit`, `token` is the
    `groupNextToken` of the page before."""

    kind: str = ""
    names: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    matchers: Sequence[Sequence[Matcher]] = ()
    alerts: bool = True
    limit: int = 0
    token: str = ""


def written(rule: Rule) -> str:
    return rule.expr


def rules(groups: Iterable[RunningGroup], wanted: Filter | None = None, query: Query = written) -> dict[str, Any]:
    """`data` of /api/v1/rules. Raises BadData for a kind or token that there is not."""
    wanted = wanted or Filter()
    if wanted.kind not in ("", "alert", "record"):
        raise BadData(f'invalid parameter "type": not supported value "{wanted.kind}"')
    out: list[dict[str, Any]] = []
    waiting = bool(wanted.limit and wanted.token)
    for running in groups:
        if waiting and next_token(running) != wanted.token:
            continue
        waiting = False
        group = running.group
        if (wanted.groups and group.name not in wanted.groups) or (wanted.files and group.source not in wanted.files):
            continue
        shown = [_rule(each, wanted, query) for each in running.rules if _wanted(each, wanted)]
        if shown:
            if wanted.limit and len(out) == wanted.limit:
                return {"groups": out, "groupNextToken": next_token(running)}
            out.append({**_group(running), "rules": shown})
    if waiting:
        raise BadData(
            f"invalid parameter \"group_next_token\": invalid group_next_token '{wanted.token}'. were rule groups changed?"
        )
    return {"groups": out}


def next_token(running: RunningGroup) -> str:
    return hashlib.sha1(running.group.key.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def alerts(groups: Iterable[RunningGroup]) -> dict[str, Any]:
    """`data` of /api/v1/alerts: by group, and in it firing rules first."""
    out: list[dict[str, Any]] = []
    for running in groups:
        machines = [rule.states for rule in running.rules if rule.states is not None]
        for machine in sorted(machines, key=lambda each: (-RANK[each.state], each.rule.name)):
            out += map(alert, machine.alerts())
    return {"alerts": out}


def _wanted(running: RunningRule, wanted: Filter) -> bool:
    rule = running.rule
    if wanted.kind and wanted.kind != ("alert" if rule.alerting else "record"):
        return False
    if wanted.names and rule.name not in wanted.names:
        return False
    sets = wanted.matchers
    return not sets or any(all(m.matches(get(rule.labels, m.name)) for m in each) for each in sets)


def _group(running: RunningGroup) -> dict[str, Any]:
    group = running.group
    return {
        "name": group.name,
        "file": group.source,
        "rules": [],
        "interval": seconds(group.interval),
        "limit": group.limit,
        "evaluationTime": running.evaluation_time,
        "lastEvaluation": moment(running.last_evaluation),
    }


def _rule(running: RunningRule, wanted: Filter, query: Query) -> dict[str, Any]:
    rule, states = running.rule, running.states
    common = {
        "name": rule.name,
        "query": query(rule),
        "labels": dict(rule.labels),
        "health": running.health,
        **({"lastError": running.last_error} if running.last_error else {}),
        "evaluationTime": running.evaluation_time,
        "lastEvaluation": moment(running.last_evaluation),
    }
    if states is None:
        return {**common, "type": "recording"}
    return {
        "state": states.state if running.last_evaluation is not None else "unknown",
        **common,
        "duration": seconds(rule.hold),
        "keepFiringFor": seconds(rule.keep_firing),
        "annotations": dict(rule.annotations),
        "alerts": [alert(each) for each in states.alerts()] if wanted.alerts else [],
        "type": "alerting",
    }


def alert(each: Alert) -> dict[str, Any]:
    out = {
        "labels": dict(each.labels),
        "annotations": dict(each.annotations),
        "state": each.state,
        "activeAt": moment(each.active_at),
        "value": format_float(each.value, "e"),
    }
    if each.keep_firing_since is not None:
        out["keepFiringSince"] = moment(each.keep_firing_since)
    return out


def moment(ms: int | None) -> str:
    """RFC 3339 in UTC, without trailing zeros, as Go writes times into JSON."""
    if ms is None:
        return NEVER
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    fraction = f".{ms % 1000:03d}".rstrip("0") if ms % 1000 else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def seconds(ms: int) -> float | int:
    return ms // 1000 if ms % 1000 == 0 else ms / 1000
