"""A few seeds of releases under traffic, faults and crashes; `python -m tests.simulation --delivery --seeds 50` runs many."""

from __future__ import annotations

import pytest

from tests.simulation.__main__ import one_delivery


@pytest.mark.parametrize("seed", [1, 2])
def test_good_releases_are_promoted_and_bad_ones_taken_back(seed: int) -> None:
    result = one_delivery(seed)
    assert result.problems == [], "\n".join([*result.problems, *result.trace.lines[-40:]])
    assert result.crashes > 0


def test_the_same_seed_gives_the_same_trace() -> None:
    assert one_delivery(3).trace.digest == one_delivery(3).trace.digest
