"""Text to tree: `parse(text) -> Expr`. Called by the engine, rules and the HTTP API. Calls `lexer`, `check`. Pure.

A Pratt parser over Prometheus' grammar (promql/parser/generated_parser.y), with its messages and positions. Raises ParseError,
the first that Prometheus would name, and never a RecursionError: nesting is bounded by `Tokens.most_nested`, and long chains of
binary operators do not nest.
"""

from __future__ import annotations

from dataclasses import replace

from styr.metrics.model.errors import BadData, ParseError
from styr.metrics.model.labels import METRIC_NAME, Labels, make, quote
from styr.metrics.model.matchers import Matcher
from styr.metrics.promql import lexer, modifiers
from styr.metrics.promql.ast import (
    AGGREGATORS_WITH_PARAM,
    AggregateExpr,
    BinaryExpr,
    Call,
    Card,
    Expr,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    UnaryExpr,
    VectorMatching,
    VectorSelector,
)
from styr.metrics.promql.check import check
from styr.metrics.promql.durations_syntax import Durations
from styr.metrics.promql.features import DEFAULT, Features
from styr.metrics.promql.signatures import FUNCTIONS

_POWER, _TIMES = 6, 5
_PRECEDENCE = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "</", ">/"), 3),
    **dict.fromkeys("+-", 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), _TIMES),
    "^": _POWER,
}
_METRIC_WORDS = (
    lexer.AGGREGATORS
    | lexer.PREPROCESSORS
    | {"and", "or", "unless", "by", "without", "offset", "anchored", "smoothed", "fill", "fill_left", "fill_right"}
    | {"identifier", "metric identifier"}
)
_LABEL_WORDS = lexer.AGGREGATORS | lexer.PREPROCESSORS | lexer.KEYWORDS | lexer.WORD_OPERATORS
_LABEL_WORDS |= {"identifier", "metric identifier"}
_STARTS = _METRIC_WORDS | {"number", "duration", "string", "(", "{", "+", "-"}


def parse(text: str, features: Features = DEFAULT) -> Expr:
    """A whole expression, types checked."""
    parser = Parser(text, features)
    if parser.token.kind == "end of input":
        raise ParseError("no expression found in input", text)
    expr = parser.expr()
    parser.expect("end of input")
    return check(expr, text)


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of one instant selector, as in the API's `match[]`. All of them may match the empty string."""
    parser = Parser(text, DEFAULT)
    selector = parser.selector()
    parser.expect("end of input")
    return selector.matchers


def parse_metric(text: str) -> Labels:
    """`name{label="value"}` as a label set. Raises ParseError also for other matchers than `=`."""
    pairs: dict[str, str] = {}
    for matcher in parse_selector(text) if text.strip() else ():
        if matcher.op != "=":
            raise ParseError(f"a metric has labels, not matchers: {matcher}", text)
        pairs[matcher.name] = matcher.value
    return make(pairs)


