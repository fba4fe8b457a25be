"""The engine as its callers see it: kinds of results, limits, time, cancellation, hostile queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from styr.metrics.model.errors import BadData, ExecutionError, ParseError, QueryCanceled, QueryTimeout, TooMuch
from styr.metrics.model.labels import make
from styr.metrics.promql.engine import Engine, Settings
from styr.metrics.promql.features import EXPERIMENTAL
from tests.metrics.promql.memory import STALE, Memory

SETTINGS = Settings(features=EXPERIMENTAL)


def filled(count: int = 20) -> Memory:
    memory = Memory()
    for i in range(count):
        labels = make({"__name__": "requests_total", "instance": str(i), "job": f"j{i % 3}"})
        memory.add(labels, [(t * 15_000, float(t * i)) for t in range(100)])
    return memory


def engine(memory: Memory | None = None, settings: Settings = SETTINGS, **rest: object) -> Engine:
    held = memory or filled()
    return Engine(lambda: held, settings, **rest)  # type: ignore[arg-type]


def test_kinds_of_results() -> None:
    made = engine()
    assert made.instant("1 + 1", 0).values.tolist() == [2.0]
    assert made.instant('"text"', 0).text == "text"
    vector = made.instant('requests_total{instance=~"1|2"}', 60_000).matrix
    assert vector is not None
    assert vector.v[:, 0].tolist() == [4.0, 8.0]
    raw = made.instant("requests_total[1m]", 60_000).raw
    assert raw is not None
    assert raw.offsets.tolist()[:3] == [0, 4, 8]  # open on the left: the sample at 0 is not in it
    assert raw.t[:4].tolist() == [15_000, 30_000, 45_000, 60_000]
    subquery = made.instant('requests_total{instance="1"}[1m:30s]', 60_000).raw
    assert subquery is not None
    assert subquery.t.tolist() == [30_000, 60_000]
    scalar = made.range("time()", 0, 30_000, 15_000).matrix
    assert scalar is not None
    assert scalar.v.tolist() == [[0.0, 15.0, 30.0]]


def test_a_range_is_sorted_and_an_instant_vector_keeps_its_order() -> None:
    made = engine()
    ranged = made.range("sort_desc(requests_total)", 60_000, 120_000, 60_000)
    assert ranged.matrix is not None
    assert ranged.matrix.frame.all_labels() == sorted(ranged.matrix.frame.all_labels())
    assert ranged.notes.texts()[0] == [
        "PromQL warning: sort is ineffective for range queries since results are always ordered by labels"
    ]
    instant = made.instant("topk(3, requests_total)", 60_000).matrix
    assert instant is not None
    assert instant.v[:, 0].tolist() == [76.0, 72.0, 68.0]


def test_lookback_and_staleness() -> None:
    memory = Memory()
    memory.add(make({"__name__": "a"}), [(0, 1.0), (60_000, STALE), (120_000, 3.0)])
    made = engine(memory)

    def there(t: int, lookback: int = 0) -> list[float]:
        matrix = made.instant("a", t, lookback=lookback).matrix
        return [] if matrix is None else matrix.v[:, 0].tolist()

    assert there(59_999) == [1.0]
    assert there(60_000) == []
    assert there(419_999) == [3.0]
    assert there(420_000) == []
    assert there(150_000, lookback=20_000) == []
    counted = made.instant("count_over_time(a[5m])", 120_000).matrix
    assert counted is not None
    assert counted.v.tolist() == [[2.0]]


def test_fused_aggregations_give_what_materialised_ones_give() -> None:
    made = engine(filled(40))
    for op in ("sum", "avg", "min", "max", "count", "stddev", "stdvar", "group"):
        fused = made.range(f"{op} by (job) (rate(requests_total[2m]))", 120_000, 900_000, 60_000).matrix
        whole = made.range(f"{op} by (job) (+(rate(requests_total[2m])))", 120_000, 900_000, 60_000).matrix
        assert fused is not None
        assert whole is not None
        assert fused.v.tobytes() == whole.v.tobytes()


def test_statistics() -> None:
    found = engine().range("sum(rate(requests_total[1m]))", 60_000, 120_000, 60_000).stats
    assert found.samples.per_step.tolist() == [80, 80]
    assert found.samples.total == 160
    assert found.samples.peak > 0
    assert found.total >= found.evaluate >= 0
    nested = engine().instant("max_over_time(sum(requests_total)[1m:15s])", 120_000).stats
    assert nested.samples.total == 4


def test_too_many_samples_are_refused() -> None:
    made = engine(settings=replace(SETTINGS, most_samples=50))
    with pytest.raises(TooMuch, match=r"more than 50 .*query.max-samples.*fewer series"):
        made.range("requests_total", 0, 600_000, 15_000)
    made.range("sum(requests_total)", 0, 150_000, 15_000)  # not held, so not refused


@pytest.mark.parametrize(
    "text",
    [
        "requests_total * on() group_left(x) label_replace(requests_total, 'x', '$1', 'instance', '(.*)')",
        "count_over_time(vector(1)[100y:1ms])",
        "sum_over_time((requests_total or vector(1))[10y:1s])",
        "count_values('v', requests_total * time() * scalar(requests_total{instance='1'}))",
    ],
)
def test_queries_that_would_eat_the_machine(text: str) -> None:
    made = engine(settings=replace(SETTINGS, most_samples=1000))
    with pytest.raises(ExecutionError):
        made.range(text, 0, 1_500_000, 1000)


def test_many_steps_are_answered() -> None:
    found = engine().range("sum by (job) (rate(requests_total[5m]))", 0, 11_000_000, 1000)
    assert found.matrix is not None
    assert found.matrix.steps == 11_001
    with pytest.raises(TooMuch, match="steps are to be evaluated, at most 5000000"):
        engine().range("1", 0, 10_000_000_000, 1)


def test_long_chains_and_deep_nesting_are_evaluated() -> None:
    chain = " + ".join(["1"] * 3000)
    assert engine().instant(chain, 0).values.tolist() == [3000.0]
    deep = "(" * 90 + 'requests_total{instance="1"}' + ")" * 90
    assert engine().instant(deep, 60_000).matrix is not None
    calls = "abs(" * 90 + "requests_total" + ")" * 90
    assert engine().instant(calls, 60_000).matrix is not None
    sums = "sum(" * 90 + "requests_total" + ")" * 90
    assert engine().instant(sums, 60_000).matrix is not None


def test_time_runs_out() -> None:
    ticks: Iterator[float] = iter(range(1000))
    made = engine(clock=lambda: float(next(ticks)))
    with pytest.raises(QueryTimeout, match="timed out in expression evaluation"):
        made.range("sum(rate(requests_total[5m])) + sum(requests_total)", 0, 600_000, 15_000, timeout=3.0)


def test_cancellation() -> None:
    asked = 0

    def canceled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(QueryCanceled):
        engine().range("sum(rate(requests_total[5m]))", 0, 600_000, 15_000, canceled=canceled)


def test_what_runs_is_told() -> None:
    log: list[str] = []

    @contextmanager
    def active(text: str) -> Iterator[None]:
        log.append(f"begin {text}")
        try:
            yield
        finally:
            log.append("end")

    made = engine(active=active)
    with pytest.raises(ExecutionError):
        made.instant("rate({__name__=~'.+'}[1m]) + on() requests_total", 60_000)
    assert log == ["begin rate({__name__=~'.+'}[1m]) + on() requests_total", "end"]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda e: e.range("requests_total[5m]", 0, 1, 1), 'invalid expression type "range vector" for range query'),
        (lambda e: e.range('"x"', 0, 1, 1), 'invalid expression type "string" for range query'),
        (lambda e: e.range("1", 0, 1, 0), "zero or negative query resolution"),
        (lambda e: e.range("1", 2, 1, 1), "end timestamp must not be before"),
    ],
)
def test_bad_parameters(call: Callable[[Engine], object], error: str) -> None:
    with pytest.raises(BadData, match=error):
        call(engine())
    with pytest.raises(ParseError):
        engine().instant("sum(", 0)


def test_errors_name_the_series() -> None:
    made = engine()
    with pytest.raises(ExecutionError, match="found duplicate series for the match group") as raised:
        made.instant("requests_total / on(job) requests_total", 60_000)
    assert '{__name__="requests_total", instance="' in str(raised.value)
    with pytest.raises(ExecutionError, match="must be explicit"):
        made.instant("requests_total + on(job) sum by (job) (requests_total)", 60_000)
    with pytest.raises(ExecutionError, match="same labelset"):
        made.instant('label_replace(requests_total, "instance", "x", "", "")', 60_000)


def test_the_storages_symbols_are_not_touched() -> None:
    memory = filled()
    made = engine(memory)
    frame = memory.select([], 0, 60_000).frame
    size = len(frame.symbols)
    memory.select = lambda matchers, start, end: type(found)(frame, found.points)  # type: ignore[method-assign]
    found = Memory.select(memory, [], 0, 60_000)
    made.instant('label_join(label_replace(requests_total, "a", "$1", "job", "(.*)"), "b", "-", "a", "job")', 60_000)
    made.instant('count_values("v", requests_total) or absent(nothing{a="b"})', 60_000)
    assert len(frame.symbols) == size
    assert np.all(frame.column("job") < size)
