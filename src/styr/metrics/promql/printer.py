"""Expressions as text: `printed` on one line, as Prometheus prints them, `pretty` with line breaks, as its `format_query` does.

Called by the HTTP API, rules and tests. Pure. What is printed parses to an equal expression. Chains of binary operators, which
may be long, are walked without recursion; all other nesting is bounded by the parser.
"""

from __future__ import annotations

from collections.abc import Sequence

from styr.metrics.model.labels import METRIC_NAME, is_legacy_label_name, quote
from styr.metrics.promql.annotations import go_float
from styr.metrics.promql.ast import (
    AGGREGATORS_WITH_PARAM,
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
    VectorSelector,
)
from styr.metrics.promql.texts import plain_float

WIDTH = 100
"""Bytes of an expression that `pretty` leaves on one line."""

_EXACT_UNITS = (("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000))
_UNITS = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def printed(expr: Expr) -> str:
    match expr:
        case BinaryExpr():
            first, links = _chain(expr)
            return printed(first) + "".join(f" {_operator(link)} {printed(link.right)}" for link in links)
        case AggregateExpr():
            param = f"{printed(expr.param)}, " if expr.param is not None and expr.op in AGGREGATORS_WITH_PARAM else ""
            return f"{_aggregation(expr)}({param}{printed(expr.expr)})"
        case Call():
            return f"{expr.function.name}({', '.join(printed(arg) for arg in expr.args)})"
        case ParenExpr():
            return f"({printed(expr.expr)})"
        case UnaryExpr():
            return expr.op + printed(expr.expr)
        case SubqueryExpr():
            return printed(expr.expr) + _subquery(expr)
        case DurationExpr():
            return _duration_expr(expr)
        case _:
            return _leaf(expr)


def _leaf(expr: Expr) -> str:
    match expr:
        case VectorSelector():
            return _selector(expr) + _at(expr) + _extension(expr) + _offset(expr)
        case MatrixSelector():
            selector = expr.selector
            span = printed(expr.range_expr) if expr.range_expr is not None else duration(expr.range)
            return f"{_selector(selector)}[{span}]{_extension(selector)}{_at(selector)}{_offset(selector)}"
        case NumberLiteral():
            return _number(expr)
        case StringLiteral():
            return quote(expr.value)
        case _:
            raise TypeError(f"{type(expr).__name__} is no expression that can be printed")


def _chain(expr: BinaryExpr) -> tuple[Expr, list[BinaryExpr]]:
    """(the leftmost operand, the operators from left to right)."""
    links: list[BinaryExpr] = []
    left: Expr = expr
    while isinstance(left, BinaryExpr):
        links.append(left)
        left = left.left
    return left, links[::-1]


def _operator(expr: BinaryExpr) -> str:
    """With `bool` and how the sides are matched."""
    shown = expr.op + (" bool" if expr.return_bool else "")
    rule = expr.matching
    if rule is None:
        return shown
    grouped = rule.card in ("many-to-one", "one-to-many")
    if rule.labels or rule.on or grouped:
        shown += f" {'on' if rule.on else 'ignoring'} ({_labels(rule.labels)})"
    if grouped:
        shown += f" group_{'left' if rule.card == 'many-to-one' else 'right'} ({_labels(rule.include)})"
    left, right = rule.fill_left, rule.fill_right
    if left is not None and left == right:
        return shown + f" fill ({go_float(left)})"
    shown += "" if left is None else f" fill_left ({go_float(left)})"
    return shown + ("" if right is None else f" fill_right ({go_float(right)})")


def _labels(names: Sequence[str]) -> str:
    return ", ".join(name if is_legacy_label_name(name) else quote(name) for name in names)


def _aggregation(expr: AggregateExpr) -> str:
    if expr.without:
        return f"{expr.op} without ({_labels(expr.grouping)}) "
    return f"{expr.op} by ({_labels(expr.grouping)}) " if expr.grouping else expr.op


def _selector(expr: VectorSelector) -> str:
    matchers = sorted(
        str(m) for m in expr.matchers if not (m.name == METRIC_NAME and m.op == "=" and m.value == expr.name != "")
    )
    return expr.name + ("{" + ",".join(matchers) + "}" if matchers else "")


def _at(expr: VectorSelector | SubqueryExpr) -> str:
    if expr.timestamp is not None:
        return f" @ {expr.timestamp / 1000:.3f}"
    return f" @ {expr.at}()" if expr.at else ""


def _extension(expr: VectorSelector) -> str:
    return " anchored" if expr.anchored else " smoothed" if expr.smoothed else ""


def _offset(expr: VectorSelector | SubqueryExpr) -> str:
    if expr.offset_expr is not None:
        return f" offset {printed(expr.offset_expr)}"
    if not expr.offset:
        return ""
    return f" offset {'-' if expr.offset < 0 else ''}{duration(abs(expr.offset))}"


def _subquery(expr: SubqueryExpr) -> str:
    span = printed(expr.range_expr) if expr.range_expr is not None else duration(expr.range)
    step = duration(expr.step) if expr.step else "" if expr.step_expr is None else printed(expr.step_expr)
    return f"[{span}:{step}]{_at(expr)}{_offset(expr)}"


def _number(expr: NumberLiteral) -> str:
    if not expr.duration:
        return plain_float(expr.value)
    sign = "-" if expr.value < 0 else ""
    return sign + duration(int(abs(expr.value) * 1e9) // 1_000_000)


def _duration_expr(expr: DurationExpr) -> str:
    left = "" if expr.left is None else printed(expr.left)
    right = "" if expr.right is None else printed(expr.right)
    if expr.op in ("step", "range"):
        shown = f"{expr.op}()"
    elif expr.op in ("min_of", "max_of"):
        shown = f"{expr.op}({left}, {right})"
    elif expr.left is None:
        shown = f"-{right}" if expr.op == "-" else right
    else:
        shown = f"{left} {expr.op} {right}"
    return f"({shown})" if expr.wrapped else shown


def duration(milliseconds: int) -> str:
    """`1h30m`; years, weeks and days only where nothing is left over."""
    if milliseconds == 0:
        return "0s"
    shown, left = "", milliseconds
    for unit, size in _EXACT_UNITS:
        if left >= size and left % size == 0:
            shown, left = f"{shown}{left // size}{unit}", 0
    for unit, size in _UNITS:
        if left >= size:
            shown, left = f"{shown}{left // size}{unit}", left % size
    return shown


def pretty(expr: Expr, level: int = 0) -> str:
    """`level`: how far the lines are indented."""
    indent = "  " * level
    match expr:
        case BinaryExpr():
            return _pretty_chain(expr, level)
        case SubqueryExpr():
            text = printed(expr)
            return text if not _long(text) else pretty(expr.expr, level) + _subquery(expr)
        case UnaryExpr():
            return indent + expr.op + pretty(expr.expr, level).strip()
        case AggregateExpr() | Call() | ParenExpr():
            text = printed(expr)
            return indent + (text if not _long(text) else _broken(expr, level))
        case _:
            return indent + printed(expr)


def _long(text: str) -> bool:
    return len(text.encode("utf-8", "surrogatepass")) > WIDTH


def _broken(expr: AggregateExpr | Call | ParenExpr, level: int) -> str:
    """Over several lines, what is in the parentheses one level deeper."""
    end = "\n" + "  " * level + ")"
    match expr:
        case AggregateExpr():
            param = ""
            if expr.param is not None and expr.op in AGGREGATORS_WITH_PARAM:
                param = pretty(expr.param, level + 1) + ",\n"
            return f"{_aggregation(expr)}(\n{param}{pretty(expr.expr, level + 1)}{end}"
        case Call():
            arguments = ",\n".join(pretty(arg, level + 1) for arg in expr.args)
            return f"{expr.function.name}(\n{arguments}{end}"
        case ParenExpr():
            return f"(\n{pretty(expr.expr, level + 1)}{end}"


def _pretty_chain(expr: BinaryExpr, level: int) -> str:
    """Every operator that does not fit on its line stands on a line of its own; its left side is a level deeper."""
    first, links = _chain(expr)
    text, fitting = printed(first), 0
    for link in links:
        longer = f"{text} {_operator(link)} {printed(link.right)}"
        if _long(longer):
            break
        text, fitting = longer, fitting + 1
    at = level + len(links) - fitting
    shown = "  " * at + text if fitting else pretty(first, at)
    for link in links[fitting:]:
        at -= 1
        shown += f"\n{'  ' * at}{_operator(link)}\n{pretty(link.right, at + 1)}"
    return shown
