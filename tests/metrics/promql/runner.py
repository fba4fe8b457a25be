"""Runs test scripts of PromQL over an engine. Called by the conformance tests, our own scripts' test and the report.

    failures = run(parse(text), StyrEngine())     # one Outcome for each `eval`

As Prometheus' runner does, instant queries are run several times: as they stand, with `@` on all selectors at other times, and
as the middle step of a range query. Floats may differ by one millionth of their sum.
"""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from styr.metrics.model.errors import MetricsError
from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram
from styr.metrics.model.labels import Labels, text
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.promql import ast
from styr.metrics.promql.ast import Expr
from styr.metrics.promql.engine import Engine, Result, Settings
from styr.metrics.promql.features import Features
from styr.metrics.promql.histograms import layout
from styr.metrics.promql.histograms.arithmetic import compacted
from styr.metrics.promql.histograms.text import expression
from styr.metrics.promql.notation import Value
from styr.metrics.promql.printer import printed
from tests.metrics.promql import nhcb
from tests.metrics.promql.script import Clear, Command, Eval, Load
from tests.metrics.promql.store import Store

EPSILON = 1e-6
MOST_SAMPLES = 10_000
FEATURES = replace(Features.all(), type_and_unit=False)
TIME_DEPENDENT = frozenset(
    {"days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year"}
    | {"info", "predict_linear", "time", "timestamp", "start", "end", "range", "step"}
)
"""Functions that give another value at another time although their arguments do not change."""
_CONTEXT = re.compile(r"(start|end|range|step)\(\)")

