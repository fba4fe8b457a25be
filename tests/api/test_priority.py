"""API priority and fairness: what a request falls under, that nobody starves another, and what is said to who must come
again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.api import default_flows
from styr.api.filters import fairness
from styr.api.filters.asked import Asked
from styr.api.filters.fairness import Fairness, Level, Refused, Seat
from styr.api.filters.flows import LevelSpec, read_level, read_schema
from styr.controllers import flowschema
from styr.kinds.transport import ANONYMOUS, User

from .kit import ADMIN, MERGE_PATCH, Api, config, running

FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
ANN, BOB = User("ann", ("system:authenticated",)), User("bob", ("system:authenticated",))
ROBOT = User("system:serviceaccount:team:robot", ("system:serviceaccounts", "system:authenticated"))
SYSTEM = User("system:serviceaccount:kube-system:dns", ("system:serviceaccounts", "system:authenticated"))
NODE = User("system:node:a", ("system:nodes", "system:authenticated"))


async def allow(api: Api, *users: User) -> None:
    subjects = [{"kind": "User", "name": user.name} for user in users]
    ref = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
    body = {"metadata": {"name": "readers"}, "subjects": subjects, "roleRef": ref}
    await api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)


@pytest.mark.parametrize(
    ("user", "asked", "schema", "level"),
    [
        (ADMIN, Asked("delete", "", "v1", "pods", "", "x", "y"), "exempt", "exempt"),
        (ANONYMOUS, Asked("get", path="/livez"), "probes", "exempt"),
        (ANONYMOUS, Asked("get", path="/api"), "global-default", "global-default"),
        (ANN, Asked("list", "", "v1", "pods"), "global-default", "global-default"),
        (ROBOT, Asked("list", "", "v1", "pods", "", "team"), "service-accounts", "workload-low"),
        (SYSTEM, Asked("list", "", "v1", "pods"), "kube-system-service-accounts", "workload-high"),
        (
            SYSTEM,
            Asked("update", "coordination.k8s.io", "v1", "leases", "", "x"),
            "system-leader-election",
            "leader-election",
        ),
        (
            SYSTEM,
            Asked("delete", "coordination.k8s.io", "v1", "leases", "", "x"),
            "kube-system-service-accounts",
            "workload-high",
        ),
        (NODE, Asked("patch", "", "v1", "nodes", "status", "", "a"), "system-node-high", "node-high"),
        (NODE, Asked("get", "", "v1", "pods", "", "x", "y"), "system-nodes", "system"),
        (User("nobody"), Asked("get", "", "v1", "pods", "", "x", "y"), "catch-all", "catch-all"),
    ],
)
async def test_what_a_request_falls_under(user: User, asked: Asked, schema: str, level: str) -> None:
    async with running() as api:
        place = api.server.priority.place(user, asked)
        assert (place.schema.name, place.level.spec.name) == (schema, level)


async def test_the_answer_tells_it_and_objects_count_at_once() -> None:
    async with running() as api:
        await allow(api, ANN)
        ann = Api(api.server, ANN)

        async def told() -> tuple[str, str]:
            headers = (await ann.raw("GET", MAPS)).headers
            return headers["x-kubernetes-pf-flowschema-uid"], headers["x-kubernetes-pf-prioritylevel-uid"]

        usual = await api("GET", f"{FLOW}/flowschemas/global-default")
        level = await api("GET", f"{FLOW}/prioritylevelconfigurations/global-default")
        assert await told() == (usual["metadata"]["uid"], level["metadata"]["uid"])
        rule = {
            "subjects": [{"kind": "User", "user": {"name": "ann"}}],
            "resourceRules": [
                {"verbs": ["list"], "apiGroups": [""], "resources": ["configmaps"], "namespaces": ["default"]}
            ],
        }
        spec = {"priorityLevelConfiguration": {"name": "system"}, "matchingPrecedence": 50, "rules": [rule]}
        made = await api("POST", f"{FLOW}/flowschemas", {"metadata": {"name": "mine"}, "spec": spec})
        assert (await told())[0] == made["metadata"]["uid"]
        dangling = {"spec": {"priorityLevelConfiguration": {"name": "nowhere"}}}
        await api("PATCH", f"{FLOW}/flowschemas/mine", dangling, type=MERGE_PATCH)
        assert (await told())[0] == usual["metadata"]["uid"]
        await api("DELETE", f"{FLOW}/flowschemas/mine")
        refused = await ann.raw("GET", "/api/v1/secrets")
        assert refused.status == 403
        assert refused.headers["x-kubernetes-pf-flowschema-uid"] == usual["metadata"]["uid"]


async def test_a_flood_of_one_user_does_not_starve_another() -> None:
    async with running() as api:
        await allow(api, ANN, BOB)
        for number in range(300):
            await api("POST", MAPS, config(f"c{number}", {"text": "x" * 2000}))
        done: list[str] = []

        async def ask(user: User) -> int:
            response = await Api(api.server, user).raw("GET", f"{MAPS}?labelSelector=x!=y", accept=TABLE)
            done.append(user.name)
            return response.status

        flood = [asyncio.create_task(ask(ANN)) for _ in range(250)]
        for number in range(10):  # one after the other, as a person or a controller asks
            assert await asyncio.create_task(ask(BOB)) == 200
            assert done.count("ann") < 25 * (number + 1), "bob waited for ann's flood"
        assert done.count("ann") < 150
        assert set(await asyncio.gather(*flood)) == {200}


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def test_who_floods_is_told_to_come_again_and_the_master_is_not() -> None:
    async with running() as api:
        await allow(api, ANN)
        for number in range(50):
            await api("POST", MAPS, config(f"c{number}", {"text": "x" * 2000}))
        answers = await asyncio.gather(*(Api(api.server, ANN).raw("GET", MAPS, accept=TABLE) for _ in range(600)))
        refused = [answer for answer in answers if answer.status == 429]
        assert 100 < len(refused) < 500
        assert {answer.status for answer in answers} == {200, 429}
        assert refused[0].headers["retry-after"] == "1"
        assert "x-kubernetes-pf-prioritylevel-uid" in refused[0].headers
        assert isinstance(refused[0].body, bytes)
        status = json.loads(refused[0].body)
        assert (status["reason"], status["details"]["retryAfterSeconds"]) == ("TooManyRequests", 1)
        assert status["message"] == "too many requests, please try again later."
        masters = await asyncio.gather(*(api.raw("GET", MAPS, accept=TABLE) for _ in range(600)))
        assert {answer.status for answer in masters} == {200}
        counted = {level.spec.name: level for level in api.server.priority.levels()}
        assert counted["global-default"].refused == {"queue-full": len(refused)}
        assert counted["global-default"].in_use == 0
        assert counted["global-default"].waiting == 0


async def test_a_schema_says_whether_its_level_is_there() -> None:
    found = {"spec": {"priorityLevelConfiguration": {"name": "system"}}}
    (there,) = flowschema.plan(found, True, "now")["conditions"]
    assert (there["type"], there["status"], there["reason"]) == ("Dangling", "False", "Found")
    status = flowschema.plan(found, False, "now")
    assert status["conditions"][0]["status"] == "True"
    assert flowschema.plan({**found, "status": status}, False, "later") is status


async def test_watches_hold_no_seat() -> None:
    async with running() as api:
        await allow(api, ANN)
        level = {"spec": {"limited": {"nominalConcurrencyShares": 1}}}
        await api("PATCH", f"{FLOW}/prioritylevelconfigurations/global-default", level, type=MERGE_PATCH)
        ann = Api(api.server, ANN)
        streams = [await ann.raw("GET", f"{MAPS}?watch=true") for _ in range(50)]
        assert {stream.status for stream in streams} == {200}
        assert (await ann("GET", MAPS))["items"] == []
        for stream in streams:
            await stream.body.aclose()  # type: ignore[union-attr]


async def test_defaults_come_back_at_a_start(tmp_path: Any) -> None:
    path = tmp_path / "store.db"
    async with running(path) as api:
        system = f"{FLOW}/prioritylevelconfigurations/system"
        first = await api("GET", system)
        change = {"spec": {"limited": {"nominalConcurrencyShares": 7}}}
        await api("PATCH", system, change, type=MERGE_PATCH)
        mine = {"metadata": {"annotations": {default_flows.UPDATES: "false"}}, **change}
        await api("PATCH", f"{FLOW}/prioritylevelconfigurations/workload-low", mine, type=MERGE_PATCH)
        await api("DELETE", f"{FLOW}/flowschemas/catch-all")
        place = api.server.priority.place(User("nobody"), Asked("get", path="/api"))
        assert place.schema.name == "catch-all"  # also while it is gone
        revision = api.server.store.revision
    async with running(path) as api:
        assert (await api("GET", system))["spec"] == first["spec"]
        low = await api("GET", f"{FLOW}/prioritylevelconfigurations/workload-low")
        assert low["spec"]["limited"]["nominalConcurrencyShares"] == 7
        await api("GET", f"{FLOW}/flowschemas/catch-all")
        assert api.server.store.revision == revision + 2


_USER = {"kind": "User", "user": {"name": "a"}}
_PODS = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["a"]}


@pytest.mark.parametrize(
    ("plural", "spec", "words"),
    [
        ("flowschemas", {"matchingPrecedence": 1}, "only the schema named 'exempt' may have matchingPrecedence 1"),
        ("flowschemas", {"matchingPrecedence": 10001}, "must not be greater than 10000"),
        ("flowschemas", {"priorityLevelConfiguration": {}}, "must reference a priority level"),
        ("flowschemas", {"distinguisherMethod": {"type": "ByX"}}, 'Unsupported value: {"Type":"ByX"}'),
        ("flowschemas", {"rules": [{}]}, "at least one of resourceRules and nonResourceRules has to be non-empty"),
        (
            "flowschemas",
            {"rules": [{"subjects": [{**_USER, "kind": "Group"}], "resourceRules": [_PODS]}]},
            "user is forbidden when subject kind is not 'User'",
        ),
        (
            "flowschemas",
            {"rules": [{"subjects": [_USER], "resourceRules": [{**_PODS, "verbs": ["get", "*"]}]}]},
            "if '*' is present, must not specify other verbs",
        ),
        (
            "flowschemas",
            {"rules": [{"subjects": [_USER], "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/a*"]}]}]},
            "wildcard can only do suffix matching",
        ),
        ("prioritylevelconfigurations", {"type": "Exempt"}, "must be 'Exempt' if and only if `name` is 'exempt'"),
        ("prioritylevelconfigurations", {"limited": {"limitResponse": {"type": "Queue"}}}, "queuing: Required value"),
        (
            "prioritylevelconfigurations",
            {"limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 128, "handSize": 10}}}},
            "required entropy bits of deckSize 128 and handSize 10 should not be greater than 60",
        ),
        ("prioritylevelconfigurations", {"limited": {"lendablePercent": 101}}, "must be between 0 and 100, inclusive"),
    ],
)
async def test_objects_that_are_refused(plural: str, spec: dict[str, Any], words: str) -> None:
    usual: dict[str, Any] = {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}
    if plural == "flowschemas":
        usual = {"priorityLevelConfiguration": {"name": "system"}, "matchingPrecedence": 50}
    async with running() as api:
        answer = await api("POST", f"{FLOW}/{plural}", {"metadata": {"name": "x"}, "spec": {**usual, **spec}}, want=422)
        assert words in answer["message"]


async def test_defaults_and_what_is_fixed() -> None:
    async with running() as api:
        made = await api(
            "POST",
            f"{FLOW}/flowschemas",
            {"metadata": {"name": "x"}, "spec": {"priorityLevelConfiguration": {"name": "y"}}},
        )
        assert made["spec"]["matchingPrecedence"] == 1000
        queue = {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}}
        made = await api("POST", f"{FLOW}/prioritylevelconfigurations", {"metadata": {"name": "x"}, "spec": queue})
        assert made["spec"]["limited"] == {
            "nominalConcurrencyShares": 30,
            "lendablePercent": 0,
            "limitResponse": {"type": "Queue", "queuing": {"queues": 64, "handSize": 8, "queueLengthLimit": 50}},
        }
        for name, change, status in (
            ("flowschemas/catch-all", {"matchingPrecedence": 9}, 422),
            ("prioritylevelconfigurations/catch-all", {"limited": {"lendablePercent": 9}}, 422),
            ("prioritylevelconfigurations/exempt", {"exempt": {"lendablePercent": 9}}, 200),
        ):
            await api("PATCH", f"{FLOW}/{name}", {"spec": change}, type=MERGE_PATCH, want=status)


# The queues by themselves


class World:
    def __init__(self, *specs: LevelSpec, total: int = 10) -> None:
        self.time = 0.0
        self.fairness = Fairness(lambda: self.time, total)
        self.fairness.configure(specs)

    def __getitem__(self, name: str) -> Level:
        return self.fairness.levels[name]

    async def enter(self, level: str, flow: str = "", seats: int = 1) -> Seat:
        seat = self.fairness.take(self[level], seats)
        return seat or await self.fairness.wait(self[level], flow, seats)


def spec(name: str, **changes: Any) -> LevelSpec:
    return LevelSpec(name, **{"shares": 10, "queues": 8, "hand": 2, "length": 5, **changes})


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_seats_are_taken_and_given_back() -> None:
    world = World(spec("a"), total=2)
    first, second = await world.enter("a"), await world.enter("a")
    waiting = asyncio.create_task(world.enter("a"))
    await turns()
    assert (world["a"].in_use, world["a"].waiting) == (2, 1)
    first.release()
    third = await waiting
    second.release()
    third.release()
    assert (world["a"].in_use, world["a"].waiting, world.fairness.waiting) == (0, 0, 0)


async def test_an_idle_level_lends_its_seats_and_keeps_the_rest() -> None:
    world = World(spec("a"), spec("b", lendable=50), total=8)
    seats = [await world.enter("a") for _ in range(6)]  # four of its own, two of b's
    waiting = asyncio.create_task(world.enter("a"))
    await turns()
    assert not waiting.done()
    others = [await world.enter("b") for _ in range(4)]  # b's own are there for it
    for seat in (*seats, *others):
        seat.release()
    (await waiting).release()
    strict = World(spec("a", borrowing=0), spec("b", lendable=50), total=8)
    for _ in range(4):
        await strict.enter("a")
    assert strict.fairness.take(strict["a"], 1) is None


async def test_the_flow_served_least_is_next() -> None:
    world = World(spec("a", queues=64, hand=4, length=50), total=1)
    seat = await world.enter("a")
    order: list[str] = []

    async def run(flow: str) -> None:
        held = await world.enter("a", flow)
        order.append(flow)
        world.time += 0.05
        held.release()

    tasks = [asyncio.create_task(run("greedy")) for _ in range(30)]
    await turns()
    tasks += [asyncio.create_task(run(f"quiet{number}")) for number in range(3)]
    await turns()
    seat.release()
    await asyncio.gather(*tasks)
    assert max(order.index(f"quiet{number}") for number in range(3)) < 12


async def test_a_busy_turn_queues_what_comes_and_shares_the_next_ones() -> None:
    """No seat is scarce here: what is short is the thread."""
    world = World(spec("a", queues=64, hand=1, length=100), spec("b", queues=64, hand=1, length=100), total=1000)
    order: list[str] = []

    async def run(level: str) -> None:
        held = await world.enter(level, level)
        order.append(level)
        world.time += fairness.TURN  # it computes for a whole turn
        held.release()

    tasks = [asyncio.create_task(run("a")) for _ in range(50)]
    tasks += [asyncio.create_task(run("b")) for _ in range(5)]
    await asyncio.gather(*tasks)
    assert order.index("b") < 5
    assert len(order) - 1 - order[::-1].index("b") < 20


async def test_no_queue_means_no_waiting() -> None:
    world = World(spec("a", queues=0, length=0), total=1)
    seat = await world.enter("a")
    with pytest.raises(Refused, match="concurrency-limit"):
        await world.enter("a")
    seat.release()
    (await world.enter("a")).release()


async def test_a_full_queue_refuses_and_a_long_wait_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "WAIT", 0.01)
    world = World(spec("a", queues=1, hand=1, length=2), total=1)
    seat = await world.enter("a")
    waiting = [asyncio.create_task(world.enter("a")) for _ in range(2)]
    await turns()
    with pytest.raises(Refused, match="queue-full"):
        await world.enter("a")
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, Refused)
    assert world["a"].refused == {"queue-full": 1, "time-out": 2}
    seat.release()
    assert (world["a"].in_use, world["a"].waiting, world.fairness.waiting) == (0, 0, 0)


async def test_who_goes_away_leaves_nothing_behind() -> None:
    world = World(spec("a"), total=1)
    seat = await world.enter("a")
    tasks = [asyncio.create_task(world.enter("a", str(number))) for number in range(4)]
    await turns()
    tasks[0].cancel()
    await turns()
    seat.release()
    tasks[1].cancel()  # it may have been granted in the same moment
    await turns()
    for task in tasks:
        task.cancel()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(result, Seat):
            result.release()
    await turns()
    assert (world["a"].in_use, world["a"].waiting, world.fairness.waiting) == (0, 0, 0)


async def test_levels_change_under_those_who_wait() -> None:
    world = World(spec("a"), spec("b"), total=2)
    seat = await world.enter("a")
    waiting = [asyncio.create_task(world.enter("a", str(number))) for number in range(3)]
    await turns()
    world.fairness.configure([spec("b"), spec("a", queues=2, hand=1, shares=20)])
    assert len(world["a"].queues) == 8
    world.fairness.configure([spec("b")])
    assert "a" in world.fairness.levels  # somebody waits in it
    seat.release()
    for task in waiting:
        (await task).release()
    world.fairness.configure([spec("b")])
    assert "a" not in world.fairness.levels


@given(st.text(), st.integers(1, 128), st.integers(1, 128))
def test_a_hand_is_of_different_queues_and_always_the_same(flow: str, queues: int, hand: int) -> None:
    level = Level(spec("a", queues=queues, hand=min(hand, queues)))
    dealt = [queue.index for queue in level.hand(flow)]
    assert len(set(dealt)) == len(dealt) == min(hand, queues)
    assert dealt == [queue.index for queue in level.hand(flow)]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rules", "subjects", "user", "spec",
    "limited", "verbs", "name"]), inner, max_size=3), max_leaves=12,
)  # fmt: skip


@given(_ANY)
def test_misshapen_objects_are_read_all_the_same(value: Any) -> None:
    obj = {"metadata": {"name": "x"}, "spec": value}
    for rules in read_schema(obj).rules:
        rules.concerns(ANN)
        rules.matches(Asked("get", path="/"))
    Level(read_level(obj))
