"""Sizes of a rolling update, as tables and over whole rollouts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.controllers import rollout
from styr.kinds import meta
from styr.kinds.resources import Object
from tests.controllers.objects import deployment, replica_set


def rolling(replicas: int, surge: int | str, fewer: int | str) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": fewer}}
    return deployment(replicas, strategy=strategy)


@pytest.mark.parametrize(
    ("replicas", "surge", "fewer", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (3, 0, 0, (0, 1)),
        (3, "0%", "30%", (0, 1)),
        (4, "100%", "100%", (4, 4)),
        (2, 5, 9, (5, 2)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_limits_round_surge_up_and_unavailable_down(
    replicas: int, surge: int | str, fewer: int | str, expected: tuple[int, int]
) -> None:
    found = rolling(replicas, surge, fewer)
    assert (rollout.surge(found), rollout.unavailable(found)) == expected


@pytest.mark.parametrize(
    ("spec", "new", "old", "expected"),
    [
        (rolling(3, 1, 0), (0, 0), [(3, 3)], {"new": 1, "old0": 3}),
        (rolling(3, 1, 0), (1, 0), [(3, 3)], {"new": 1, "old0": 3}),
        (rolling(3, 1, 0), (1, 1), [(3, 3)], {"new": 1, "old0": 2}),
        (rolling(3, 1, 0), (2, 1), [(2, 2)], {"new": 2, "old0": 2}),
        (rolling(3, 0, 1), (0, 0), [(3, 3)], {"new": 0, "old0": 2}),
        (rolling(3, 0, 1), (0, 0), [(2, 2)], {"new": 1, "old0": 2}),
        (rolling(3, 0, 3), (0, 0), [(3, 3)], {"new": 0, "old0": 0}),
        (rolling(3, 3, 0), (0, 0), [(3, 3)], {"new": 3, "old0": 3}),
        # what is not available anyway goes first, the oldest before the others
        (rolling(4, 2, 2), (3, 0), [(2, 0), (2, 2)], {"new": 3, "old0": 0, "old1": 2}),
        (rolling(4, 0, 1), (0, 0), [(2, 2), (2, 2)], {"new": 0, "old0": 1, "old1": 2}),
        # a status older than the size must not count twice
        (rolling(3, 1, 0), (2, 3), [(2, 3)], {"new": 2, "old0": 1}),
        (rolling(2, 1, 0), (5, 5), [], {"new": 2}),
    ],
)
def test_one_step(spec: Object, new: tuple[int, int], old: list[tuple[int, int]], expected: dict[str, int]) -> None:
    current = replica_set("new", *new, born=100)
    others = [replica_set(f"old{number}", *sizes, born=number) for number, sizes in enumerate(old)]
    assert rollout.plan(spec, current, [*others, current]) == expected


def test_recreate_starts_only_when_the_old_are_asked_to_go() -> None:
    spec = deployment(3, strategy={"type": "Recreate"})
    new, old = replica_set("new", 0), replica_set("old", 3)
    assert rollout.plan(spec, None, [old]) == {"old": 0}
    assert rollout.plan(spec, new, [old, new]) == {"old": 0, "new": 0}
    assert rollout.plan(spec, new, [replica_set("old", 0), new]) == {"old": 0, "new": 3}


def test_paused_changes_no_size() -> None:
    spec = deployment(3, paused=True)
    assert rollout.plan(spec, replica_set("new", 1), [replica_set("old", 2), replica_set("new", 1)]) == {
        "old": 2,
        "new": 1,
    }


def marked(name: str, size: int, desired: int, most: int) -> Object:
    annotations = {rollout.DESIRED: str(desired), rollout.MAX: str(most)}
    return replica_set(name, size, size - 1 if name == "new" else size, annotations=annotations)


@pytest.mark.parametrize(
    ("replicas", "sizes", "expected"),
    [
        (20, {"old": 8, "new": 4}, {"old": 15, "new": 7}),
        (5, {"old": 8, "new": 4}, {"old": 5, "new": 2}),
        (0, {"old": 8, "new": 4}, {"old": 0, "new": 0}),
    ],
)
def test_a_resize_in_the_middle_keeps_the_mix(replicas: int, sizes: dict[str, int], expected: dict[str, int]) -> None:
    spec = rolling(replicas, 2, 2)
    sets = [marked(name, size, 10, 12) for name, size in sizes.items()]
    found = rollout.plan(spec, sets[1], sets)
    assert found == expected
    assert sum(found.values()) == (replicas + 2 if replicas else 0)


@given(
    replicas=st.integers(0, 9),
    surge=st.sampled_from([0, 1, 3, "25%", "100%"]),
    fewer=st.sampled_from([0, 1, 2, "50%"]),
    old=st.integers(0, 9),
    starts=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_every_rollout_ends_and_keeps_its_limits(
    replicas: int, surge: int | str, fewer: int | str, old: int, starts: list[bool]
) -> None:
    """The old pods are available; new ones become so when `starts` says."""
    spec = rolling(replicas, surge, fewer)
    sizes, ready = {"old": min(old, replicas), "new": 0}, 0
    for starting in [*starts, *[True] * 60]:
        sets = [
            replica_set("old", sizes["old"], sizes["old"]),
            replica_set("new", sizes["new"], min(ready, sizes["new"]), born=1),
        ]
        before = sizes
        sizes = rollout.plan(spec, sets[1], sets)
        total = sum(sizes.values())
        assert total <= max(replicas + rollout.surge(spec), sum(before.values()))
        available = sizes["old"] + min(ready, sizes["new"])
        floor = min(replicas - rollout.unavailable(spec), before["old"] + min(ready, before["new"]))
        assert available >= floor
        if starting and ready < sizes["new"]:
            ready += 1
    assert sizes == {"old": 0, "new": replicas}


def test_age_sorts_the_oldest_first() -> None:
    found = sorted([replica_set("b", 1, born=5), replica_set("a", 1, born=9)], key=rollout.age)
    assert [meta.name(rs) for rs in found] == ["b", "a"]
