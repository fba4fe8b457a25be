"""What the parser takes, what it makes of it, and how it refuses: words and positions are Prometheus 3.14's."""

from __future__ import annotations

import pytest

from styr.metrics.model.errors import BadData, ParseError
from styr.metrics.model.matchers import Matcher
from styr.metrics.promql import ast
from styr.metrics.promql.ast import (
    AggregateExpr,
    BinaryExpr,
    Call,
    DurationExpr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatching,
    VectorSelector,
)
from styr.metrics.promql.features import EXPERIMENTAL
from styr.metrics.promql.numbers import parse_duration
from styr.metrics.promql.parser import parse, parse_metric, parse_selector


def named(name: str, *matchers: Matcher, **rest: object) -> VectorSelector:
    return VectorSelector(name, (*matchers, Matcher("=", "__name__", name)), **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("+Inf", float("inf")),
        ("-inf", float("-inf")),
        (".5", 0.5),
        ("5.", 5.0),
        ("123.4567", 123.4567),
        ("5e-3", 0.005),
        ("0xc", 12.0),
        ("0X_1F", 31.0),
        ("010", 8.0),
        ("08", 8.0),
        ("1_000", 1000.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("-5m", -300.0),
        ("0755", 493.0),
    ],
)
def test_numbers(text: str, value: float) -> None:
    expr = parse(text)
    assert isinstance(expr, NumberLiteral)
    assert expr.value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"double-quoted string \\" with escaped quote"', 'double-quoted string " with escaped quote'),
        ("'single \\' quote'", "single ' quote"),
        ("`raw \\n`", "raw \\n"),
        ('"\\a\\b\\f\\n\\r\\t\\v\\\\"', "\a\b\f\n\r\t\v\\"),
        ('"\\x41\\101\\u00e9\\U0001F600"', "AAé😀"),
        ('"\\xc3\\xa9"', "é"),
        ('""', ""),
    ],
)
def test_strings(text: str, value: str) -> None:
    expr = parse(text)
    assert isinstance(expr, StringLiteral)
    assert expr.value == value


def test_precedence() -> None:
    assert parse("1 + 2 * 3 ^ 4") == BinaryExpr(
        "+",
        NumberLiteral(1),
        BinaryExpr("*", NumberLiteral(2), BinaryExpr("^", NumberLiteral(3), NumberLiteral(4))),
    )
    assert parse("2 ^ 3 ^ 4") == BinaryExpr("^", NumberLiteral(2), BinaryExpr("^", NumberLiteral(3), NumberLiteral(4)))
    assert parse("-1 ^ 2") == UnaryExpr("-", BinaryExpr("^", NumberLiteral(1), NumberLiteral(2)))
    assert parse("-1 * 2") == BinaryExpr("*", NumberLiteral(-1), NumberLiteral(2))
    assert parse("1 - 2 - 3") == BinaryExpr("-", BinaryExpr("-", NumberLiteral(1), NumberLiteral(2)), NumberLiteral(3))
    many = VectorMatching("many-to-many")
    assert parse("a or b and c unless d") == BinaryExpr(
        "or",
        named("a"),
        BinaryExpr("unless", BinaryExpr("and", named("b"), named("c"), many), named("d"), many),
        many,
    )


@pytest.mark.parametrize("op", ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "</", ">/"])
def test_every_operator_between_vectors(op: str) -> None:
    expr = parse(f"foo {op} on(a, b) group_left(c) bar")
    assert isinstance(expr, BinaryExpr)
    assert (expr.op, expr.matching) == (op, VectorMatching("many-to-one", ("a", "b"), True, ("c",)))


@pytest.mark.parametrize("op", ["and", "or", "unless"])
def test_set_operators_are_many_to_many(op: str) -> None:
    expr = parse(f"foo {op} ignoring(a) bar")
    assert isinstance(expr, BinaryExpr)
    assert expr.matching == VectorMatching("many-to-many", ("a",))


def test_bool_and_fill() -> None:
    expr = parse("foo > bool on(a) group_right(b) fill_left(1) fill_right(-2) bar", EXPERIMENTAL)
    assert isinstance(expr, BinaryExpr)
    assert expr.return_bool
    assert expr.matching == VectorMatching("one-to-many", ("a",), True, ("b",), 1.0, -2.0)


