"""The whole way of a release, on a clock that jumps: what users met, and what was told."""

from __future__ import annotations

import pytest

from styr.delivery import objects, record, why
from styr.delivery.kinds import PROMOTE_ANNOTATION, ROLLBACK_ANNOTATION
from styr.kinds.resources import CONFIG_MAP, RELEASE
from tests.delivery.stage import Killed, Stage
from tests.delivery.streams import Version


async def running(rate: float = 100.0, **spec) -> Stage:
    """An app whose first release has all traffic, for a while."""
    stage = Stage(rate, **spec)
    await stage.app()
    first = await stage.push()
    await stage.until(lambda: stage.phase(first) == "Promoted", 30)
    await stage.run(10)
    return stage


def explanation(stage: Stage, name: str):
    return why.explain(record.loads(stage.get(CONFIG_MAP, objects.record_name(name))["data"][record.NAME]))


async def test_the_first_release_gets_all_traffic_after_its_smoke_check():
    stage = await running()
    assert stage.told("hello-r1")["verdict"] == "Promoted without a canary: there is nothing to compare it with."
    assert stage.route == {"hello-r1": 100}
    assert stage.smoked == ["hello-r1"]
    assert stage.status["stable"] == "hello-r1"
    assert stage.status["url"] == "http://hello.localhost:8088"
    assert stage.lost == 0
    assert stage.requests > 500


async def test_a_good_release_is_promoted_and_the_old_one_stays_warm_for_a_while():
    stage = await running(keepWarmSeconds=60)
    name = await stage.push()
    seconds = await stage.until(lambda: stage.phase(name) == "Promoted")
    assert seconds < 120
    assert stage.told(name)["verdict"].startswith("Promoted after ")
    assert stage.lost == 0
    given = [weights.get(name, 0) for _, weights in stage.weights]
    assert given == sorted(given), "the weight only rises"
    assert given[-1] < 100, "the last step is acted upon when the bound is met"
    await stage.run(3)
    assert stage.route[name] == 100
    assert stage.status["stable"] == name
    assert [one["release"] for one in stage.status["warm"]] == ["hello-r1"]
    assert stage.replicas("hello-r1") == 1
    await stage.run(70)
    assert stage.replicas("hello-r1") == 0
    assert stage.route == {name: 100}
    assert stage.lost == 0
    found = explanation(stage, name)
    assert found.agrees is True
    assert found.decisions[-1].word == "promote"


async def test_warm_up_requests_go_to_the_candidate_before_any_user():
    stage = await running()
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    assert stage.smoked.count(name) == 51
    assert stage.arms.get(name) is None, "no request of a user yet"


@pytest.mark.parametrize(
    ("version", "words", "most"),
    [
        (Version(errors=0.05), "failures hit the new version", 45),
        (Version(errors=0.5), "failures hit the new version", 15),
        (Version(slower=2), "hit the new version, which received", 30),
    ],
)
async def test_a_bad_release_is_taken_back_and_remembered(version, words, most):
    stage = await running()
    name = await stage.push(version)
    await stage.until(lambda: stage.phase(name) == "Canary")
    seconds = await stage.until(lambda: stage.phase(name) == "RolledBack")
    assert seconds <= most
    assert stage.failed.get(name, 0) <= 15
    told = stage.told(name)
    assert words in told["verdict"]
    assert told["outcome"] == "RolledBack"
    assert told["weight"] == 0
    assert stage.route[name] == 0
    assert stage.route["hello-r1"] == 100
    await stage.run(8)
    assert stage.status["remembered"][0]["commit"] == "c2"
    assert stage.status["remembered"][0]["verdict"] == told["verdict"]
    assert stage.status["candidate"] == ""
    assert stage.route == {"hello-r1": 100}
    assert stage.replicas(name) == 0
    assert stage.lost == 0
    found = explanation(stage, name)
    assert found.agrees is True
    assert found.sentence == told["verdict"]
    assert "DATABASE_URL" in found.sample


async def test_the_rollback_is_one_write_of_the_route_before_any_status_and_after_the_record():
    stage = await running()
    name = await stage.push(Version(errors=0.5))
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.until(lambda: stage.phase(name) == "RolledBack")
    last = [write[1] for write in stage.api.writes]
    route = len(last) - 1 - last[::-1].index("HTTPRoute")
    before, after = stage.api.writes[route - 1], stage.api.writes[route + 1]
    assert before == ("patch", "ConfigMap", f"{name}-record")
    assert stage.api.writes[route] == ("patch", "HTTPRoute", "hello")
    assert after == ("status", "Release", name)


