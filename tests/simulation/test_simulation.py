"""A few seeds of the simulation; `python -m tests.simulation --seeds 200` runs many."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation import virtual
from tests.simulation.__main__ import one_seed


@pytest.mark.parametrize("seed", range(1, 4))
def test_everything_settles_after_faults_and_crashes(seed: int) -> None:
    result = one_seed(seed, actions=50)
    assert result.problems == [], "\n".join([*result.problems, *result.trace.lines[-40:]])
    assert result.trace.writes > 50, "the scenario did nothing"


def test_the_same_seed_gives_the_same_trace() -> None:
    first, second, other = one_seed(7, actions=20), one_seed(7, actions=20), one_seed(8, actions=20)
    assert first.trace.digest == second.trace.digest
    assert first.trace.digest != other.trace.digest


def test_a_virtual_hour_takes_no_time() -> None:
    async def wait() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert virtual.run(wait) == pytest.approx(3600)


def test_waiting_for_ever_is_told() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(virtual.Deadlock):
        virtual.run(wait)