def test_selectors() -> None:
    assert parse('foo{a="b", c!="d", e=~"f.*", g!~"h"}') == named(
        "foo", Matcher("=", "a", "b"), Matcher("!=", "c", "d"), Matcher("=~", "e", "f.*"), Matcher("!~", "g", "h")
    )
    assert parse('{"foo bar", "utf8 label"="x"}') == VectorSelector(
        "", (Matcher("=", "__name__", "foo bar"), Matcher("=", "utf8 label", "x"))
    )
    assert parse("foo offset 5m") == named("foo", offset=300_000)
    assert parse("foo offset -5m @ 10.5") == named("foo", offset=-300_000, timestamp=10_500)
    assert parse("foo @ end()") == named("foo", at="end")
    assert parse("foo[5m] offset 1h") == MatrixSelector(named("foo", offset=3_600_000), 300_000)


def test_keywords_are_metrics_where_nothing_else_fits() -> None:
    for name in ("sum", "by", "and", "offset", "start", "step", "fill", "max_of", "anchored", "limitk"):
        assert parse(name) == named(name)
    assert parse("fill + fill").type == "vector"
    assert parse("sum by (by, sum, on, bool) (foo)") == AggregateExpr(
        "sum", named("foo"), None, ("by", "sum", "on", "bool")
    )


def test_subqueries() -> None:
    assert parse("foo[10m:6s]") == SubqueryExpr(named("foo"), 600_000, None, 6000)
    assert parse("(foo + 1)[1h:] offset 5m") == SubqueryExpr(
        ParenExpr(BinaryExpr("+", named("foo"), NumberLiteral(1))), 3_600_000, offset=300_000
    )


def test_duration_expressions() -> None:
    expr = parse("foo[5m * 2 + step()]")
    assert isinstance(expr, MatrixSelector)
    assert expr.range_expr == DurationExpr(
        "+", DurationExpr("*", NumberLiteral(300, True), NumberLiteral(2)), DurationExpr("step")
    )
    outside = parse("foo offset 5m * 2")
    assert isinstance(outside, BinaryExpr)  # behind offset only what is in parentheses belongs to the duration
    assert outside.left == named("foo", offset=300_000)
    inside = parse("foo offset (5m * 2)")
    assert isinstance(inside, VectorSelector)
    assert inside.offset_expr is not None
    assert inside.offset_expr.wrapped


def test_aggregations_and_calls() -> None:
    assert parse("topk by (a) (5, foo)") == AggregateExpr("topk", named("foo"), NumberLiteral(5), ("a",))
    assert parse("sum(foo) without (a)") == AggregateExpr("sum", named("foo"), None, ("a",), True)
    call = parse("rate(foo[5m])")
    assert isinstance(call, Call)
    assert (call.function.name, call.type, call.args[0].type) == ("rate", "vector", "matrix")


