"""What stands behind a selector: range, subquery, offset, `@`, anchored, smoothed. Called by `parser`. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

from styr.metrics.model.errors import ParseError
from styr.metrics.promql.ast import (
    DurationExpr,
    Expr,
    MatrixSelector,
    NumberLiteral,
    SubqueryExpr,
    VectorSelector,
)
from styr.metrics.promql.lexer import Token

_MOST_SECONDS = float(1 << 63)


def round_half_away(value: float) -> int:
    """Go's math.Round."""
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def milliseconds(expr: Expr | None) -> tuple[int, DurationExpr | None]:
    """(ms, None) of a literal, (0, expr) of what is known only when it runs. Literals are rounded to nanoseconds, then cut."""
    if isinstance(expr, NumberLiteral):
        nanoseconds = round_half_away(expr.value * 1e9)
        return _cut(nanoseconds), None
    return 0, expr if isinstance(expr, DurationExpr) else None


def _cut(nanoseconds: int) -> int:
    whole = abs(nanoseconds) // 1_000_000
    return whole if nanoseconds >= 0 else -whole


def offset(text: str, expr: Expr, value: Expr, end: int) -> Expr:
    inner = expr.selector if isinstance(expr, MatrixSelector) else expr
    if not isinstance(inner, VectorSelector | SubqueryExpr):
        message = (
            "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery"
        )
        raise ParseError(message, text, expr.start, expr.end)
    if inner.offset or inner.offset_expr is not None:
        raise ParseError("offset may not be set multiple times", text, expr.start, expr.end)
    ms, later = milliseconds(value)
    return _within(expr, replace(inner, offset=ms, offset_expr=later), end)


def at(text: str, expr: Expr, seconds: float | None, word: str, end: int) -> Expr:
    if seconds is not None and not abs(seconds) < _MOST_SECONDS:
        message = f"timestamp out of bounds for @ modifier: {_fixed(seconds)}"
        raise ParseError(message, text, expr.start, expr.end)
    inner = expr.selector if isinstance(expr, MatrixSelector) else expr
    if not isinstance(inner, VectorSelector | SubqueryExpr):
        message = "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery"
        raise ParseError(message, text, expr.start, expr.end)
    if inner.timestamp is not None or inner.at:
        raise ParseError("@ <timestamp> may not be set multiple times", text, expr.start, expr.end)
    if seconds is None:
        return _within(expr, replace(inner, at="start" if word == "start" else "end"), end)
    limit = (1 << 63) - 1
    ms = max(-limit - 1, min(limit, round_half_away(seconds * 1000)))
    return _within(expr, replace(inner, timestamp=ms), end)


def _fixed(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:f}"


def extended(text: str, expr: Expr, word: str, enabled: bool) -> Expr:
    """`anchored` and `smoothed`."""
    if not enabled:
        raise ParseError(f"{word} modifier is experimental and not enabled", text, expr.start, expr.end)
    if isinstance(expr, SubqueryExpr):
        raise ParseError(f"{word} modifier is not supported for subqueries", text, expr.start, expr.end)
    inner = expr.selector if isinstance(expr, MatrixSelector) else expr
    if not isinstance(inner, VectorSelector):
        raise ParseError(f"{word} modifier not implemented", text, expr.start, expr.end)
    if (inner.smoothed and word == "anchored") or (inner.anchored and word == "smoothed"):
        message = "anchored and smoothed modifiers cannot be used together"
        raise ParseError(message, text, expr.start, expr.end)
    changed = replace(inner, anchored=True) if word == "anchored" else replace(inner, smoothed=True)
    return _within(expr, changed, expr.end)


def matrix(text: str, expr: Expr, span: Expr, opening: Token, closing: Token) -> Expr:
    message = ""
    if not isinstance(expr, VectorSelector):
        message = "ranges only allowed for vector selectors"
    elif expr.offset:
        message = "no offset modifiers allowed before range"
    elif expr.timestamp is not None:
        message = "no @ modifiers allowed before range"
    if message or not isinstance(expr, VectorSelector):
        raise ParseError(message, text, opening.start, closing.end)
    ms, later = milliseconds(span)
    return MatrixSelector(expr, ms, later, start=expr.start, end=closing.end)


def subquery(expr: Expr, span: Expr, step: Expr | None, closing: Token) -> Expr:
    ms, later = milliseconds(span)
    step_ms, step_later = milliseconds(step)
    return SubqueryExpr(expr, ms, later, step_ms, step_later, start=expr.start, end=closing.end)


def _within(outer: Expr, inner: VectorSelector | SubqueryExpr, end: int) -> Expr:
    """`inner` changed, and what it stands in."""
    if isinstance(outer, MatrixSelector):
        if not isinstance(inner, VectorSelector):
            raise TypeError("a range selects from a selector")
        return replace(outer, selector=inner, end=end)
    return replace(inner, end=end)