class Parser(Durations):
    """One parse. `token` is the next one, not yet taken; contexts say how a surprise is worded inside them."""

    def primary(self) -> Expr:
        token = self.token
        kind = token.kind
        if kind in ("number", "duration"):
            return self.number()
        if kind == "string":
            self.take()
            return StringLiteral(lexer.unquote(token.text), start=token.start, end=token.end)
        if kind == "(":
            self.take()
            inner = self.expr()
            closing = self.expect(")")
            return ParenExpr(inner, start=token.start, end=closing.end)
        if kind == "{":
            return self.selector()
        if kind in lexer.AGGREGATORS and self.after().kind in ("(", "by", "without"):
            return self.aggregation()
        if (kind == "identifier" or kind in lexer.PREPROCESSORS) and self.after().kind == "(":
            return self.call()
        if kind in _METRIC_WORDS:
            return self.selector()
        raise self.surprise()

    def expr(self, least: int = 1) -> Expr:
        """Operators that bind at least as tightly as `least`."""
        self.enter()
        left = self.unary()
        while (power := _PRECEDENCE.get(self.token.kind, 0)) >= least:
            op = self.take().kind
            matching, return_bool = self.modifiers()
            right = self.expr(power if op == "^" else power + 1)
            if not self.features.fill and (matching.fill_left is not None or matching.fill_right is not None):
                message = "binop fill modifiers are experimental and not enabled"
                raise ParseError(message, self.text, left.start, right.end)
            left = BinaryExpr(op, left, right, matching, return_bool, start=left.start, end=right.end)
        self.leave()
        return left

    def unary(self) -> Expr:
        sign = self.token
        if sign.kind not in ("+", "-"):
            return self.postfix()
        self.take()
        inner = self.expr(_POWER)
        if isinstance(inner, NumberLiteral):
            value = -inner.value if sign.kind == "-" else inner.value
            return replace(inner, value=value, start=sign.start)
        return UnaryExpr("-" if sign.kind == "-" else "+", inner, start=sign.start, end=inner.end)

    def postfix(self) -> Expr:
        """Ranges, subqueries and modifiers, which bind more tightly than any operator."""
        expr = self.primary()
        while True:
            token = self.token
            if token.kind == "offset":
                self.take()
                offset = self.offset()
                expr = modifiers.offset(self.text, expr, offset, self.closed)
            elif token.kind == "@":
                self.take()
                timestamp, at = self.at()
                expr = modifiers.at(self.text, expr, timestamp, at, self.closed)
            elif token.kind in ("anchored", "smoothed"):
                self.take()
                expr = modifiers.extended(self.text, expr, token.kind, self.features.extended_ranges)
            elif token.kind == "[":
                expr = self.bracket(expr)
            else:
                return expr

    def bracket(self, expr: Expr) -> Expr:
        opening = self.take()
        with self.context("subquery or range selector", "number, duration, step(), or range()"):
            span = self.positive_duration()
        if self.token.kind == "]":
            closing = self.take()
            return modifiers.matrix(self.text, expr, span, opening, closing)
        if self.token.kind != ":":
            raise self.surprise("subquery or range", '":" or "]"')
        self.take()
        step: Expr | None = None
        if self.token.kind != "]":
            with self.context("subquery selector", 'number, duration, step(), range(), or "]"'):
                step = self.positive_duration()
        if self.token.kind != "]":
            raise self.surprise("subquery selector", '"]"')
        return modifiers.subquery(expr, span, step, self.take())

    def at(self) -> tuple[float | None, str]:
        """What follows `@`: (seconds, "") or (None, "start" or "end")."""
        with self.context("@", "timestamp"):
            word = self.token.kind
            if word in ("start", "end"):
                self.take()
                self.expect("(")
                self.expect(")")
                return None, word
            sign = -1.0 if word == "-" else 1.0
            if word in ("+", "-"):
                self.take()
            if self.token.kind not in ("number", "duration"):
                raise self.surprise()
            return sign * self.number().value, ""

    def modifiers(self) -> tuple[VectorMatching, bool]:
        """What may stand between a binary operator and its right side."""
        matching = VectorMatching()
        return_bool = self.token.kind == "bool"
        if return_bool:
            self.take()
        if self.token.kind in ("on", "ignoring"):
            on = self.take().kind == "on"
            matching = replace(matching, on=on, labels=self.grouping())
            if self.token.kind in ("group_left", "group_right"):
                many: Card = "many-to-one" if self.take().kind == "group_left" else "one-to-many"
                include = self.grouping() if self.token.kind == "(" else ()
                matching = replace(matching, card=many, include=include)
        return self.fills(matching), return_bool

    def fills(self, matching: VectorMatching) -> VectorMatching:
        if self.token.kind == "fill":
            value = self.fill()
            return replace(matching, fill_left=value, fill_right=value)
        if self.token.kind == "fill_left":
            matching = replace(matching, fill_left=self.fill())
            return replace(matching, fill_right=self.fill()) if self.token.kind == "fill_right" else matching
        if self.token.kind == "fill_right":
            matching = replace(matching, fill_right=self.fill())
            return replace(matching, fill_left=self.fill()) if self.token.kind == "fill_left" else matching
        return matching

    def fill(self) -> float:
        self.take()
        self.expect("(")
        sign = -1.0 if self.token.kind == "-" else 1.0
        if self.token.kind in ("+", "-"):
            self.take()
        if self.token.kind not in ("number", "duration"):
            raise self.surprise()
        value = sign * self.number().value
        self.expect(")")
        return value

    def grouping(self) -> tuple[str, ...]:
        """`(a, b, "c d")`."""
        names: list[str] = []
        if self.token.kind != "(":
            raise self.surprise("grouping opts", '"("')
        self.take()
        while self.token.kind != ")":
            token = self.token
            if token.kind not in _LABEL_WORDS and token.kind != "string":
                raise self.surprise("grouping opts", "label")
            name = lexer.unquote(token.text) if token.kind == "string" else token.text
            if not name or not lexer.is_utf8(name):
                message = f"invalid label name for grouping: {quote(name)}"
                raise ParseError(message, self.text, token.start, token.end)
            names.append(name)
            self.take()
            if self.token.kind == ",":
                self.take()
            elif self.token.kind != ")":
                raise self.surprise("grouping opts", '"," or ")"')
        self.take()
        return tuple(names)

    def aggregation(self) -> Expr:
        token = self.take()
        grouping: tuple[str, ...] = ()
        without = False
        with self.context("aggregation", ""):
            before = self.token.kind in ("by", "without")
            if before:
                without = self.take().kind == "without"
                grouping = self.grouping()
            args = self.arguments()
            if not before and self.token.kind in ("by", "without"):
                without = self.take().kind == "without"
                grouping = self.grouping()
        self.check_arguments(token, args)
        param = args[0] if token.kind in AGGREGATORS_WITH_PARAM else None
        return AggregateExpr(token.kind, args[-1], param, grouping, without, start=token.start, end=self.closed)

    def check_arguments(self, token: lexer.Token, args: list[Expr]) -> None:
        wanted = 2 if token.kind in AGGREGATORS_WITH_PARAM else 1
        message = ""
        if not args:
            message = "no arguments for aggregate expression provided"
        elif token.kind in ("limitk", "limit_ratio") and not self.features.experimental_functions:
            message = f"{token.kind}() is experimental and must be enabled with --enable-feature=promql-experimental-functions"
        elif len(args) != wanted:
            message = f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}"
        if message:
            raise ParseError(message, self.text, token.start, self.closed)

    def call(self) -> Expr:
        token = self.take()
        args = self.arguments()
        name = token.text if token.kind == "identifier" else token.kind
        function = FUNCTIONS.get(token.text)
        if function is None:
            message = f"unknown function with name {quote(token.text)}"
            raise ParseError(message, self.text, token.start, token.end)
        if function.experimental and not self.features.experimental_functions:
            raise ParseError(f"function {quote(name)} is not enabled", self.text, token.start, token.end)
        return Call(function, tuple(args), start=token.start, end=self.closed)

    def arguments(self) -> list[Expr]:
        self.expect("(")
        args: list[Expr] = []
        while self.token.kind != ")" or args:
            args.append(self.expr())
            if self.token.kind != ",":
                break
            comma = self.take()
            if self.token.kind not in _STARTS:
                message = "trailing commas not allowed in function call args"
                raise ParseError(message, self.text, comma.start, comma.end)
        self.expect(")")
        return args

    def selector(self) -> VectorSelector:
        token = self.token
        name, end = "", token.end
        if token.kind in _METRIC_WORDS:
            name = token.text
            self.take()
        elif token.kind != "{":
            raise self.surprise()
        matchers: list[Matcher] = []
        if self.token.kind == "{":
            matchers, end = self.braces()
        if name:
            matchers.append(Matcher("=", METRIC_NAME, name))
        return VectorSelector(name, tuple(matchers), start=token.start, end=end)

    def braces(self) -> tuple[list[Matcher], int]:
        """Matchers, and where the closing brace ends."""
        matchers: list[Matcher] = []
        self.take()
        while self.token.kind != "}":
            if self.token.kind not in ("identifier", "string"):
                raise self.surprise("label matching", 'identifier or "}"')
            matchers.append(self.matcher())
            if self.token.kind == ",":
                self.take()
            elif self.token.kind != "}":
                raise self.surprise("label matching", '"," or "}"')
        return matchers, self.take().end

    def matcher(self) -> Matcher:
        token = self.take()
        name = lexer.valid(lexer.unquote(token.text)) if token.kind == "string" else token.text
        op = self.token.kind
        if op not in ("=", "!=", "=~", "!~"):
            if token.kind == "string":
                return Matcher("=", METRIC_NAME, name)
            raise self.surprise("label matching", "label matching operator")
        self.take()
        if self.token.kind != "string":
            raise self.surprise("label matching", "string")
        value = self.take()
        try:
            text = lexer.valid(lexer.unquote(value.text))
            return Matcher(op, name, text)  # type: ignore[arg-type]  # one of the four, just above
        except BadData as error:
            raise ParseError(str(error), self.text, token.start, value.end) from None
