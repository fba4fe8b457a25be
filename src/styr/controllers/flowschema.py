"""FlowSchemas say whether the priority level that they name is there.

Promise: the condition Dangling of every FlowSchema is False while its PriorityLevelConfiguration exists, and True while not.
"""

from __future__ import annotations

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.kinds import conditions, meta
from styr.kinds.resources import FLOW_SCHEMA, PRIORITY_LEVEL, Object


def plan(schema: Object, found: bool, now: str) -> Object:
    """The status that it should have."""
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    told = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    message = f"{told} and it exists" if found else f"{told} but there is no such object"
    status = schema.get("status") or {}
    known = status.get("conditions")
    reason = "Found" if found else "NotFound"
    old = conditions.find(known, "Dangling")
    if old is not None and (old.get("status"), old.get("reason"), old.get("message")) == (
        str(not found),
        reason,
        message,
    ):
        return status
    return {
        **status,
        "conditions": conditions.put(known, "Dangling", not found, now=now, reason=reason, message=message),
    }


async def reconcile(ctx: Context, key: Key) -> Outcome:
    schema = ctx.get(FLOW_SCHEMA, key)
    if schema is None or meta.deleting(schema):
        return Done()
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    found = ctx.get(PRIORITY_LEVEL, Key("", level)) is not None
    await ctx.set_status(FLOW_SCHEMA, schema, plan(schema, found, ctx.now()))
    return Done()


def _naming(level: Object, ctx: Context) -> list[Key]:
    name = meta.name(level)
    return [
        meta.key(schema)
        for schema in ctx.list(FLOW_SCHEMA)
        if schema["spec"]["priorityLevelConfiguration"]["name"] == name
    ]


def controller() -> Controller:
    return Controller("flowschema", FLOW_SCHEMA, reconcile, watches=(Watch(PRIORITY_LEVEL, _naming),), workers=1)
