"""PrometheusRule objects as groups: every one of every namespace. What is wrong with one is told on the object.

Made by the process, which adds `controllers()` to its manager and awaits `run` beside it; `apply` is handed all groups when
they change. An object with one wrong rule counts as a whole or not at all, as in Prometheus; what it had before goes on until
it is right again, so that a typo does not silence alerts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from styr.client.controller import Context, Controller, Done, Key, Outcome
from styr.kinds import meta
from styr.kinds.resources import PROMETHEUS_RULE, Object
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.rules.groups import Group, InvalidRules, ParseExpr, parse_groups
from styr.metrics.tell import tell

log = Log("styr.metrics.rules")

SETTLE = 0.2
"""Seconds in which further changes become part of the same list."""

Apply = Callable[[Sequence[Group]], Awaitable[None]]


def groups_of(obj: Object, parse: ParseExpr, interval: int) -> list[Group]:
    """`interval` in ms is for groups that name none. Unknown fields are no error: `tell` names them. Raises InvalidRules."""
    source = f"{meta.namespace(obj)}/{meta.name(obj)}"
    return parse_groups(obj.get("spec") or {}, source, parse, interval=interval, strict=False)


class RuleObjects:
    """`apply` is awaited; what it raises is logged, and tried again at the next change."""

    def __init__(self, apply: Apply, parse: ParseExpr, clock: Clock, *, interval: int = 60_000) -> None:
        self._apply = apply
        self._parse = parse
        self._clock = clock
        self._interval = interval
        self._groups: dict[Key, list[Group]] = {}
        self._changed = asyncio.Event()
        self._changed.set()

    def controllers(self) -> list[Controller]:
        return [Controller(PROMETHEUS_RULE.plural, PROMETHEUS_RULE, self._reconcile, workers=1)]

    def groups(self) -> list[Group]:
        return [group for _, groups in sorted(self._groups.items()) for group in groups]

    async def run(self) -> None:
        """Until cancelled. Hands over the list at once, also an empty one, and after each change."""
        while True:
            await self._changed.wait()
            await self._clock.sleep(SETTLE)
            self._changed.clear()
            try:
                await self._apply(self.groups())
            except Exception as error:
                log.error("rules were not applied", error)

    async def _reconcile(self, context: Context, key: Key) -> Outcome:
        obj = context.get(PROMETHEUS_RULE, key)
        if obj is None or meta.deleting(obj):
            self._keep(key, [])
            return Done()
        problem = ""
        try:
            self._keep(key, groups_of(obj, self._parse, self._interval))
        except InvalidRules as error:
            earlier = "; what it said before goes on" if key in self._groups else ""
            problem = "; ".join(str(each) for each in error.problems) + earlier
        await tell(context, PROMETHEUS_RULE, obj, problem)
        return Done()

    def _keep(self, key: Key, groups: list[Group]) -> None:
        before = self._groups.pop(key, [])
        if groups:
            self._groups[key] = groups
        if before != groups:
            self._changed.set()