@pytest.mark.parametrize(
    ("image", "words", "most"),
    [
        ("crash", "it ends at once, again and again (exit code 3). Its last words: Traceback | KeyError", 5),
        ("silent", "it did not listen on $PORT within 60 s", 65),
        ("sick", "GET / on its own address answered 500", 10),
        ("mute", "GET / on its own address: GET /: no whole response within 10 s", 10),
    ],
)
async def test_a_release_that_cannot_serve_never_meets_a_user(image, words, most):
    stage = await running()
    name = await stage.push(image=image)
    seconds = await stage.until(lambda: stage.phase(name) == "Failed", 120)
    assert seconds <= most
    assert words in stage.told(name)["verdict"]
    assert stage.arms.get(name) is None
    await stage.run(10)
    assert stage.route == {"hello-r1": 100}
    assert stage.replicas(name) == 0
    assert stage.status["stable"] == "hello-r1"
    again = await stage.push()
    await stage.until(lambda: stage.phase(again) == "Promoted")
    assert stage.lost == 0


async def test_a_newer_push_supersedes_the_candidate():
    stage = await running()
    second = await stage.push()
    await stage.until(lambda: stage.phase(second) == "Canary")
    await stage.run(4)
    third = await stage.push()
    await stage.until(lambda: stage.phase(second) == "Superseded", 3)
    assert stage.route.get(second) == 0
    assert "Superseded by hello-r3 before its verdict." in stage.told(second)["verdict"]
    await stage.until(lambda: stage.phase(third) == "Promoted")
    assert stage.told(third)["stable"] == "hello-r1"
    await stage.run(10)
    assert stage.replicas(second) == 0
    assert stage.status["remembered"] == []
    assert stage.lost == 0


async def test_a_candidate_taken_back_by_hand():
    stage = await running()
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.run(5)
    await stage.annotate(name, ROLLBACK_ANNOTATION, "wrong button")
    await stage.until(lambda: stage.phase(name) == "RolledBack", 2)
    assert stage.told(name)["verdict"].startswith("Rolled back by hand at ")
    assert stage.told(name)["verdict"].endswith("wrong button.")
    assert stage.route["hello-r1"] == 100
    assert explanation(stage, name).agrees is True


@pytest.mark.parametrize("warm", [True, False])
async def test_the_stable_release_taken_back_by_hand(warm):
    stage = await running(keepWarmSeconds=600 if warm else 0)
    name = await stage.push(skipCanary=True)
    await stage.until(lambda: stage.phase(name) == "Promoted")
    await stage.run(20)
    assert stage.replicas("hello-r1") == (1 if warm else 0)
    await stage.annotate(name, ROLLBACK_ANNOTATION, "true")
    seconds = await stage.until(lambda: stage.phase(name) == "RolledBack")
    assert seconds <= (0.5 if warm else 5)
    assert stage.told(name)["verdict"] == "Taken back by hand; hello-r1 has all traffic again."
    await stage.run(10)
    assert stage.route == {"hello-r1": 100}
    assert stage.status["stable"] == "hello-r1"
    assert stage.status["remembered"][0]["release"] == name
    assert stage.lost == 0


async def test_a_rollback_with_nothing_to_go_back_to_is_refused():
    stage = await running()
    await stage.annotate("hello-r1", ROLLBACK_ANNOTATION)
    await stage.run(3)
    assert stage.route == {"hello-r1": 100}
    assert stage.phase("hello-r1") == "Promoted"
    assert ROLLBACK_ANNOTATION not in (stage.get(RELEASE, "hello-r1")["metadata"].get("annotations") or {})
    assert "no earlier promoted release" in stage.status["conditions"][0]["message"]
    assert stage.told("hello-r1")["conditions"][0]["reason"] == "RollbackRefused"


async def test_a_release_before_that_does_not_start_any_more_is_no_way_back():
    stage = await running(keepWarmSeconds=0)
    name = await stage.push(skipCanary=True)
    await stage.until(lambda: stage.phase(name) == "Promoted")
    await stage.run(20)
    stage.get(RELEASE, "hello-r1")["spec"]["image"] = "crash"
    await stage.annotate(name, ROLLBACK_ANNOTATION)
    await stage.until(lambda: "conditions" in stage.told(name), 90)
    assert "hello-r1 does not start: it ends at once" in stage.told(name)["conditions"][0]["message"]
    await stage.run(5)
    assert stage.phase(name) == "Promoted"
    assert stage.route[name] == 100
    assert stage.lost == 0


async def test_skip_canary_is_honoured():
    stage = await running()
    name = await stage.push(Version(errors=0.5), skipCanary=True)
    await stage.until(lambda: stage.phase(name) == "Promoted", 10)
    assert stage.told(name)["verdict"] == "Promoted without a canary: the push asked for no canary."


