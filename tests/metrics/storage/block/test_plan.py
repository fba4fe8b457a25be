"""Planning as Prometheus plans, and retention: tables."""

from __future__ import annotations

import random

import pytest

from styr.metrics.storage.block import compact, meta, retention
from styr.metrics.storage.block.meta import Meta, Stats
from tests.metrics.storage.block.support import name

LENGTHS = [20, 60, 180, 540, 1620]


def metas(*spans: tuple[int, int], **fields: object) -> list[Meta]:
    return [Meta(name(i), low, high, sources=(name(i),), **fields) for i, (low, high) in enumerate(spans)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spans", "want"),
    [
        ([], []),
        ([(0, 20)], []),
        ([(0, 20), (20, 40)], []),
        ([(0, 20), (20, 40), (40, 60)], []),  # The newest is never taken.
        ([(0, 20), (20, 40), (40, 60), (60, 80)], [0, 1, 2]),
        ([(0, 20), (20, 40), (60, 80), (80, 100)], [0, 1]),  # A gap, but newer ones have left it behind.
        ([(0, 20), (60, 80), (80, 100), (100, 120), (120, 140)], [1, 2, 3]),
        ([(0, 60), (60, 120), (120, 180), (180, 200), (200, 220)], [0, 1, 2]),
        ([(0, 60), (60, 120), (180, 200), (200, 220)], [0, 1]),
        ([(0, 20), (20, 40), (40, 60), (60, 120), (120, 180), (180, 200)], [0, 1, 2]),
        ([(20, 40), (40, 60), (60, 80), (80, 100)], [0, 1]),
        ([(0, 70), (70, 80), (80, 100)], []),  # Not aligned.
        ([(0, 20), (10, 30)], [0, 1]),
        ([(0, 20), (19, 40), (40, 60)], [0, 1]),
        ([(0, 20), (20, 40), (30, 50), (49, 60), (60, 80)], [1, 2, 3]),
        ([(0, 360), (340, 560), (360, 420), (420, 540)], [0, 1, 2, 3]),
        ([(0, 100), (10, 20), (90, 110), (200, 220), (210, 230)], [0, 1, 2]),
        ([(-60, -40), (-40, -20), (-20, 0), (0, 20)], [0, 1, 2]),
    ],
)
def test_plan(spans: list[tuple[int, int]], want: list[int]) -> None:
    planned = metas(*spans)
    shuffled = random.Random(1).sample(planned, len(planned))
    assert compact.plan(shuffled, LENGTHS) == [name(i) for i in want]


def test_blocks_whose_compaction_failed_are_passed_over() -> None:
    spans = [(0, 20), (20, 40), (40, 60), (60, 80), (80, 100), (100, 120), (120, 140)]
    planned = metas(*spans)
    planned[1] = Meta(name(1), 20, 40, failed=True)
    assert compact.plan(planned, LENGTHS) == [name(3), name(4), name(5)]


@pytest.mark.parametrize(
    ("span", "series", "stones", "want"),
    [
        ((0, 540), 10, 3, True),
        ((0, 540), 100, 5, False),
        ((0, 540), 100, 6, True),
        ((0, 20), 10, 3, False),
        ((0, 20), 3, 3, True),
    ],
)
def test_blocks_with_much_deleted_are_rewritten(span: tuple[int, int], series: int, stones: int, want: bool) -> None:
    planned = [*metas(span, stats=Stats(series=series, tombstones=stones)), Meta(name(9), 10_000, 10_020)]
    assert compact.plan(planned, LENGTHS) == ([name(0)] if want else [])


def test_blocks_of_part_of_the_series_stay_among_themselves() -> None:
    planned = metas((0, 20), (20, 40), (40, 60), (60, 80), hints=(meta.STALE_SERIES,))
    planned += [Meta(name(10), 0, 20), Meta(name(11), 60, 80)]
    assert compact.plan(planned, LENGTHS) == [name(0), name(1), name(2)]
    assert compact.merged(name(20), planned[:3]).hints == (meta.STALE_SERIES,)


def test_the_meta_of_a_merged_block() -> None:
    first = Meta(name(1), 0, 20, level=1, sources=(name(1),), hints=(meta.OUT_OF_ORDER,))
    second = Meta(name(0), 20, 60, level=3, sources=(name(0), name(7)))
    made = compact.merged(name(9), [first, second])
    assert (made.mint, made.maxt, made.level, made.hints) == (0, 60, 4, ())
    assert made.sources == (name(0), name(1), name(7))
    assert made.parents == (first.of(), second.of())
    assert compact.merged(name(9), [first]).hints == (meta.OUT_OF_ORDER,)


def test_ranges() -> None:
    hour = 3_600_000
    assert compact.ranges(31 * 24 * hour) == [h * hour for h in (2, 6, 18, 54, 162, 486)]
    assert compact.ranges(1) == [2 * hour]


@pytest.mark.parametrize(
    ("limits", "want"),
    [
        ({}, []),
        ({"longest": 40}, [1, 0]),
        ({"longest": 41}, [0]),
        ({"longest": 1000}, []),
        ({"most": 400}, []),
        ({"most": 399}, [0]),
        ({"most": 250, "other": 50}, [1, 0]),
        ({"most": 10}, [3, 2, 1, 0]),
        ({"most": 399, "longest": 21}, [1, 0]),
    ],
)
def test_retention(limits: dict[str, int], want: list[int]) -> None:
    sized = [(each, 100) for each in metas((0, 20), (20, 40), (40, 60), (60, 80))]
    assert retention.expired(sized, **limits) == [name(i) for i in want]
