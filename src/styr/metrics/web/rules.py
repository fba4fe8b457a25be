"""`rules`, `alerts`, `alertmanagers`. Called by `api`; `rules.status` makes the shapes, here are only the parameters."""

from __future__ import annotations

from styr.kinds.transport import Response
from styr.metrics.rules import status
from styr.metrics.rules.groups import Rule
from styr.metrics.web import reply
from styr.metrics.web.call import Call
from styr.metrics.web.forms import invalid


async def rules(call: Call) -> Response:
    """Groups of rules, filtered and in pages."""
    form = call.form
    size, token = _page(call)
    wanted = status.Filter(
        kind=form.text("type").lower(),
        names=frozenset(form.all("rule_name[]")),
        groups=frozenset(form.all("rule_group[]")),
        files=frozenset(form.all("file[]")),
        matchers=call.matcher_sets(),
        alerts=not form.flag("exclude_alerts"),
        limit=size,
        token=token,
    )
    engine = call.engine

    def shown(rule: Rule) -> str:
        return rule.expr if rule.ast is None else engine.text(rule.ast)

    return reply.data(status.rules(call.rules.groups, wanted, shown))


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


async def alerts(call: Call) -> Response:
    """Alerts that are pending or firing."""
    return reply.data(status.alerts(call.rules.groups))


async def alertmanagers(call: Call) -> Response:
    """Where alerts are sent."""
    active, dropped = call.rules.alertmanagers()
    return reply.data(
        {
            "activeAlertmanagers": [{"url": url} for url in active],
            "droppedAlertmanagers": [{"url": url} for url in dropped],
        }
    )