async def test_without_traffic_it_waits_and_says_for_how_many_requests():
    stage = await running(rate=0.0)
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.run(60)
    assert stage.phase(name) == "Canary"
    assert stage.told(name)["outcome"] == "Waiting"
    assert stage.told(name)["verdict"].startswith("No requests yet: waiting for about ")
    assert stage.told(name)["waiting"]["requests"] > 0


async def test_the_time_limit_holds_the_weight_and_a_person_may_promote():
    stage = await running(rate=0.5, timeLimitSeconds=60)
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.run(70)
    assert stage.told(name)["outcome"] == "Held"
    assert stage.told(name)["verdict"].startswith("Inconclusive after 60 s: held at 20 %")
    await stage.annotate(name, PROMOTE_ANNOTATION, "looks fine to me")
    await stage.until(lambda: stage.phase(name) == "Promoted", 2)
    assert stage.told(name)["verdict"] == "Promoted by hand: looks fine to me."


async def test_dead_statistics_freeze_the_weight_and_are_told():
    stage = await running()
    name = await stage.push(Version(errors=0.3))
    await stage.until(lambda: stage.phase(name) == "Canary")
    stage.blind = True
    await stage.run(40)
    assert stage.phase(name) == "Canary"
    assert stage.told(name)["outcome"] == "Held"
    assert "no traffic statistics for" in stage.told(name)["verdict"]
    stage.blind = False
    await stage.until(lambda: stage.phase(name) == "RolledBack", 5)


async def test_no_weight_is_given_without_statistics():
    stage = await running()
    stage.blind = True
    name = await stage.push()
    await stage.run(20)
    assert stage.phase(name) == "Smoke"
    assert stage.told(name)["outcome"] == "Held"
    assert name not in stage.route
    stage.blind = False
    await stage.until(lambda: stage.phase(name) == "Promoted")


async def test_a_proxy_that_starts_again_counts_from_zero_and_nothing_is_made_up():
    stage = await running()
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.run(5)
    stage.arms.clear()
    stage.epoch = "2"
    before = stage.told(name)["requests"]["stable"]
    await stage.run(3)
    assert stage.told(name)["requests"]["stable"] >= before
    await stage.until(lambda: stage.phase(name) == "Promoted")
    assert explanation(stage, name).agrees is True


async def test_a_restart_in_the_middle_counts_nothing_twice():
    stage = await running()
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    for _ in range(4):
        await stage.run(4)
        stage.restart()
    if stage.phase(name) != "Promoted":
        await stage.until(lambda: stage.phase(name) == "Promoted")
    told = stage.told(name)
    assert told["requests"]["canary"] + told["requests"]["stable"] <= stage.requests
    assert told["requests"]["canary"] <= sum(stage.arms[name][0].values())
    assert explanation(stage, name).agrees is True
    assert stage.lost == 0


@pytest.mark.parametrize("version", [Version(), Version(errors=0.2)])
@pytest.mark.parametrize("write", [1, 2, 3, 5, 8, 11, 16])
async def test_killed_at_any_write_the_next_control_plane_goes_on(write, version):
    """Killed again and again, `write` writes after each start."""
    stage = await running(60, keepWarmSeconds=5)
    name = await stage.push(version)
    wanted = "RolledBack" if version.errors > 0.1 else "Promoted"
    kills = 0
    while stage.phase(name) != wanted or stage.replicas("hello-r1" if wanted == "Promoted" else name) != 0:
        assert stage.clock.passed < 900
        stage.api.kill_at = write if kills < 40 else -1
        try:
            while stage.phase(name) != wanted or stage.replicas("hello-r1" if wanted == "Promoted" else name) != 0:
                assert stage.clock.passed < 900
                await stage.step()
        except Killed:
            kills += 1
            stage.restart()
            stage.clock.passed += 0.5
    assert kills
    stage.api.kill_at = -1
    await stage.run(10)
    good = name if wanted == "Promoted" else "hello-r1"
    assert stage.route == {good: 100}
    assert stage.status["stable"] == good
    assert len(stage.status["remembered"]) == (wanted == "RolledBack")
    assert stage.lost == 0
    found = explanation(stage, name)
    assert found.agrees is True


async def test_old_releases_are_forgotten_but_not_those_that_play_a_part():
    stage = Stage(0.0)
    await stage.app()
    for _ in range(25):
        name = await stage.push(skipCanary=True)
        await stage.until(lambda name=name: stage.phase(name) == "Promoted", 30)
    await stage.run(5)
    names = {obj["metadata"]["name"] for obj in stage.api.all(RELEASE)}
    assert len(names) <= 21
    assert {"hello-r25", "hello-r24"} <= names
    assert "hello-r1" not in names
