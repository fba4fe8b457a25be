"""Arithmetic in the place of a duration: `[5m * 2]`, `offset -step()`. Called by `parser`. Pure.

Behind `offset` the grammar is narrower than inside brackets, so that `foo offset 5m * 2` multiplies `foo`.
"""

from __future__ import annotations

from dataclasses import replace

from styr.metrics.model.errors import ParseError
from styr.metrics.promql.ast import DurationExpr, Expr, NumberLiteral
from styr.metrics.promql.lexer import Token
from styr.metrics.promql.tokens import Tokens

_PRECEDENCE = {"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6}
_MOST_SECONDS = (1 << 63) / 1e9
"""int64 nanoseconds."""


class Durations(Tokens):
    def positive_duration(self) -> Expr:
        """Inside brackets."""
        expr = self.duration()
        if isinstance(expr, NumberLiteral) and expr.value <= 0:
            raise ParseError("duration must be greater than 0", self.text, expr.start, expr.end)
        return expr

    def offset(self) -> Expr:
        """Behind `offset`."""
        with self.context("offset", "number, duration, step(), or range()"):
            sign = self.take() if self.token.kind in ("+", "-") else None
            kind = self.token.kind
            if kind in ("+", "-"):
                return self.duration(left=self._signed(sign, self._unary()))
            if kind == "(" and sign is None:
                return self.duration()
            return self._signed(sign, self._operand())

    def duration(self, least: int = 1, left: Expr | None = None) -> Expr:
        self.enter()
        if left is None:
            left = self._unary()
        while (power := _PRECEDENCE.get(self.token.kind, 0)) >= least:
            op = self.take()
            right = self.duration(power if op.kind == "^" else power + 1)
            self._allowed(left)
            if op.kind in "/%" and isinstance(right, NumberLiteral) and right.value == 0:
                message = "division by zero" if op.kind == "/" else "modulo by zero"
                raise ParseError(message, self.text, op.start, op.end)
            left = DurationExpr(op.kind, left, right, start=left.start, end=right.end)
        self.leave()
        return left

    def _unary(self) -> Expr:
        if self.token.kind not in ("+", "-"):
            return self._operand()
        sign = self.take()
        return self._signed(sign, self.duration(_PRECEDENCE["^"]))

    def _signed(self, sign: Token | None, expr: Expr) -> Expr:
        if sign is None:
            return expr
        if isinstance(expr, NumberLiteral):
            value = -expr.value if sign.kind == "-" else expr.value
            return replace(expr, value=value, start=sign.start)
        if sign.kind == "-":
            return DurationExpr("-", None, expr, start=sign.start, end=expr.end)
        return expr

    def _operand(self) -> Expr:
        token = self.token
        if token.kind in ("number", "duration"):
            number = self.number()
            if abs(number.value) > _MOST_SECONDS:
                raise ParseError("duration out of range", self.text, token.start, token.end)
            return number
        if token.kind in ("step", "range"):
            self.take()
            self.expect("(")
            closing = self.expect(")")
            return self._allowed(DurationExpr(token.kind, start=token.start, end=closing.end))
        if token.kind in ("max_of", "min_of"):
            self.take()
            self.expect("(")
            left = self.duration()
            self.expect(",")
            right = self.duration()
            closing = self.expect(")")
            return self._allowed(DurationExpr(token.kind, left, right, start=token.start, end=closing.end))
        if token.kind == "(":
            self.take()
            inner = self._allowed(self.duration())
            self.expect(")")
            return replace(inner, wrapped=True) if isinstance(inner, DurationExpr) else inner
        raise self.surprise()

    def _allowed(self, expr: Expr) -> Expr:
        if not self.features.duration_expressions:
            message = "experimental duration expression is not enabled"
            raise ParseError(message, self.text, expr.start, expr.end)
        return expr
