"""Every kind of matcher finds what trying it on every series finds; shapes of expressions never say more than is true."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from styr.metrics.model.labels import get, make
from styr.metrics.model.matchers import Matcher, Operator
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.patterns import shape
from tests.metrics.storage.block.support import Data, make_block

PATTERNS = [
    "",
    "a",
    "a|b",
    "a|b|",
    "(a|b)c?",
    "ab?",
    "a.*",
    ".*",
    ".+",
    "a.+",
    ".*c",
    "[ab]c",
    "[a-c]",
    "[^a]",
    "(?i)A",
    "(?i:A)b",
    "a\\.b",
    "a\\.b|a\\+b",
    "a{2}",
    "aa*",
    "(?:a|ac)",
    "a(b|c)|d",
    "\\Qa.b\\E",
    "é|日本.*",
    "a\nb",
    "a.b",
    "^a$",
    "a||b",
    "()",
    "a(|b)c",
    "\\d+",
    "aa??",
    "nothing|at|all",
]
VALUES = [
    "",
    "a",
    "b",
    "c",
    "d",
    "ab",
    "ac",
    "bc",
    "aa",
    "a.b",
    "a+b",
    "a\nb",
    "A",
    "Ab",
    "é",
    "日本",
    "日本語",
    "12",
    "aXb",
]


def block_of(tmp_path: Path, sets: list[dict[str, str]]) -> Block:
    data: Data = {make({"__name__": "m", "n": f"{i:04d}", **each}): [(i, 1.0)] for i, each in enumerate(sets)}
    return make_block(tmp_path, data)


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Block:
    sets = [{"x": x, "y": y} for x, y in itertools.product(VALUES, ["", "a", "日本"])]
    return block_of(tmp_path_factory.mktemp("block"), sets)


@pytest.mark.parametrize("op", ["=", "!=", "=~", "!~"])
def test_each_matcher_alone(block: Block, op: Operator) -> None:
    everything = block.chunks([]).frame.all_labels()
    for value in PATTERNS + VALUES:
        if op in ("=~", "!~") and value == "a+b":
            continue
        matcher = Matcher(op, "x", value)
        want = [labels for labels in everything if matcher.matches(get(labels, "x"))]
        assert block.chunks([matcher]).frame.all_labels() == want, str(matcher)


def test_matchers_together(block: Block) -> None:
    everything = block.chunks([]).frame.all_labels()
    choose = random.Random(5)
    ops: list[Operator] = ["=", "!=", "=~", "!~"]
    for _ in range(400):
        matchers = [
            Matcher(choose.choice(ops), choose.choice(["x", "y", "n", "absent"]), choose.choice(PATTERNS))
            for _ in range(choose.randint(1, 4))
        ]
        want = [labels for labels in everything if all(m.matches(get(labels, m.name)) for m in matchers)]
        assert block.chunks(matchers).frame.all_labels() == want, list(map(str, matchers))


def test_an_expression_over_many_values_is_tried_on_few_series(tmp_path: Path) -> None:
    block = block_of(tmp_path, [{"pod": f"pod-{i}", "job": f"j{i % 50}"} for i in range(500)])
    tried: list[str] = []
    matcher = Matcher("=~", "pod", ".*7.*")
    object.__setattr__(matcher, "_test", lambda value: bool(tried.append(value)) or "7" in value)
    found = block.chunks([matcher, Matcher("=", "job", "j7")])
    assert found.frame.size == 10
    assert len(set(tried)) <= 11


def test_alternatives_never_run_the_expression_on_other_values(tmp_path: Path) -> None:
    block = block_of(tmp_path, [{"pod": f"pod-{i}"} for i in range(500)])
    tried: list[str] = []
    matcher = Matcher("=~", "pod", "pod-(1|2)|pod-999")
    test = Matcher("=~", "pod", matcher.value).matches
    object.__setattr__(matcher, "_test", lambda value: bool(tried.append(value)) or test(value))
    assert block.chunks([matcher]).frame.size == 2
    assert set(tried) <= {"", "pod-1", "pod-2", "pod-999"}


def test_label_names_and_values(block: Block) -> None:
    assert block.label_names() == ["__name__", "n", "x", "y"]
    assert block.label_names([Matcher("=", "x", ""), Matcher("=", "y", "a")]) == ["__name__", "n", "y"]
    assert block.label_values("x") == sorted(value for value in VALUES if value)
    assert block.label_values("x", [Matcher("=~", "x", "日.*")]) == ["日本", "日本語"]
    assert block.label_values("absent") == []
    assert block.label_values("") == []
    assert block.label_values("absent", [Matcher("=", "x", "a")]) == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_shapes_are_true(pattern: str) -> None:
    found, matcher = shape(pattern), Matcher("=~", "x", pattern)
    for value in VALUES:
        if matcher.matches(value):
            assert value.startswith(found.prefix)
            assert found.exact is None or value in found.exact
        else:
            assert found.exact is None or value not in found.exact


@pytest.mark.parametrize(
    ("pattern", "exact", "prefix"),
    [
        ("api|web", ("api", "web"), ""),
        ("node_(cpu|memory)_total", ("node_cpu_total", "node_memory_total"), "node_"),
        ("10\\.0\\.0\\.1:9100", ("10.0.0.1:9100",), "10.0.0.1:9100"),
        ("kube-.*", None, "kube-"),
        ("ab?c.*", None, "a"),
        ("a|b.*", None, ""),
        ("(a|b.*)c", None, ""),
        ("[0-9]x", None, ""),
        ("x[0-9]", None, "x"),
        ("|".join(f"v{i}" for i in range(250)), tuple(f"v{i}" for i in range(250)), "v"),
        ("[abcd][abcd][abcd][abcd][abcd]", None, ""),
    ],
)
def test_what_shapes_know(pattern: str, exact: tuple[str, ...] | None, prefix: str) -> None:
    assert (shape(pattern).exact, shape(pattern).prefix) == (exact, prefix)
