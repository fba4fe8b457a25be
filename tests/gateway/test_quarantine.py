"""Bisection finds every bad route, whatever their number, and holds no good one back."""

from __future__ import annotations

import random

import pytest

from styr.gateway.ir import ObjectKey, Route, Source
from styr.gateway.quarantine import Quarantine


def made(name: str, generation: int = 1) -> Route:
    return Route(Source("HTTPRoute", "d", name, generation), "", ())


def settle(quarantine: Quarantine, routes: dict[ObjectKey, Route], bad: set[ObjectKey]) -> int:
    """Plays Envoy until nothing changes; the number of its answers."""
    for answers in range(1, 10_000):
        served = {
            key: quarantine.good[key] if quarantine.held.get(key) == route.source.generation else route
            for key, route in routes.items()
            if quarantine.held.get(key) != route.source.generation or key in quarantine.good
        }
        rejected = any(key in bad and served[key] == routes[key] for key in served)
        again = quarantine.refused(served, served, "no") if rejected else quarantine.taken(served)
        if not again:
            assert not rejected
            return answers
    raise AssertionError("it never settles")


@pytest.mark.parametrize("seed", range(20))
def test_the_guilty_are_found(seed: int) -> None:
    rng = random.Random(seed)
    routes = {("d", f"r{n:03}"): made(f"r{n:03}") for n in range(rng.randint(1, 200))}
    bad = set(rng.sample(sorted(routes), min(len(routes), rng.randint(0, 4))))
    quarantine = Quarantine()
    answers = settle(quarantine, routes, bad)
    assert set(quarantine.rejected) == bad
    assert set(quarantine.good) == set(routes) - bad
    assert not quarantine.waiting
    assert answers <= 2 + len(bad) * 36  # log2(200) squared, halved


def test_a_new_generation_is_tried_and_the_old_one_stays_until_then() -> None:
    quarantine, key = Quarantine(), ("d", "r")
    settle(quarantine, {key: made("r")}, set())
    settle(quarantine, {key: made("r", 2)}, {key})
    assert quarantine.rejected[key].generation == 2
    assert quarantine.good[key].source.generation == 1
    settle(quarantine, {key: made("r", 3)}, set())
    assert not quarantine.rejected
    assert quarantine.good[key].source.generation == 3
    quarantine.forget([])
    assert not quarantine.good
