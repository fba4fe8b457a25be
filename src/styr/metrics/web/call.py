"""One request on its way through an endpoint: its parameters, and the parts that it may need. Called by the endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from styr.kinds.transport import Request
from styr.metrics.model.errors import BadData, Unavailable
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import Querier
from styr.metrics.web.forms import MAX_TIME, MIN_TIME, Form
from styr.metrics.web.parts import Admin, Engine, Limits, Parts, Rules, Targets

if TYPE_CHECKING:
    from styr.metrics.web.gate import Gate
    from styr.metrics.web.log import QueryLog

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """`body` is whole and already inflated; `path` the variable part of the path, if it has one."""

    request: Request
    form: Form
    body: bytes
    parts: Parts
    gate: Gate
    log: QueryLog
    path: str = ""

    def _ready(self, part: T | None) -> T:
        if part is None:
            raise Unavailable("TSDB not ready: the storage is being read; /-/ready says when it is")
        return part

    @property
    def engine(self) -> Engine:
        return self._ready(self.parts.engine)

    @property
    def querier(self) -> Querier:
        return self._ready(self.parts.querier)

    @property
    def admin(self) -> Admin:
        return self._ready(self.parts.admin)

    @property
    def targets(self) -> Targets:
        return self._ready(self.parts.targets)

    @property
    def rules(self) -> Rules:
        return self._ready(self.parts.rules)

    async def work(self, function: Callable[[Limits], T]) -> T:
        """In a worker thread, within the limit on queries."""
        return await self.gate.run(function)

    def range(self) -> tuple[int, int]:
        """`start` and `end`, by default all of time."""
        start, end = self.form.time("start", MIN_TIME), self.form.time("end", MAX_TIME)
        if end < start:
            raise BadData("end timestamp must not be before start timestamp")
        return start, end

    def matcher_sets(self, name: str = "match[]") -> list[Sequence[Matcher]]:
        """Raises BadData for one that every series matches."""
        sets = [self.engine.matchers(text) for text in self.form.all(name)]
        if any(all(matcher.matches_empty for matcher in matchers) for matchers in sets):
            raise BadData(f"{name} must contain at least one non-empty matcher")
        return sets