Point = tuple[int, float | Histogram]
Series = tuple[Labels, list[Point]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one `eval`; `failure` is "" when it gave what it must."""

    line: int
    expr: str
    failure: str = ""


class Mismatch(Exception):
    pass


def run(commands: Iterable[Command], features: Features = FEATURES) -> list[Outcome]:
    store = Store()
    outcomes = []
    for command in commands:
        match command:
            case Clear():
                store = Store()
            case Load():
                load(store, command)
            case Eval():
                engine = Engine(lambda: store, Settings(features=features, most_samples=MOST_SAMPLES))  # noqa: B023
                outcomes.append(_outcome(engine, command))
    return outcomes


def load(store: Store, command: Load) -> None:
    plain: dict[Labels, list[tuple[int, float]]] = {}
    for labels, values in command.series.items():
        starts = command.starts.get(labels, [None] * len(values))
        for i, (value, start) in enumerate(zip(values, starts, strict=True)):
            if value.omitted:
                continue
            t = i * command.step
            begun = 0 if start is None else t + start
            store.add(labels, t, value.number if value.histogram is None else value.histogram, begun)
            if value.histogram is None:
                plain.setdefault(labels, []).append((t, value.number))
    if command.nhcb:
        for labels, histograms in nhcb.convert(plain).items():
            for t, histogram in histograms:
                store.add(labels, t, histogram)


def _outcome(engine: Engine, command: Eval) -> Outcome:
    try:
        if command.is_range:
            _check_range(engine, command)
        else:
            for expr, t in _variants(engine, command):
                _check_instant(engine, command, expr, t)
    except Mismatch as mismatch:
        return Outcome(command.line, command.expr, str(mismatch))
    except Exception as error:  # a bug of ours is a failure of this query, not of the run
        where = traceback.extract_tb(error.__traceback__)[-1]
        shown = f"{type(error).__name__}: {error} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
        return Outcome(command.line, command.expr, shown)
    return Outcome(command.line, command.expr)


def _variants(engine: Engine, command: Eval) -> list[tuple[str, int]]:
    variants = [(command.expr, command.start if not command.range_vector else command.end)]
    t = variants[0][1]
    try:
        expr = engine.parse(command.expr)
    except MetricsError:
        return variants
    if any(isinstance(node, ast.Call) and node.function.name in TIME_DEPENDENT for node in ast.visit(expr)):
        return variants
    fixed = printed(pinned(expr, t))
    times = (-1000, 0, 1000) if t == 0 else (-10 * t, 0, t // 5, t, 10 * t)
    return [*variants, *((fixed, each) for each in times)]


def pinned(expr: Expr, t: int) -> Expr:
    """With `@ t` on every selector and subquery that has none; not inside subqueries, whose own `@` moves what is in them."""
    match expr:
        case ast.VectorSelector():
            return replace(expr, timestamp=t, at="") if expr.timestamp is None else expr
        case ast.SubqueryExpr():
            return replace(expr, timestamp=t, at="") if expr.timestamp is None else expr
        case ast.MatrixSelector():
            return replace(expr, selector=cast(ast.VectorSelector, pinned(expr.selector, t)))
        case ast.AggregateExpr():
            param = None if expr.param is None else pinned(expr.param, t)
            return replace(expr, expr=pinned(expr.expr, t), param=param)
        case ast.BinaryExpr():
            return replace(expr, left=pinned(expr.left, t), right=pinned(expr.right, t))
        case ast.Call():
            return replace(expr, args=tuple(pinned(arg, t) for arg in expr.args))
        case ast.ParenExpr() | ast.UnaryExpr():
            return replace(expr, expr=pinned(expr.expr, t))
        case _:
            return expr


def _evaluated(command: Eval, evaluate: object) -> Result | None:
    """None when it had to fail and did."""
    try:
        result = evaluate()  # type: ignore[operator]
    except MetricsError as error:
        wanted = command.wants("fail")
        if not wanted:
            raise Mismatch(f"failed: {error}") from None
        if not wanted[0].met(_as_prometheus(error)):
            raise Mismatch(f"must fail with {wanted[0]}, failed with: {error}") from None
        return None
    if command.wants("fail"):
        raise Mismatch(f"must fail with {command.wants('fail')[0]}, and did not")
    return cast(Result, result)


def _as_prometheus(error: MetricsError) -> str:
    """Its text without what we add to be of more help."""
    shown = str(error)
    if shown.startswith("query processing would load too many samples"):
        return "query processing would load too many samples into memory in query execution"
    return shown


def _check_range(engine: Engine, command: Eval) -> None:
    result = _evaluated(command, lambda: engine.range(command.expr, command.start, command.end, command.step))
    if result is not None:
        _check_notes(command, result)
        _check_matrix(command, series_of(result))


def _check_instant(engine: Engine, command: Eval, expr: str, t: int) -> None:
    where = "" if expr == command.expr else f" (as {expr} at {t} ms)"
    try:
        result = _evaluated(command, lambda: engine.instant(expr, t))
        if result is None:
            return
        _check_notes(command, result)
        _check_result(command, result)
        if command.range_vector or command.text is not None or _CONTEXT.search(expr):
            return
        where = f" (as a range{', ' + expr if expr != command.expr else ''} at {t} ms)"
        middle = engine.range(expr, t - 60_000, t + 60_000, 60_000)
        if not command.wants("ordered"):
            _check_middle(command, result, middle, t)
    except Mismatch as mismatch:
        raise Mismatch(f"{mismatch}{where}") from None


def _check_middle(command: Eval, instant: Result, ranged: Result, t: int) -> None:
    found = [(labels, [point for point in points if point[0] == t]) for labels, points in series_of(ranged)]
    found = [(labels, points) for labels, points in found if points]
    if instant.kind == "scalar":
        _check_scalar(command, cast(float, found[0][1][0][1]))
    else:
        _check_vector(command, found)


def _check_result(command: Eval, result: Result) -> None:
    if result.kind == "string":
        if result.text != command.text:
            raise Mismatch(f"must be the string {command.text!r}, is {result.text!r}")
    elif result.kind == "scalar":
        _check_scalar(command, float(result.values[0]))
    elif result.kind == "vector":
        _check_vector(command, series_of(result))
    else:
        _check_matrix(command, series_of(result))


def series_of(result: Result) -> list[Series]:
    """All samples of a vector or a matrix."""
    found: list[Series] = []
    if result.raw is not None:
        raw = result.raw
        for row, labels in enumerate(raw.frame.all_labels()):
            span = range(int(raw.offsets[row]), int(raw.offsets[row + 1]))
            found.append((labels, [(int(raw.t[i]), raw.histograms.get(i, float(raw.v[i]))) for i in span]))
        return found
    if result.matrix is None:
        return [((), [(int(t), float(v)) for t, v in zip(result.times, result.values, strict=True)])]
    matrix = result.matrix
    for row, labels in enumerate(matrix.frame.all_labels()):
        cells = matrix.histograms.get(row, {})
        steps = np.flatnonzero(matrix.ok[row]).tolist()
        points = [(int(result.times[step]), cells.get(step, float(matrix.v[row, step]))) for step in steps]
        found.append((labels, points))
    return found


def _check_notes(command: Eval, result: Result) -> None:
    found = {kind: [note.raw for note in result.notes if note.kind == kind] for kind in ("warning", "info")}
    for kind, wanted, none in (("warning", "warn", "no_warn"), ("info", "info", "no_info")):
        expectations = command.wants(wanted)  # type: ignore[arg-type]
        for each in expectations:
            if not any(each.met(note) for note in found[kind]):
                raise Mismatch(f"must tell ({kind}) {each}, told {found[kind]}")
        for note in found[kind] if expectations else []:
            if not any(each.met(note) for each in expectations):
                raise Mismatch(f"told ({kind}) {note}")
        if command.wants(none) and found[kind]:  # type: ignore[arg-type]
            raise Mismatch(f"must not tell anything ({kind}), told {found[kind]}")


def _check_scalar(command: Eval, value: float) -> None:
    if command.scalar is None:
        raise Mismatch(f"must be a vector or a matrix, is the scalar {value}")
    if not almost(command.scalar, value):
        raise Mismatch(f"must be {command.scalar}, is {value}")


def _check_vector(command: Eval, found: list[Series]) -> None:
    if command.scalar is not None:
        raise Mismatch(f"must be the scalar {command.scalar}, is a vector")
    order = {labels: i for i, labels in enumerate(command.series)}
    for place, (labels, points) in enumerate(found):
        if labels not in order:
            raise Mismatch(f"has {text(labels)} {_shown(points[0][1])}, which must not be there")
        if command.wants("ordered") and order[labels] != place:
            raise Mismatch(f"has {text(labels)} at place {place + 1}, must be at {order[labels] + 1}")
        _check_value(labels, command.series[labels][0], points[0][1])
    _check_missing(command, found)


def _check_missing(command: Eval, found: list[Series]) -> None:
    there = {labels for labels, _ in found}
    if len(there) != len(found):
        raise Mismatch("has the same labels twice")
    for labels in command.series:
        if labels not in there:
            raise Mismatch(f"lacks {text(labels)}")


def _check_matrix(command: Eval, found: list[Series]) -> None:
    if command.scalar is not None or command.wants("ordered"):
        raise Mismatch("must be a scalar or ordered, is a matrix")
    if [labels for labels, _ in found] != sorted(labels for labels, _ in found):
        raise Mismatch("series are not sorted")
    for labels, points in found:
        if labels not in command.series:
            raise Mismatch(f"has {text(labels)}, which must not be there: {[(t, _shown(v)) for t, v in points]}")
        wanted = {
            command.start + i * command.step: value
            for i, value in enumerate(command.series[labels])
            if not value.omitted
        }
        if list(wanted) != [t for t, _ in points]:
            raise Mismatch(f"has {text(labels)} at {[t for t, _ in points]}, must have it at {list(wanted)}")
        for t, value in points:
            _check_value(labels, wanted[t], value, f" at {t} ms")
    _check_missing(command, found)


def _check_value(labels: Labels, wanted: Value, value: float | Histogram, where: str = "") -> None:
    if isinstance(value, Histogram):
        good = wanted.histogram is not None and same_histogram(wanted.histogram, value, wanted.hinted)
    else:
        good = wanted.histogram is None and almost(wanted.number, value)
    if not good:
        must = _shown(wanted.number if wanted.histogram is None else wanted.histogram)
        raise Mismatch(f"{text(labels)} must be {must}, is {_shown(value)}{where}")


def _shown(value: float | Histogram) -> str:
    return expression(value) if isinstance(value, Histogram) else repr(value)


def almost(a: float, b: float) -> bool:
    """Equal but for a millionth of the sum; NaN equals NaN, but a staleness marker only another one."""
    stale = [np.float64(each).view(np.int64) == STALE_BITS for each in (a, b)]
    if any(stale):
        return all(stale)
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    total, smallest = abs(a) + abs(b), 2.2250738585072014e-308
    if a == 0 or b == 0 or total < smallest:
        return abs(a - b) < EPSILON * smallest
    return abs(a - b) / min(total, 1.7976931348623157e308) < EPSILON


def same_histogram(wanted: Histogram, found: Histogram, hinted: bool) -> bool:
    a, b = compacted(wanted), compacted(found)
    if a.schema != b.schema or (hinted and a.counter_reset_hint != b.counter_reset_hint):
        return False
    if a.schema == CUSTOM_BUCKETS and a.custom_values != b.custom_values:
        return False
    if a.zero_threshold != b.zero_threshold:
        return False
    for one, other in ((a.positive_spans, b.positive_spans), (a.negative_spans, b.negative_spans)):
        if layout.indexes(one, 1 << 20) != layout.indexes(other, 1 << 20):
            return False
    mine = (a.count, a.sum, a.zero_count, *a.positive_buckets, *a.negative_buckets)
    theirs = (b.count, b.sum, b.zero_count, *b.positive_buckets, *b.negative_buckets)
    return len(mine) == len(theirs) and all(map(almost, mine, theirs))
