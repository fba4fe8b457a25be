"""What became of an object of ours, told on the object: the condition `Accepted`, and an event when there is something to say.

Called by `scrape.kubernetes` and `rules.kubernetes`. Fields that are not honoured are named here: nothing is ignored silently.
"""

from __future__ import annotations

from contextlib import suppress

from styr.client.controller import Context
from styr.kinds import conditions, meta
from styr.kinds.errors import NotFound
from styr.kinds.resources import Object, Resource
from styr.metrics.kinds import ignored

CONDITION = "Accepted"
_LIMIT = 1000
"""Characters of a message."""


def verdict(resource: Resource, obj: Object, problem: str) -> tuple[bool, str, str]:
    """(accepted, reason, message). Pure."""
    if problem:
        return False, "Invalid", problem[:_LIMIT]
    if fields := ignored(resource, obj):
        listed = ", ".join(fields)[:_LIMIT]
        return True, "FieldsIgnored", f"In force, but for what this engine does not honour: {listed}"
    return True, "Accepted", ""


async def tell(context: Context, resource: Resource, obj: Object, problem: str) -> None:
    """Writes a difference only. Raises ApiError; Conflict leads to another pass."""
    accepted, reason, message = verdict(resource, obj, problem)
    status = obj.get("status") or {}
    before = conditions.find(status.get("conditions"), CONDITION)
    generation = int(meta.metadata(obj).get("generation") or 0)
    told = conditions.put(
        status.get("conditions"),
        CONDITION,
        accepted,
        now=context.now(),
        reason=reason,
        message=message,
        generation=generation,
    )
    with suppress(NotFound):  # prometheus-operator's older definitions have no status: the event has to do
        await context.set_status(resource, obj, {**status, "conditions": told})
    if message and (before is None or before.get("message") != message):
        await context.event(obj, "Normal" if accepted else "Warning", reason, message)
