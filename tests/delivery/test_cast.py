"""Who plays which part, from the releases alone; the smoke check; what a Deployment, a route and a pod say."""

from __future__ import annotations

import asyncio

import pytest

from styr.delivery import objects, smoke
from styr.delivery.cast import cast, name_of, remembered, warm, weights
from styr.kit import http
from styr.kit.clock import rfc3339


def release(number: int, phase: str = "", **status):
    return {
        "metadata": {"name": f"r{number}", "namespace": "default"},
        "spec": {"app": "hello", "number": number, "image": "i", "commit": f"c{number}"},
        "status": {**({"phase": phase} if phase else {}), **status},
    }


@pytest.mark.parametrize(
    ("phases", "stable", "previous", "candidate", "superseded"),
    [
        ([], "", "", "", []),
        ([""], "", "", "r1", []),
        (["Promoted", "Canary"], "r1", "", "r2", []),
        (["Promoted", "Canary", ""], "r1", "", "r3", ["r2"]),
        (["Promoted", "Canary", "Failed"], "r1", "", "", ["r2"]),
        (["Promoted", "Promoted", "RolledBack"], "r2", "r1", "", []),
        (["Promoted", "RolledBack", "Promoted", "Smoke"], "r3", "r1", "r4", []),
        (["Failed", "Superseded", "RolledBack"], "", "", "", []),
    ],
)
def test_parts(phases, stable, previous, candidate, superseded):
    found = cast(reversed([release(number, phase) for number, phase in enumerate(phases, 1)]))
    assert (name_of(found.stable), name_of(found.previous), name_of(found.candidate)) == (stable, previous, candidate)
    assert [name_of(one) for one in found.superseded] == superseded


def test_weights_always_add_up_and_a_draining_arm_stays_known_to_the_proxy():
    found = cast([release(1, "Promoted"), release(2, "RolledBack"), release(3, "Canary")])
    for weight in range(100):
        given = weights(found, weight, ["r1", "r2"], ["r2"])
        assert sum(each for _, each in given) == 100
        assert ("r2", 0) in given
    assert weights(found, 0, ["r1"], []) == [("r1", 100)], "a candidate without weight is not in the route"
    assert weights(found, 0, ["r1", "r3"], []) == [("r1", 100), ("r3", 0)]
    assert weights(cast([release(1, "Smoke")]), 0, [], []) == [], "no route without a stable release"


def test_only_the_release_before_is_kept_warm():
    found = cast([release(1, "Promoted"), release(2, "Promoted"), release(3, "Promoted"), release(4, "Failed")])
    kept = warm(found, {"running": ["r1", "r2", "r3", "r4"], "warm": []}, 600, 1000.0)
    assert kept == [{"release": "r1", "until": rfc3339(1005)}, {"release": "r2", "until": rfc3339(1600)}]
    again = warm(found, {"running": ["r1", "r2", "r3"], "warm": kept}, 600, 1004.0)
    assert again == kept, "times do not slide"
    assert [one["release"] for one in warm(found, {"running": ["r1", "r2", "r3"], "warm": kept}, 600, 1006.0)] == ["r2"]


def test_a_commit_is_remembered_until_it_is_promoted_after_all():
    back = release(2, "RolledBack", verdict="Rolled back: 3 of 3", times={"decided": "2026-11-23T10:00:00Z"})
    found = remembered(cast([release(1, "Promoted"), back]), {})
    assert [(one["commit"], one["release"], one["verdict"]) for one in found] == [("c2", "r2", "Rolled back: 3 of 3")]
    assert remembered(cast([release(1, "Promoted")]), {"remembered": found}) == found, "also when its release is gone"
    retried = release(3, "Promoted")
    retried["spec"]["commit"] = "c2"
    assert remembered(cast([release(1, "Promoted"), back, retried]), {"remembered": found}) == []


def test_available_means_this_generation():
    deployment = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "availableReplicas": 2}}
    assert not objects.available(deployment, 2)
    deployment["status"]["observedGeneration"] = 2
    assert objects.available(deployment, 2)
    assert not objects.available(deployment, 3)
    assert not objects.available(None, 0)
    deployment["status"]["availableReplicas"] = 0
    assert not objects.available(deployment, 0), "an app of no replicas serves nobody"


def test_a_route_is_in_force_when_the_gateway_says_so_of_this_generation():
    def route(generation, *told):
        return {"metadata": {"generation": generation}, "status": {"parents": [{"conditions": list(told)}]}}

    accepted = {"type": "Accepted", "status": "True", "observedGeneration": 3}
    pending = {"type": "Programmed", "status": "False", "observedGeneration": 3}
    assert objects.in_force(route(3, accepted))
    assert not objects.in_force(route(4, accepted))
    assert not objects.in_force(route(3, accepted, pending)), "Programmed is the stronger word"
    assert objects.in_force(route(3, {**pending, "status": "True"}))
    assert not objects.in_force({"metadata": {"generation": 1}})
    assert not objects.in_force(None)


ADDRESS = smoke.Address("127.0.0.1", 1, "hello.localhost")


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


def answers(*given):
    left = list(given)

    async def fetch(_address, _path, _timeout):
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return fetch


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((200,), ""),
        ((404,), ""),
        ((503, 503, 200), ""),
        ((http.TooLarge("a lot"),), ""),
        ((500,), "GET /x on its own address answered 500"),
        ((http.ConnectFailed("refused"),), "GET /x on its own address: refused"),
    ],
)
async def test_smoke(given, problem):
    assert await smoke.check(answers(*given), no_sleep, ADDRESS, "/x") == problem


async def test_warm_up_counts_what_was_answered():
    assert await smoke.warm_up(answers(200), ADDRESS, "/", 50) == 50
    assert await smoke.warm_up(answers(http.TimedOut("slow")), ADDRESS, "/", 50) == 0
    assert await smoke.warm_up(answers(200), ADDRESS, "/", 0) == 0
