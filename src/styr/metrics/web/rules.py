"""`rules`, `alerts`, `alertmanagers`. Called by `api`; calls the rule manager's views."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from styr.kinds.transport import Response
from styr.metrics.kernels import fmt
from styr.metrics.model.labels import Labels, get
from styr.metrics.model.matchers import Matcher
from styr.metrics.web import reply
from styr.metrics.web.call import Call
from styr.metrics.web.forms import invalid
from styr.metrics.web.json import go_time
from styr.metrics.web.parts import Alert, GroupView, RuleView

__all__ = ["alertmanagers", "alerts", "rules"]


async def rules(call: Call) -> Response:
    """Groups of rules, filtered and in pages."""
    form = call.form
    sets = call.matcher_sets()
    kind = form.text("type").lower()
    if kind not in ("", "alert", "record"):
        raise invalid("type", f'not supported value "{kind}"')
    bare = form.flag("exclude_alerts")
    size, token = _page(call)
    names, groups, files = form.all("rule_name[]"), form.all("rule_group[]"), form.all("file[]")
    out: list[Any] = []
    following = ""
    found = token == ""
    for group in call.rules.groups():
        mark = _token(group)
        found = found or mark == token
        if not found or (groups and group.name not in groups) or (files and group.file not in files):
            continue
        shown = [
            _rule(rule, bare)
            for rule in group.rules
            if (not names or rule.name in names) and kind in ("", _kind(rule)[:-3]) and _matches(rule.labels, sets)
        ]
        if shown and size and len(out) == size:
            following = mark
            break
        if shown:
            out.append(_group(group, shown))
    if not found:
        raise invalid("group_next_token", f"invalid group_next_token '{token[:100]}'. were rule groups changed?")
    return reply.data({"groups": out, **({"groupNextToken": following} if following else {})})


def _kind(rule: RuleView) -> str:
    return "alerting" if rule.alerting else "recording"


def _page(call: Call) -> tuple[int, str]:
    """(groups in a page, 0 for all of them; where to go on)."""
    token = call.form.text("group_next_token")
    if not call.form.text("group_limit"):
        if token:
            raise invalid("group_next_token", "group_limit needs to be present in order to paginate over the groups")
        return 0, ""
    size = call.form.limit("group_limit")
    if not size:
        raise invalid("group_limit", "group_limit needs to be greater than 0")
    return size, token


def _token(group: GroupView) -> str:
    return hashlib.sha256(f"{group.file};{group.name}".encode()).hexdigest()


def _matches(labels: Labels, sets: Sequence[Sequence[Matcher]]) -> bool:
    return not sets or any(all(each.matches(get(labels, each.name)) for each in matchers) for matchers in sets)


def _group(group: GroupView, rules: list[Any]) -> dict[str, Any]:
    return {
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": group.interval,
        "limit": group.limit,
        "evaluationTime": group.evaluation_seconds,
        "lastEvaluation": go_time(group.last_evaluation),
    }


def _rule(rule: RuleView, bare: bool) -> dict[str, Any]:
    state: dict[str, Any] = {}
    if rule.alerting:
        state = {
            "state": rule.state,
            "duration": rule.hold,
            "keepFiringFor": rule.keep_firing,
            "annotations": dict(rule.annotations),
            "alerts": None if bare else [_alert(each) for each in rule.alerts],
        }
    return {
        **state,
        "name": rule.name,
        "query": rule.query,
        "labels": dict(rule.labels),
        "health": rule.health,
        **({"lastError": rule.last_error} if rule.last_error else {}),
        "evaluationTime": rule.evaluation_seconds,
        "lastEvaluation": go_time(rule.last_evaluation),
        "type": _kind(rule),
    }


def _alert(alert: Alert) -> dict[str, Any]:
    out = {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "activeAt": go_time(alert.active_at),
        "value": scientific(alert.value),
    }
    if alert.keep_firing_since:
        out["keepFiringSince"] = go_time(alert.keep_firing_since)
    return out


def scientific(value: float) -> str:
    """`1e+00`: the shortest decimal, always with an exponent, as Go's 'e' format."""
    bits = struct.unpack("<q", struct.pack("<d", value))[0]
    out, ends = np.zeros(330, np.uint8), np.zeros(1, np.int64)
    size = fmt.floats(np.array([bits], np.int64), 1, out, ends)
    text = out[:size].tobytes().decode()
    if text[-1] in "fN":
        return text
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, _, fraction = digits.partition(".")
    together = (whole + fraction).lstrip("0")
    exponent = len(whole) - 1 - (len(whole + fraction) - len(together)) if together else 0
    together = together.rstrip("0") or "0"
    mantissa = together[0] + ("." + together[1:] if len(together) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


async def alerts(call: Call) -> Response:
    """Alerts that are pending or firing."""
    found = [each for group in call.rules.groups() for rule in group.rules for each in rule.alerts]
    return reply.data({"alerts": [_alert(each) for each in found]})


async def alertmanagers(call: Call) -> Response:
    """Where alerts are sent."""
    active, dropped = call.rules.alertmanagers()
    return reply.data(
        {
            "activeAlertmanagers": [{"url": url} for url in active],
            "droppedAlertmanagers": [{"url": url} for url in dropped],
        }
    )
