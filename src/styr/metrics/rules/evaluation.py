"""One evaluation of one group: query, decide, tell, write, mark stale. Called by `scheduler` and `unittest`.

Queries and templates run through `Engine.run`, which is a pool of worker threads or, in tests, the caller itself;
states change on the event loop only, so a group that is stopped in the middle leaves them whole. Rules of a group
follow one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.model.errors import MetricsError, QueryCanceled
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import STALE_BITS, Appender, Querier, Refs
from styr.metrics.rules.alerting import Candidate, candidates
from styr.metrics.rules.evaluate import Evaluate, RuleFailed, Sample, Value, Vector
from styr.metrics.rules.groups import Rule
from styr.metrics.rules.outgoing import Outgoing, Send, outgoing
from styr.metrics.rules.recording import record
from styr.metrics.rules.running import RunningGroup, RunningRule
from styr.metrics.rules.templates import AlertData, expand_alert
from styr.metrics.rules.workers import Run, inline

log = Log("styr.metrics.rules")
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])


@dataclass(slots=True)
class Engine:
    """What all groups share. Times in milliseconds. `resend_delay`: a firing alert is told about at least so often.
    `for_grace`: an alert restored with less than this left of its `for` waits so long. `outage`: older `for` state is
    not restored."""

    evaluate: Evaluate
    appender: Appender
    clock: Clock
    run: Run = inline
    send: Send | None = None
    querier: Callable[[], Querier] | None = None
    external_labels: Labels = ()
    external_url: str = ""
    resend_delay: int = 60_000
    for_grace: int = 600_000
    outage: int = 3_600_000

    def now(self) -> int:
        return int(self.clock.time() * 1000)


async def iterate(running: RunningGroup, ts: int, engine: Engine, stopped: Callable[[], bool] = lambda: False) -> None:
    """Evaluates every rule at `ts` and waits until what they gave is on the disk. Never raises for a rule's fault."""
    group, total = running.group, 0
    begin = engine.clock.monotonic()
    running.last_evaluation = engine.now()
    for rule in running.rules:
        if stopped():
            return
        total += await _evaluate(rule, running, ts, engine)
    if running.stale:
        _mark_stale(running.stale, ts - group.query_offset, engine.appender)
        running.stale = []
    await _commit(running, engine)
    running.counters.samples = total
    running.evaluation_time = engine.clock.monotonic() - begin


async def _evaluate(running: RunningRule, group: RunningGroup, ts: int, engine: Engine) -> int:
    begin = engine.clock.monotonic()
    running.last_evaluation = engine.now()
    group.counters.evaluations += 1
    try:
        samples, alerts = await _results(running, group, ts, engine)
        running.health, running.last_error = "ok", ""
        if alerts and engine.send is not None:
            engine.send(alerts)
        _write(running, group, samples, ts, engine)
        return len(samples)
    except (MetricsError, RuleFailed) as error:
        _failed(running, group, str(error), quiet=isinstance(error, QueryCanceled))
    except Exception as error:
        log.error("evaluating a rule failed", error, group=group.group.key, rule=running.rule.name)
        _failed(running, group, f"internal error: {type(error).__name__}: {error}", quiet=True)
    finally:
        running.evaluation_time = engine.clock.monotonic() - begin
    return 0


def _failed(running: RunningRule, group: RunningGroup, reason: str, *, quiet: bool) -> None:
    if not quiet and running.last_error != reason:
        log.warning("evaluating a rule failed", group=group.group.key, rule=running.rule.name, error=reason)
    running.fail(reason)
    group.counters.failures += 1


async def _results(
    running: RunningRule, group: RunningGroup, ts: int, engine: Engine
) -> tuple[list[Sample], list[Outgoing]]:
    rule, offset, limit = running.rule, group.group.query_offset, group.group.limit
    states = running.states
    if states is None:
        result = await engine.run(lambda: engine.evaluate(rule.ast or rule.expr, ts - offset))
        return record(rule, result, ts - offset, limit), []
    found = await engine.run(lambda: _candidates(rule, ts, offset, engine))
    samples = states.step(found, ts, offset, limit)
    due = states.due(ts, engine.resend_delay, group.group.interval)
    return samples, outgoing(due, rule.expr, engine.external_url)


def _candidates(rule: Rule, ts: int, offset: int, engine: Engine) -> list[Candidate]:
    def query(text: str) -> Vector:
        return engine.evaluate(text, ts)

    def expand(text: str, labels: Labels, value: Value) -> str:
        data = AlertData(labels, value, engine.external_labels, engine.external_url)
        return expand_alert(text, rule.name, data, ts, query)

    return candidates(rule, engine.evaluate(rule.ast or rule.expr, ts - offset), expand)


def _write(running: RunningRule, group: RunningGroup, samples: Sequence[Sample], ts: int, engine: Engine) -> None:
    """Appends, and marks stale what the evaluation before had and this one has not."""
    refs = _refs(running, [sample.labels for sample in samples], engine.appender)
    floats = [i for i, sample in enumerate(samples) if not isinstance(sample.value, Histogram)]
    refused: set[int] = set()
    if floats:
        values = np.array([samples[i].value for i in floats], np.float64)
        times = np.array([samples[i].t for i in floats], np.int64)
        appended = engine.appender.append(refs[floats], times, values)
        refused.update(floats[i] for i in appended.refused)
    histograms = [(i, s.t, s.value) for i, s in enumerate(samples) if isinstance(s.value, Histogram)]
    if histograms:
        rows = [int(refs[i]) for i, _, _ in histograms]
        appended = engine.appender.append_histograms(rows, [t for _, t, _ in histograms], [h for _, _, h in histograms])
        refused.update(histograms[i][0] for i in appended.refused)
    if refused:
        _failed(running, group, f"storage refused {len(refused)} of {len(samples)} samples: out of order", quiet=False)
    now = {sample.labels: None for i, sample in enumerate(samples) if i not in refused}
    gone = [labels for labels in running.previous if labels not in now]
    _mark_stale(gone, ts - group.group.query_offset, engine.appender)
    running.previous = now


def _refs(running: RunningRule, series: list[Labels], appender: Appender) -> Refs:
    if running.refs is None or running.known != series or running.generation != appender.generation:
        running.refs = appender.refs(series)
        running.known, running.generation = series, appender.generation
    return running.refs


def _mark_stale(series: Sequence[Labels], t: int, appender: Appender) -> None:
    """What is refused belongs to another rule by now, which has written something newer."""
    if series:
        refs = appender.refs(series)
        appender.append(refs, np.full(len(series), t, np.int64), np.full(len(series), STALE, np.float64))


async def _commit(running: RunningGroup, engine: Engine) -> None:
    try:
        await engine.appender.commit()
    except MetricsError as error:
        log.warning("writing what rules gave failed", group=running.group.key, error=error)
        for rule in running.rules:
            if rule.health == "ok":
                rule.fail(str(error))
                running.counters.failures += 1


async def end(series: Sequence[Labels], t: int, engine: Engine) -> None:
    """Marks the series of a group that is no more."""
    _mark_stale(series, t, engine.appender)
    try:
        await engine.appender.commit()
    except MetricsError as error:
        log.warning("marking the series of a removed group failed", error=error)


def is_stale(value: float) -> bool:
    """By its bits: other NaNs are values."""
    return math.isnan(value) and int(np.float64(value).view(np.uint64)) == STALE_BITS
