"""Functions of instant vectors and scalars: math, time, clamping, sorting, absent. Called by `evaluate`, all steps at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import gomath
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.promql import annotations as notes
from styr.metrics.promql import calendar, classic, histogram_functions, sorting
from styr.metrics.promql.arguments import Arguments
from styr.metrics.promql.ast import Call, Expr, MatrixSelector, StringLiteral, VectorSelector
from styr.metrics.promql.binary import renamed
from styr.metrics.promql.plan import StepInvariant
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Flags, Floats, Matrix, Value, own

Ints = NDArray[np.int64]


def _go(op: int) -> Callable[[Floats], Floats]:
    """A function of `kernels.gomath`."""

    def apply(v: Floats) -> Floats:
        out = np.empty(v.shape)
        gomath.apply(op, np.ascontiguousarray(v).reshape(-1), out.reshape(-1))
        return out

    return apply


MATH: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": _go(gomath.EXP),
    "sqrt": np.sqrt,
    "ln": _go(gomath.LN),
    "log2": _go(gomath.LOG2),
    "log10": _go(gomath.LOG10),
    "sin": _go(gomath.SIN),
    "cos": _go(gomath.COS),
    "tan": _go(gomath.TAN),
    "asin": _go(gomath.ASIN),
    "acos": _go(gomath.ACOS),
    "atan": _go(gomath.ATAN),
    "sinh": _go(gomath.SINH),
    "cosh": _go(gomath.COSH),
    "tanh": _go(gomath.TANH),
    "asinh": _go(gomath.ASINH),
    "acosh": _go(gomath.ACOSH),
    "atanh": _go(gomath.ATANH),
    "rad": lambda v: v * math.pi / 180,
    "deg": lambda v: v * 180 / math.pi,
    "sgn": lambda v: np.where(v < 0, -1.0, np.where(v > 0, 1.0, v)),
}


def call(query: Query, expr: Call, values: list[Value], times: Ints, step: int) -> Value:
    """Any function without a range vector, except those that work on labels alone."""
    args = Arguments(query, expr, values, times, step)
    name = args.name
    if name in MATH:
        return _mapped(args, MATH[name](args.vector(0).v))
    if name in calendar.FIELDS:
        return _calendar(args)
    return _OTHERS[name](args)


def _mapped(args: Arguments, v: Floats, ok: Flags | None = None) -> Matrix:
    """Of the floats of the first argument; the name goes."""
    matrix = args.vector(0)
    floats = matrix.floats() if ok is None else matrix.floats() & ok
    return renamed(args.query, Matrix(matrix.frame, v, floats, {}, matrix.drop).alive())


def single(query: Query, v: Floats, ok: Flags | None = None) -> Matrix:
    """One series without labels."""
    there = np.ones(len(v), np.bool_) if ok is None else ok
    drop = np.zeros(1, np.bool_) if query.features.delayed_name_removal else None
    return Matrix(LabelFrame(query.symbols, 1), v.reshape(1, -1).copy(), there.reshape(1, -1), {}, drop)


def _calendar(args: Arguments) -> Matrix:
    field = calendar.FIELDS[args.name]
    if not args.values:
        return single(args.query, field(np.floor_divide(args.times, 1000)))
    return _mapped(args, field(calendar.seconds(args.vector(0).v)))


def _scalar(args: Arguments) -> Floats:
    matrix = args.vector(0)
    floats = matrix.floats()
    one = floats.sum(axis=0) == 1
    total = np.where(floats, matrix.v, 0.0).sum(axis=0) if matrix.size else np.zeros(len(args.times))
    if matrix.size:
        row = floats.argmax(axis=0)
        total = matrix.v[row, np.arange(matrix.steps)]
    return np.where(one, total, np.nan)


def _clamp(args: Arguments) -> Matrix:
    steps = len(args.times)
    low, high = np.full(steps, -np.inf), np.full(steps, np.inf)
    if args.name == "clamp":
        low, high = args.scalar(1), args.scalar(2)
    elif args.name == "clamp_min":
        low = args.scalar(1)
    else:
        high = args.scalar(1)
    v = np.maximum(low, np.minimum(high, args.vector(0).v))
    return _mapped(args, v, np.broadcast_to(~(high < low), v.shape))


def _round(args: Arguments) -> Matrix:
    nearest = args.scalar(1) if len(args.values) > 1 else np.ones(len(args.times))
    inverse = 1.0 / nearest
    return _mapped(args, np.floor(args.vector(0).v * inverse + 0.5) / inverse)


def _timestamp(args: Arguments) -> Matrix:
    matrix = args.vector(0)
    v = np.broadcast_to(args.times / 1000, matrix.v.shape).copy()
    return renamed(args.query, Matrix(matrix.frame, v, matrix.ok, {}, matrix.drop))


def _sort(args: Arguments) -> Matrix:
    matrix = args.vector(0)
    if len(args.times) > 1 or args.step > 1:
        where = (args.expr.start, args.expr.end)
        if len(args.times) > 1:
            args.query.notes.add(notes.sort_in_range_query(where))
    if args.name in ("sort", "sort_desc"):
        return sorting.by_value(matrix, args.name == "sort_desc")
    names = [args.string(i) for i in range(1, len(args.values))]
    return sorting.by_label(matrix, names, args.name == "sort_by_label_desc")


def _absent(args: Arguments) -> Matrix:
    return absent(args.query, args.expr.args[0], args.vector(0).ok, len(args.times))


def absent(query: Query, expr: Expr, ok: Flags, steps: int) -> Matrix:
    """1 at the steps at which nothing is there, with the labels that the selector asks for."""
    missing: Flags = np.asarray(~ok.any(axis=0)) if len(ok) else np.ones(steps, np.bool_)
    result = single(query, np.ones(steps), missing)
    frame = own(result.frame, query.symbols)
    for name, value in _asked(expr).items():
        frame = frame.replace(name, np.array([query.symbols.id(value)], np.int32))
    return result.labelled(frame).alive()


def _asked(expr: Expr) -> dict[str, str]:
    """Labels with exactly one matcher, an equality. What excludes series comes last, since Prometheus' storage sorts it
    there."""
    if isinstance(expr, StepInvariant):
        expr = expr.expr
    if isinstance(expr, MatrixSelector):
        expr = expr.selector
    if not isinstance(expr, VectorSelector):
        return {}
    asked: dict[str, str] = {}
    seen: set[str] = set()
    excluding = [matcher.op in ("!=", "!~") and matcher.matches_empty for matcher in expr.matchers]
    for _, matcher in sorted(zip(excluding, expr.matchers, strict=True), key=lambda pair: pair[0]):
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op == "=" and matcher.name not in seen:
            asked[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            asked.pop(matcher.name, None)
    return {name: value for name, value in asked.items() if value}


def _quantiles(args: Arguments) -> Matrix:
    expr = args.expr.args[1]
    label = expr.value if isinstance(expr, StringLiteral) else ""
    return classic.quantiles(args, label)


_OTHERS: dict[str, Callable[[Arguments], Value]] = {
    "time": lambda args: args.times / 1000,
    "pi": lambda args: np.full(len(args.times), math.pi),
    "vector": lambda args: single(args.query, args.scalar(0)),
    "scalar": _scalar,
    "max_of": lambda args: np.maximum(args.scalar(0), args.scalar(1)),
    "min_of": lambda args: np.minimum(args.scalar(0), args.scalar(1)),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "round": _round,
    "timestamp": _timestamp,
    "start_timestamp": lambda args: Matrix.empty(len(args.times)),
    "sort": _sort,
    "sort_desc": _sort,
    "sort_by_label": _sort,
    "sort_by_label_desc": _sort,
    "absent": _absent,
    "histogram_quantile": classic.quantile,
    "histogram_quantiles": _quantiles,
    "histogram_fraction": classic.fraction,
    "histogram_count": histogram_functions.apply,
    "histogram_sum": histogram_functions.apply,
    "histogram_avg": histogram_functions.apply,
    "histogram_stddev": histogram_functions.apply,
    "histogram_stdvar": histogram_functions.apply,
}