def test_positions() -> None:
    expr = parse("sum(rate(foo[5m])) / ignoring(a) bar{b='c'}")
    assert isinstance(expr, BinaryExpr)
    assert (expr.start, expr.end) == (0, 43)
    assert (expr.left.start, expr.left.end) == (0, 18)
    assert (expr.right.start, expr.right.end) == (33, 43)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "unknown position: parse error: no expression found in input"),
        ("# only a comment", "1:1: parse error: no expression found in input"),
        ("1 + ", "1:5: parse error: unexpected end of input"),
        ("foo bar", '1:5: parse error: unexpected identifier "bar"'),
        ("(1 + 2", "1:7: parse error: unclosed left parenthesis"),
        ("1)", "1:3: parse error: unexpected right parenthesis ')'"),
        ("foo{", "1:5: parse error: unexpected end of input inside braces"),
        ("foo{a=}", '1:7: parse error: unexpected "}" in label matching, expected string'),
        ("foo{a}", '1:6: parse error: unexpected "}" in label matching, expected label matching operator'),
        ('foo{a="b" c="d"}', '1:11: parse error: unexpected identifier "c" in label matching, expected "," or "}"'),
        ("foo[5m", "1:7: parse error: unclosed left bracket"),
        (
            "foo[]",
            '1:5: parse error: unexpected "]" in subquery or range selector, '
            "expected number, duration, step(), or range()",
        ),
        ("foo[5m 4]", '1:8: parse error: unexpected number "4" in subquery or range, expected ":" or "]"'),
        ("foo[0m]", "1:5: parse error: duration must be greater than 0"),
        ("1[5m]", "1:2: parse error: ranges only allowed for vector selectors"),
        (
            "foo offset",
            "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        ("foo offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times"),
        (
            "1 offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range "
            "vector selector or a subquery",
        ),
        ("foo @ x", '1:7: parse error: unexpected identifier "x" in @, expected timestamp'),
        ("foo @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
        ("foo @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
        ("sum(%)", "1:5: parse error: unexpected <op:%> in aggregation"),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
        (
            "sum(a, b)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
        ("sum by (a b) (c)", '1:11: parse error: unexpected identifier "b" in grouping opts, expected "," or ")"'),
        ("rate(foo)", '1:6: parse error: expected type range vector in call to function "rate", got instant vector'),
        ("nothing(foo)", '1:1: parse error: unknown function with name "nothing"'),
        ("rate(foo[5m],)", "1:13: parse error: trailing commas not allowed in function call args"),
        ("rate()", '1:1: parse error: expected 1 argument(s) in call to "rate", got 0'),
        ("round(foo, 1, 2)", '1:1: parse error: expected at most 2 argument(s) in call to "round", got 3'),
        ("label_join(foo)", '1:1: parse error: expected at least 3 argument(s) in call to "label_join", got 1'),
        ("mad_over_time(foo[5m])", '1:1: parse error: function "mad_over_time" is not enabled'),
        ("foo and 1", '1:1: parse error: set operator "and" not allowed in binary scalar expression'),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("foo + bool bar", "1:5: parse error: bool modifier can only be used on comparison operators"),
        ("foo + on(a) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
        ("foo + on(a) group_left(a) bar", '1:5: parse error: label "a" must not occur in ON and GROUP clause at once'),
        ("foo and on(a) group_left() bar", '1:1: parse error: no grouping allowed for "and" operation'),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('{a=~".*"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('foo{__name__="bar"}', '1:1: parse error: metric name must not be set twice: "foo" or "bar"'),
        (
            '-"x"',
            "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, "
            'got "string"',
        ),
        ("1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead"),
        ("foo + fill(1) bar", "1:1: parse error: binop fill modifiers are experimental and not enabled"),
        ("foo anchored", "1:1: parse error: anchored modifier is experimental and not enabled"),
        ('"abc', "1:1: parse error: unterminated quoted string"),
        ('"\\q"', "1:1: parse error: unknown escape sequence U+0071 'q'"),
        ('"\\xg"', "1:1: parse error: illegal character U+0067 'g' in escape sequence"),
        ("5hs", '1:1: parse error: unknown unit "hs" in duration "5hs"'),
        ("1..2", '1:1: parse error: bad number or duration syntax: "1.."'),
        ("foo $ bar", "1:5: parse error: unexpected character: '$'"),
        ("foo =~ bar", "1:5: parse error: unexpected character after '=': '~'"),
        ("1e400", '1:1: parse error: error parsing number: strconv.ParseFloat: parsing "1e400": value out of range'),
        ("foo +\n  bar)", "2:7: parse error: unexpected right parenthesis ')'"),
    ],
)
def test_errors(text: str, error: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse(text)
    assert str(raised.value) == error


def test_metrics_and_selectors_alone() -> None:
    assert parse_metric('foo{b="2", a="1"}') == (("__name__", "foo"), ("a", "1"), ("b", "2"))
    assert parse_metric("") == ()
    assert parse_selector('{a=~".*"}') == (Matcher("=~", "a", ".*"),)
    with pytest.raises(ParseError):
        parse_selector("rate(foo[5m])")
    with pytest.raises(ParseError):
        parse_metric('foo{a!="b"}')


def test_visiting() -> None:
    expr = parse("sum(a) / on(x) rate(b[5m]) + topk(1, c)")
    assert [each.name for each in ast.selectors(expr)] == ["a", "b", "c"]
    depths: list[int] = []
    ast.inspect(expr, lambda node, path: depths.append(len(path)))
    assert (len(depths), max(depths)) == (len(list(ast.visit(expr))), 4)


@pytest.mark.parametrize(
    "text",
    [
        "-" * 100_000 + "1",
        "(" * 100_000 + "1",
        "sum(" * 5000 + "a",
        "1^" * 10_000 + "1",
        "foo[" + "(" * 5000,
        "foo offset " + "-" * 5000 + "5m",
    ],
)
def test_nesting_is_refused_not_overflown(text: str) -> None:
    with pytest.raises(ParseError, match="nested more than 100 deep"):
        parse(text)


def test_long_chains_are_taken() -> None:
    expr = parse(" or ".join(f"a{i}" for i in range(5000)))
    assert sum(1 for _ in ast.visit(expr)) == 9999


def test_long_texts_and_patterns_are_refused() -> None:
    with pytest.raises(ParseError, match="characters"):
        parse("a" * (1 << 21))
    with pytest.raises(ParseError, match="regular expression"):
        parse('{a=~"' + "(" * 100 + '"}')
    with pytest.raises(ParseError, match="at most"):
        parse('{a=~"' + "x" * 100_000 + '"}')


@pytest.mark.parametrize("text", ["5hs", "1m1h", "1", "-5m", "5", "h", "1h1h", "300y", "1y1ms1s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(BadData):
        parse_duration(text)
