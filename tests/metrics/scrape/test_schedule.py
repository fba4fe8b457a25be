"""When targets are scraped, and the timestamps that scrapes get."""

from __future__ import annotations

import random

from styr.metrics.scrape.schedule import Grid, offset


def test_offsets_are_spread_and_the_same_after_a_restart() -> None:
    interval, now = 15_000, 1_700_000_003_456.0
    moments = sorted(now + offset(number * 0x9E3779B97F4A7C15 % 2**64, 7, interval, now) for number in range(1500))
    assert moments[0] - now > 0
    assert moments[-1] - now <= interval
    tenths = [0] * 10
    for moment in moments:
        tenths[int((moment - now) // 1500.0001)] += 1
    assert max(tenths) < 200
    later = now + 12_345
    for identity in (1, 2**63 + 5):
        first, second = now + offset(identity, 7, interval, now), later + offset(identity, 7, interval, later)
        assert (second - first) % interval in (0, interval)


def test_many_targets_share_few_moments() -> None:
    identities = [random.Random(number).getrandbits(64) for number in range(5000)]
    for interval, ticks in ((15_000, 300), (1000, 20), (100, 20)):
        moments = {offset(identity, 7, interval, 0.0) for identity in identities}
        assert len(moments) == ticks
        assert max(moments) - min(moments) < interval


def test_stamps_lie_on_the_grid_when_the_scrape_is_nearly_on_time() -> None:
    grid = Grid(1000)
    assert [grid.stamp(each) for each in (500.4, 1500.9, 2502.3, 3501.0, 4500.0, 5499.0)] == [
        *(500, 1500, 2500, 3500, 4500, 5500)
    ]
    assert grid.stamp(6515.0) == 6515
    assert grid.stamp(7500.5) == 7500


def test_the_tolerance_is_a_hundredth_of_short_intervals() -> None:
    grid = Grid(100)
    assert [grid.stamp(each) for each in (1000.0, 1100.9, 1201.5)] == [1000, 1100, 1201]


def test_missed_scrapes_do_not_move_the_grid() -> None:
    grid = Grid(1000)
    grid.stamp(500.0)
    assert grid.stamp(1_000_501.0) == 1_000_500


def test_a_clock_that_was_set_makes_a_new_grid() -> None:
    grid = Grid(1000)
    grid.stamp(1_000_000.0)
    assert grid.stamp(500_123.0) == 500_123
    assert grid.stamp(501_124.0) == 501_123
    for now in (900_777.0, 901_777.5, 902_777.2):
        grid.stamp(now)
    assert [grid.stamp(each) for each in (903_777.9, 904_776.4)] == [903_777, 904_777]
