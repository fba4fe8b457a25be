"""Since when alerts were pending before a restart, read from ALERTS_FOR_STATE. Called by `scheduler`, once per group,
after the second evaluation: before that, what alerts depend on might not be scraped yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from styr.kit.log import Log
from styr.metrics.model.errors import MetricsError
from styr.metrics.model.labels import METRIC_NAME, Labels, without
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import Querier
from styr.metrics.rules.alerting import ALERTS_FOR_STATE
from styr.metrics.rules.evaluation import Engine, is_stale
from styr.metrics.rules.groups import Rule
from styr.metrics.rules.running import RunningGroup

log = Log("styr.metrics.rules")


async def restore(running: RunningGroup, ts: int, engine: Engine) -> None:
    """Never raises for a failing storage: the alerts then wait their whole `for` once more."""
    begin = engine.clock.monotonic()
    for rule in running.rules:
        states = rule.states
        if states is None or states.restored:
            continue
        found: dict[Labels, tuple[int, float]] = {}
        if engine.querier is not None and rule.rule.hold >= engine.for_grace and states.active:
            read = partial(_read, engine.querier, rule.rule, ts - engine.outage, ts)
            try:
                found = await engine.run(read)
            except MetricsError as error:
                log.warning("restoring the state of an alert failed", alert=rule.rule.name, error=error)
        states.restore(found, ts, engine.for_grace)
    running.restoring = False
    running.counters.restore_time = engine.clock.monotonic() - begin


def _read(querier: Callable[[], Querier], rule: Rule, start: int, end: int) -> dict[Labels, tuple[int, float]]:
    return recorded(querier(), rule, start, end)


def recorded(querier: Querier, rule: Rule, start: int, end: int) -> dict[Labels, tuple[int, float]]:
    """The last sample of each ALERTS_FOR_STATE series of a rule that had not gone stale, by its labels without the
    name. Labels with templates differ by instance, so they select nothing."""
    matchers = [Matcher("=", METRIC_NAME, ALERTS_FOR_STATE), Matcher("=", "alertname", rule.name)]
    matchers += [Matcher("=", name, value) for name, value in rule.labels if "{{" not in value and name not in _OWN]
    selection = querier.select(matchers, start, end)
    out: dict[Labels, tuple[int, float]] = {}
    for batch in selection.batches():
        offsets = batch.offsets.tolist()
        for row in range(len(offsets) - 1):
            last = offsets[row + 1] - 1
            if last >= offsets[row] and not is_stale(float(batch.v[last])):
                labels = without(selection.frame.labels(batch.first + row), METRIC_NAME)
                out[labels] = (int(batch.t[last]), float(batch.v[last]))
    return out


_OWN = frozenset({METRIC_NAME, "alertname"})
