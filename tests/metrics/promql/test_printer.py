"""Expressions as text: by hand, back through the parser, and against what a real Prometheus prints."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from styr.metrics.model.errors import BadData
from styr.metrics.promql.features import EXPERIMENTAL
from styr.metrics.promql.parser import parse
from styr.metrics.promql.printer import duration, pretty, printed
from tests.metrics.promql import peer, script
from tests.metrics.promql.generate import Generator
from tests.metrics.promql.report import OURS
from tests.peers import promql_scripts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("up", "up"),
        ('up{b="2",a="1"}', 'up{a="1",b="2"}'),
        ('{__name__="up"}', '{__name__="up"}'),
        ('{"a.b"="c", "d e"}', '{"a.b"="c",__name__="d e"}'),
        ("rate(x[5m] offset -1h @ 10)", "rate(x[5m] @ 10.000 offset -1h)"),
        ("rate(x[5m] anchored offset 90s)", "rate(x[5m] anchored offset 1m30s)"),
        ("x smoothed @ end()", "x @ end() smoothed"),
        ("max_over_time(x[1d:] @ start())", "max_over_time(x[1d:] @ start())"),
        ("x[step()+5m:max_of(1m, step())]", "x[step() + 5m:max_of(1m, step())]"),
        ("x offset -(5m*2)", "x offset -(5m * 2)"),
        ("sum without() (x)", "sum without () (x)"),
        ("sum by() (x)", "sum(x)"),
        ("topk by (a,b) (2, x)", "topk by (a, b) (2, x)"),
        ('count_values("v", x)', 'count_values("v", x)'),
        ("a + on() b", "a + on () b"),
        ("a * ignoring(c) group_left(d) b", "a * ignoring (c) group_left (d) b"),
        ("a == bool b", "a == bool b"),
        ("a + fill(0) b", "a + fill (0) b"),
        ("a + on(c) fill_left(1) fill_right(2.5) b", "a + on (c) fill_left (1) fill_right (2.5) b"),
        ("-(1 + x) ^ -2", "-(1 + x) ^ -2"),
        ("1e3 + 0x10 + 5m + Inf + -NaN", "1000 + 16 + 5m + +Inf + NaN"),
        (r"""label_replace(x, "a", '$1"\n', "b", `c\d`)""", r"""label_replace(x, "a", "$1\"\n", "b", "c\\d")"""),
    ],
)
def test_printed(text: str, shown: str) -> None:
    assert printed(parse(text, EXPERIMENTAL)) == shown


def test_durations() -> None:
    found = {ms: duration(ms) for ms in (0, 1, 999, 1000, 90_000, 3_600_000, 86_400_000, 90_000_000, 604_800_000)}
    assert found == {
        0: "0s",
        1: "1ms",
        999: "999ms",
        1000: "1s",
        90_000: "1m30s",
        3_600_000: "1h",
        86_400_000: "1d",
        90_000_000: "25h",
        604_800_000: "1w",
    }


def test_pretty_breaks_what_is_longer_than_a_line() -> None:
    name = "a_rather_long_name_of_a_metric_that_somebody_thought_of"
    text = f"sum by (job) (rate({name}[5m])) / on (job) group_left () -topk(3, ({name} + {name}))"
    assert pretty(parse(text)) == "\n".join(
        [
            f"  sum by (job) (rate({name}[5m]))",
            "/ on (job) group_left ()",
            "  -topk(",
            "    3,",
            "    (",
            f"        {name}",
            "      +",
            f"        {name}",
            "    )",
            "  )",
        ]
    )


def test_long_chains_are_printed() -> None:
    text = " + ".join(["x"] * 3000)
    assert printed(parse(text)) == text
    assert pretty(parse(text)).count("\n") > 5000


def test_what_is_printed_parses_to_the_same() -> None:
    generator = Generator(Random(5), experimental=True)
    for _ in range(500):
        text = generator.expression(generator.random.randrange(1, 6))
        try:
            shown = printed(parse(text, EXPERIMENTAL))
        except BadData:
            continue
        again = parse(shown, EXPERIMENTAL)
        assert printed(again) == shown
        assert printed(parse(pretty(again), EXPERIMENTAL)) == shown


@pytest.mark.needs("prometheus")
def test_format_query_is_that_of_prometheus(tmp_path: Path) -> None:
    scripts = [*promql_scripts(), *sorted(OURS.glob("*.test"))]
    texts = {c.expr for path in scripts for c in script.parse(path.read_text()) if isinstance(c, script.Eval)}
    generator = Generator(Random(3), experimental=True)
    texts |= {generator.expression(generator.random.randrange(1, 7)) for _ in range(500)}
    different = []
    with peer.running(tmp_path) as other:
        for text in sorted(texts):
            answer = other.ask("format_query", {"query": text})[1]
            try:
                shown = pretty(parse(text, EXPERIMENTAL))
            except BadData:
                shown = None
            if shown != (answer["data"] if answer["status"] == "success" else None):
                different.append((text, shown, answer))
    assert different == []
