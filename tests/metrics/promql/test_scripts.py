"""The engine against scripts: our own always, Prometheus' own where its source can be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from styr.metrics.model.errors import BadData
from styr.metrics.promql import ast, lexer
from styr.metrics.promql.features import EXPERIMENTAL
from styr.metrics.promql.parser import parse
from styr.metrics.promql.signatures import FUNCTIONS
from tests.metrics.promql import script
from tests.metrics.promql.report import OURS
from tests.metrics.promql.runner import run
from tests.peers import promql_scripts


def _failures(path: Path) -> list[str]:
    return [
        f"{path.stem}:{each.line}: {each.expr}: {each.failure}"
        for each in run(script.parse(path.read_text()))
        if each.failure
    ]


@pytest.mark.parametrize("path", sorted(OURS.glob("*.test")), ids=lambda path: path.stem)
def test_our_scripts_pass(path: Path) -> None:
    assert _failures(path) == []


def test_our_scripts_use_the_whole_language() -> None:
    used: set[str] = set()
    for path in OURS.glob("*.test"):
        for command in script.parse(path.read_text()):
            if isinstance(command, script.Eval):
                used |= _used(command.expr)
    wanted = {
        *FUNCTIONS,
        *lexer.AGGREGATORS,
        *ast.COMPARISONS,
        *ast.SET_OPERATORS,
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "atan2",
    }
    wanted |= {
        "</",
        ">/",
        "unary -",
        "unary +",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "fill_left",
        "fill_right",
    }
    wanted |= {
        "offset",
        "-offset",
        "@",
        "@start",
        "@end",
        "anchored",
        "smoothed",
        "range",
        "subquery",
        "step",
        "by",
        "without",
    }
    wanted |= {"offset expression", "range expression", "=", "!=", "=~", "!~"}
    assert wanted - used == set()


def _used(text: str) -> set[str]:
    try:
        expr = parse(text, EXPERIMENTAL)
    except BadData:
        return set()
    return {word for node in ast.visit(expr) for word in _words(node)}


def _words(node: ast.Expr) -> list[str]:
    match node:
        case ast.Call():
            return [node.function.name]
        case ast.AggregateExpr():
            return [node.op, *(["without"] if node.without else ["by"] if node.grouping else [])]
        case ast.UnaryExpr():
            return [f"unary {node.op}"]
        case ast.BinaryExpr():
            return [node.op, *(["bool"] if node.return_bool else []), *_matching(node.matching)]
        case ast.VectorSelector():
            modifiers = {"anchored": node.anchored, "smoothed": node.smoothed, "offset": node.offset > 0}
            modifiers |= {"-offset": node.offset < 0, f"@{node.at}": True, "@": node.timestamp is not None}
            modifiers |= {"offset expression": node.offset_expr is not None}
            return [*(m.op for m in node.matchers), *(word for word, there in modifiers.items() if there)]
        case ast.MatrixSelector():
            return ["range", *(["range expression"] if node.range_expr is not None else [])]
        case ast.SubqueryExpr():
            return ["subquery", *(["step"] if node.step else [])]
        case _:
            return []


def _matching(rule: ast.VectorMatching | None) -> list[str]:
    if rule is None:
        return []
    words = ["on"] if rule.on else ["ignoring"] if rule.labels else []
    words += {"many-to-one": ["group_left"], "one-to-many": ["group_right"]}.get(rule.card, [])
    fills = {"fill_left": rule.fill_left, "fill_right": rule.fill_right}
    return [*words, *(name for name, value in fills.items() if value is not None)]


THEIRS = (
    *(
        "aggregators",
        "at_modifier",
        "collision",
        "duration_expression",
        "extended_vectors",
        "fill-modifier",
        "functions",
    ),
    *("histograms", "info", "limit", "literals", "name_label_dropping", "native_histograms", "operators"),
    *("range_queries", "selectors", "staleness", "start_timestamps", "subquery", "trig_functions", "type_and_unit"),
)
"""The scripts of Prometheus 3.14.0."""


@pytest.mark.needs("go")
@pytest.mark.parametrize("name", THEIRS)
def test_prometheus_scripts_pass(name: str) -> None:
    scripts = {path.stem: path for path in promql_scripts()}
    if not scripts:
        pytest.skip("the source of Prometheus cannot be had")
    assert set(scripts) == set(THEIRS)
    assert _failures(scripts[name]) == []


def test_a_script_that_is_wrong_names_its_line() -> None:
    for text, line in (
        ("load\n  a 1", 1),
        ("\nload 1m\n  a 1 b", 2),
        ("load 1m\n  a 1x", 1),
        ("load 1m\n  a {{schema}}", 1),
        ("eval a", 1),
        ("clear\n\neval instant at 1y2 a", 3),
        ("load 1m\n a@st 1m\n b 1", 1),
        ("load 1m\n a@st 1m", 1),
        ("frobnicate", 1),
    ):
        with pytest.raises(script.ScriptError, match=f"line {line}"):
            script.parse(text)


def test_what_is_not_as_expected_is_told() -> None:
    text = """
load 1m
  a{x="1"} 1 2 3
  a{x="2"} {{count:2 sum:3 buckets:[1 1]}}x2

eval instant at 1m a
  a{x="1"} 2

eval instant at 1m a{x="1"}
  a{x="1"} 3

eval instant at 1m a{x="2"}
  a{x="2"} {{count:2 sum:3 buckets:[1 2]}}

eval instant at 1m a{x="1"}
  expect warn
  a{x="1"} 2

eval instant at 1m sum(
  expect fail msg: something else

eval instant at 1m a{x="1"}
  a{x="1"} 2
  a{x="3"} 2

eval range from 0 to 2m step 1m a{x="1"}
  a{x="1"} 1 2 _

eval instant at 1m 3
  4

eval instant at 1m sum(a{x="1"})
  expect no_info
  {} 2
"""
    outcomes = run(script.parse(text))
    assert [bool(each.failure) for each in outcomes] == [True] * 8 + [False]
    assert "must not be there" in outcomes[0].failure
    assert "must be 3.0, is 2.0" in outcomes[1].failure
    assert (
        "must be {{count:2 sum:3 buckets:[1 2]}}, is {{count:2 sum:3 counter_reset_hint:not_reset buckets:[1 1]}}"
        in outcomes[2].failure
    )
    assert "must tell" in outcomes[3].failure
    assert "must fail with something else" in outcomes[4].failure
    assert "lacks" in outcomes[5].failure
