"""A PromQL tree as `parse_query` shows it, which query builders read. Called by `query`; pure. Shapes: Prometheus' web API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from styr.metrics.model.matchers import Matcher
from styr.metrics.promql.ast import (
    AggregateExpr,
    BinaryExpr,
    Call,
    DurationExpr,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatching,
    VectorSelector,
)
from styr.metrics.web.json import plain_number

Node = dict[str, Any]


def translate(node: Expr | None) -> Node | None:
    """Plain data."""
    if node is None:
        return None
    shape = _SHAPES.get(type(node))
    if shape is None:
        raise TypeError(f"no shape for {type(node).__name__}")
    return shape(node)


def _aggregate(node: AggregateExpr) -> Node:
    return {
        "type": "aggregation",
        "op": node.op,
        "expr": translate(node.expr),
        "param": translate(node.param),
        "grouping": list(node.grouping),
        "without": node.without,
    }


def _binary(node: BinaryExpr) -> Node:
    return {
        "type": "binaryExpr",
        "op": node.op,
        "lhs": translate(node.left),
        "rhs": translate(node.right),
        "matching": _matching(node.matching) if node.matching else None,
        "bool": node.return_bool,
    }


def _matching(found: VectorMatching) -> Node:
    return {
        "card": found.card,
        "labels": list(found.labels),
        "on": found.on,
        "include": list(found.include),
        "fillValues": {"lhs": found.fill_left, "rhs": found.fill_right},
    }


def _call(node: Call) -> Node:
    function = node.function
    return {
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": list(function.args),
            "variadic": function.variadic,
            "returnType": function.returns,
        },
        "args": [translate(argument) for argument in node.args],
    }


def _selector(node: VectorSelector) -> Node:
    return {
        "name": node.name,
        "offset": node.offset,
        "offsetExpr": translate_duration(node.offset_expr),
        "matchers": [_matcher(each) for each in node.matchers],
        "timestamp": node.timestamp,
        "startOrEnd": node.at or None,
        "anchored": node.anchored,
        "smoothed": node.smoothed,
    }


def _matcher(found: Matcher) -> Node:
    return {"name": found.name, "value": found.value, "type": found.op}


def _matrix(node: MatrixSelector) -> Node:
    return {
        **_selector(node.selector),
        "type": "matrixSelector",
        "range": node.range,
        "rangeExpr": translate_duration(node.range_expr),
    }


def _subquery(node: SubqueryExpr) -> Node:
    return {
        "type": "subquery",
        "expr": translate(node.expr),
        "range": node.range,
        "rangeExpr": translate_duration(node.range_expr),
        "offset": node.offset,
        "offsetExpr": translate_duration(node.offset_expr),
        "step": node.step,
        "stepExpr": translate_duration(node.step_expr),
        "timestamp": node.timestamp,
        "startOrEnd": node.at or None,
    }


def translate_duration(node: Expr | None) -> Node | None:
    """An expression in the place of a duration: numbers say whether they were written as one."""
    if isinstance(node, DurationExpr):
        return {
            "type": "durationExpr",
            "op": node.op,
            "lhs": translate_duration(node.left),
            "rhs": translate_duration(node.right),
            "wrapped": node.wrapped,
        }
    if isinstance(node, NumberLiteral):
        return {"type": "numberLiteral", "val": plain_number(node.value), "duration": node.duration}
    return translate(node)


_SHAPES: dict[type[Expr], Callable[[Any], Node | None]] = {
    AggregateExpr: _aggregate,
    BinaryExpr: _binary,
    Call: _call,
    MatrixSelector: _matrix,
    SubqueryExpr: _subquery,
    DurationExpr: translate_duration,
    NumberLiteral: lambda node: {"type": "numberLiteral", "val": plain_number(node.value)},
    ParenExpr: lambda node: {"type": "parenExpr", "expr": translate(node.expr)},
    StringLiteral: lambda node: {"type": "stringLiteral", "val": node.value},
    UnaryExpr: lambda node: {"type": "unaryExpr", "op": node.op, "expr": translate(node.expr)},
    VectorSelector: lambda node: {"type": "vectorSelector", **_selector(node)},
}
