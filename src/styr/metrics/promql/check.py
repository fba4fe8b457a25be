"""Types and other rules that the grammar cannot express. Called by `parser`. Pure.

Order and words follow Prometheus' checkAST, so that the first error is the same. The left spine of binary operators is walked
in a loop, since a chain of a thousand `or` is a tree a thousand deep.
"""

from __future__ import annotations

from dataclasses import replace

from styr.metrics.model.errors import ParseError
from styr.metrics.model.labels import METRIC_NAME, quote
from styr.metrics.promql.ast import (
    COMPARISONS,
    SET_OPERATORS,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorMatching,
    VectorSelector,
)

_DOCUMENTED = {"vector": "instant vector", "matrix": "range vector"}
_SPACE = " \t\n\r"


def check(expr: Expr, text: str) -> Expr:
    """The tree with what follows from types filled in: set operators match many-to-many, scalars match nothing."""
    return _Check(text).node(expr)


def documented(kind: str) -> str:
    return _DOCUMENTED.get(kind, kind)


class _Check:
    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, where: Expr, message: str) -> ParseError:
        return ParseError(message, self.text, where.start, where.end)

    def node(self, expr: Expr) -> Expr:
        match expr:
            case BinaryExpr():
                return self.spine(expr)
            case AggregateExpr():
                return self.aggregate(expr)
            case Call():
                return self.call(expr)
            case ParenExpr():
                return replace(expr, expr=self.node(expr.expr))
            case UnaryExpr():
                inner = self.node(expr.expr)
                if inner.type not in ("scalar", "vector"):
                    allowed = "unary expression only allowed on expressions of type scalar or instant vector"
                    raise self.fail(expr, f"{allowed}, got {quote(documented(inner.type))}")
                return replace(expr, expr=inner)
            case SubqueryExpr():
                inner = self.node(expr.expr)
                if inner.type != "vector":
                    raise self.fail(expr, f"subquery is only allowed on instant vector, got {inner.type} instead")
                return replace(expr, expr=inner)
            case MatrixSelector():
                self.selector(expr.selector)
            case VectorSelector():
                self.selector(expr)
        return expr

    def expect(self, expr: Expr, wanted: str, context: str) -> Expr:
        checked = self.node(expr)
        if checked.type != wanted:
            got = documented(checked.type)
            raise self.fail(expr, f"expected type {documented(wanted)} in {context}, got {got}")
        return checked

    def selector(self, expr: VectorSelector) -> None:
        if expr.name:
            for matcher in expr.matchers[:-1]:
                if matcher.name == METRIC_NAME:
                    twice = f"metric name must not be set twice: {quote(expr.name)} or {quote(matcher.value)}"
                    raise self.fail(expr, twice)
        elif all(matcher.matches_empty for matcher in expr.matchers):
            raise self.fail(expr, "vector selector must contain at least one non-empty matcher")

    def aggregate(self, expr: AggregateExpr) -> Expr:
        inner = self.expect(expr.expr, "vector", "aggregation expression")
        param = expr.param
        if param is not None:
            wanted = "string" if expr.op == "count_values" else "scalar"
            param = self.expect(param, wanted, "aggregation parameter")
        return replace(expr, expr=inner, param=param)

    def spine(self, expr: BinaryExpr) -> Expr:
        parents: list[BinaryExpr] = []
        left: Expr = expr
        while isinstance(left, BinaryExpr):
            parents.append(left)
            left = left.left
        left = self.node(left)
        for parent in reversed(parents):
            left = self.binary(parent, left, self.node(parent.right))
        return left

    def binary(self, raw: BinaryExpr, left: Expr, right: Expr) -> Expr:
        expr = replace(raw, left=left, right=right)
        matching = expr.matching
        if matching is None:
            return expr
        self.operator(expr, matching)
        sets = expr.op in SET_OPERATORS
        if sets and matching.card == "one-to-one":
            matching = replace(matching, card="many-to-many")
        filled = matching.fill_left is not None or matching.fill_right is not None
        if left.type == "scalar" or right.type == "scalar":
            if matching.labels:
                raise self.fail(expr, "vector matching only allowed between instant vectors")
            if filled:
                raise self.fail(expr, "filling in missing series only allowed between instant vectors")
            if sets:
                raise self.fail(expr, f"set operator {quote(expr.op)} not allowed in binary scalar expression")
            return replace(expr, matching=None)
        if sets and matching.card != "many-to-many":
            raise self.fail(expr, f"no grouping allowed for {quote(expr.op)} operation")
        if sets and filled:
            raise self.fail(expr, "filling in missing series not allowed for set operators")
        return replace(expr, matching=matching)

    def operator(self, expr: BinaryExpr, matching: VectorMatching) -> None:
        comparison = expr.op in COMPARISONS
        if expr.return_bool and not comparison:
            raise self.at_operator(expr, "bool modifier can only be used on comparison operators")
        if comparison and not expr.return_bool and expr.type == "scalar":
            raise self.at_operator(expr, "comparisons between scalars must use BOOL modifier")
        for name in matching.labels if matching.on else ():
            if name in matching.include:
                raise self.at_operator(expr, f"label {quote(name)} must not occur in ON and GROUP clause at once")
        for side in (expr.left, expr.right):
            if side.type not in ("scalar", "vector"):
                raise self.fail(side, "binary expression must contain only scalar and instant vector types")

    def at_operator(self, expr: BinaryExpr, message: str) -> ParseError:
        start, end = expr.left.end, expr.right.start - 1
        while start < end and self.text[start] in _SPACE:
            start += 1
        return ParseError(message, self.text, start, end)

    def call(self, expr: Call) -> Expr:
        function = expr.function
        self.count(expr)
        if function.name == "info" and len(expr.args) > 1:
            return self.info(expr)
        args = []
        for i, arg in enumerate(expr.args):
            wanted = function.args[min(i, len(function.args) - 1)]
            args.append(self.expect(arg, wanted, f"call to function {quote(function.name)}"))
        return replace(expr, args=tuple(args))

    def count(self, expr: Call) -> None:
        function, given = expr.function, len(expr.args)
        wanted, name = len(function.args), quote(expr.function.name)
        if function.variadic == 0:
            if given != wanted:
                raise self.fail(expr, f"expected {wanted} argument(s) in call to {name}, got {given}")
            return
        if given < wanted - 1:
            raise self.fail(expr, f"expected at least {wanted - 1} argument(s) in call to {name}, got {given}")
        most = wanted - 1 + function.variadic
        if function.variadic > 0 and given > most:
            raise self.fail(expr, f"expected at most {most} argument(s) in call to {name}, got {given}")

    def info(self, expr: Call) -> Expr:
        """The second argument holds matchers for the info series and their labels: all of them may match the empty string."""
        chosen = expr.args[1]
        if chosen.type != "vector":
            got = documented(chosen.type)
            raise self.fail(expr, f'expected type instant vector in call to function "info", got {got}')
        if not isinstance(chosen, VectorSelector):
            raise self.fail(chosen, "expected label selectors only")
        if chosen.name:
            raise self.fail(chosen, "expected label selectors only, got vector selector instead")
        return replace(expr, args=(self.expect(expr.args[0], "vector", 'call to function "info"'), chosen))
