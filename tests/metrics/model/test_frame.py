"""Frames sort and group as their label sets would."""

from __future__ import annotations

from random import Random

import numpy as np

from styr.metrics.model.frame import LabelFrame, Symbols
from styr.metrics.model.labels import Labels
from styr.metrics.promql.values import group_rows, own


def random_sets(random: Random) -> list[Labels]:
    values = ["x", "y", "z", "é", "zz", "10", "9", "\U0001f600"]
    return [
        tuple(sorted({random.choice("abcde"): random.choice(values) for _ in range(random.randrange(4))}.items()))
        for _ in range(random.randrange(12))
    ]


def test_order_is_that_of_the_label_sets() -> None:
    random = Random(1)
    for _ in range(500):
        sets = random_sets(random)
        assert LabelFrame.of(sets).order().tolist() == sorted(range(len(sets)), key=sets.__getitem__)


def test_both_ways_of_grouping_agree() -> None:
    random = Random(2)
    for _ in range(300):
        frame = LabelFrame.of(random_sets(random))
        for names in (None, ["a"], ["b", "c"], ["nothing"], []):
            group, first = frame.group(names)
            other, other_first = group_rows(frame, names)
            assert group.tolist() == other.tolist()
            assert first.tolist() == other_first.tolist()


def test_grouping_by_more_values_than_int64_holds() -> None:
    random = np.random.default_rng(3)
    symbols = Symbols()
    for i in range(1, 100_000):
        symbols.id(str(i))
    rows = 2000
    columns = {name: random.integers(0, 100_000, rows).astype(np.int32) for name in "abcdefgh"}
    columns = {name: np.concatenate([column, column[:500]]) for name, column in columns.items()}
    frame = LabelFrame(symbols, rows + 500, columns)
    group, first = group_rows(frame)
    assert first.tolist() == list(range(rows))
    assert group[rows:].tolist() == list(range(500))


def test_symbols_are_translated_not_shared() -> None:
    sets: list[Labels] = [(("a", "x"),), (("a", "y"), ("b", "x")), ()]
    frame = LabelFrame.of(sets)
    mine = Symbols()
    assert own(frame, mine).all_labels() == sets
    assert own(own(frame, mine), mine).symbols is mine
    assert len(frame.symbols) == 3
