"""The way of a write through the chain: what plugins see, in which order, and what waits for an answer from outside."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from styr.api.admission.attributes import Attributes
from styr.api.admission.chain import Base
from styr.api.pending import Pending
from styr.api.server import ApiServer
from styr.api.store.commit import Store, Txn
from styr.kit.clock import SystemClock
from tests.api.kit import JSON_PATCH, MERGE_PATCH, Api, config

MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = "application/apply-patch+yaml"


class Seen(Base):
    """Notes what it is shown, and does as it is told."""

    def __init__(self, kinds: tuple[str, ...] = ("configmaps",), mutate: Callable[[Attributes], None] | None = None):
        self.kinds = kinds
        self.log: list[tuple[str, str, str, str]] = []
        self.change = mutate

    def handles(self, operation: Any, served: Any, subresource: str, /) -> bool:
        return served.key in self.kinds

    def note(self, phase: str, attributes: Attributes) -> None:
        self.log.append((phase, attributes.operation, attributes.name, attributes.subresource))

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        self.note("mutate", attributes)
        if self.change:
            self.change(attributes)

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        self.note("validate", attributes)


class Oracle(Seen):
    """Asks somebody outside at every mutation, and writes the answer into the object."""

    waits = True

    def __init__(self, answer: Callable[[Attributes], Any]) -> None:
        super().__init__()
        self.answer = answer
        self.asked = 0

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        question = msgspec.json.encode([attributes.object, attributes.old])
        if question not in attributes.replies:

            async def ask() -> None:
                self.asked += 1
                attributes.replies[question] = await self.answer(attributes)

            raise Pending(ask)
        if attributes.object is not None:
            attributes.object["data"] = {**attributes.object.get("data", {}), "answer": attributes.replies[question]}
            attributes.changed()


@asynccontextmanager
async def running(*plugins: Any) -> AsyncIterator[Api]:
    store = Store.open(":memory:", SystemClock(), inline=True)
    server = ApiServer(store, clock=SystemClock(), random=random.Random(7), plugins=plugins)
    await server.start()
    yield Api(server)
    await store.close()


async def test_every_way_to_write_is_shown_to_the_plugins() -> None:
    seen = Seen()
    async with running(seen) as api:
        await api("POST", MAPS, config("one"))
        await api("PUT", f"{MAPS}/one", config("one", {"a": "1"}))
        await api("PATCH", f"{MAPS}/one", {"data": {"a": "2"}}, type=MERGE_PATCH)
        await api("PATCH", f"{MAPS}/two?fieldManager=me", config("two"), type=APPLY, want=201)
        await api("PATCH", f"{MAPS}/two?fieldManager=me", config("two", {"b": "1"}), type=APPLY)
        await api("DELETE", f"{MAPS}/one")
        await api("DELETE", MAPS)
    wanted = [("CREATE", "one"), ("UPDATE", "one"), ("UPDATE", "one"), ("CREATE", "two"), ("UPDATE", "two")]
    wanted += [("DELETE", "one"), ("DELETE", "two")]
    assert seen.log[2 * -len(wanted) :] == [(phase, *what, "") for what in wanted for phase in ("mutate", "validate")]


async def test_subresources_are_shown_as_the_kind_that_is_sent() -> None:
    kinds: list[tuple[str, str, str]] = []

    def note(attributes: Attributes) -> None:
        obj = attributes.object or attributes.old or {}
        kinds.append((attributes.operation, attributes.subresource, obj["kind"]))

    async with running(Seen(("deployments.apps", "pods", "namespaces"), note)) as api:
        await api("POST", "/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": "n"}})
        deployments = "/apis/apps/v1/namespaces/n/deployments"
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        await api("POST", deployments, {"metadata": {"name": "d"}, "spec": spec})
        await api("PATCH", f"{deployments}/d/scale", {"spec": {"replicas": 3}}, type=MERGE_PATCH)
        await api("PATCH", f"{deployments}/d/status", {"status": {"replicas": 3}}, type=MERGE_PATCH)
        pods = "/api/v1/namespaces/n/pods"
        await api("POST", pods, {"metadata": {"name": "p"}, "spec": template["spec"]})
        await api("POST", f"{pods}/p/binding", {"target": {"name": "node"}})
        await api("PUT", "/api/v1/namespaces/n/finalize", {"metadata": {"name": "n"}, "spec": {}})
    assert kinds[-7:] == [
        ("CREATE", "", "Namespace"),
        ("CREATE", "", "Deployment"),
        ("UPDATE", "scale", "Scale"),
        ("UPDATE", "status", "Deployment"),
        ("CREATE", "", "Pod"),
        ("CREATE", "binding", "Binding"),
        ("UPDATE", "finalize", "Namespace"),
    ]


async def test_a_mutation_is_defaulted_validated_and_does_not_reach_what_the_server_says() -> None:
    def change(attributes: Attributes) -> None:
        assert attributes.object is not None
        attributes.object["metadata"] |= {"uid": "mine", "namespace": "elsewhere", "labels": {"x": "y"}}
        attributes.object["data"] = {"bad key!": "1"} if attributes.name == "bad" else {"good": "1"}
        attributes.changed()

    async with running(Seen(mutate=change)) as api:
        made = await api("POST", MAPS, config("one"))
        assert made["data"] == {"good": "1"}
        assert made["metadata"]["labels"] == {"x": "y"}
        assert made["metadata"]["uid"] != "mine"
        assert made["metadata"]["namespace"] == "default"
        changed = await api("PUT", f"{MAPS}/one", config("one", {"good": "2"}))
        assert changed["data"] == {"good": "1"}
        assert changed["metadata"]["uid"] == made["metadata"]["uid"]
        refused = await api("POST", MAPS, config("bad"), want=422)
        assert "a valid config key" in refused["message"]


async def test_a_refusal_changes_nothing_and_carries_the_warnings() -> None:
    def refuse(attributes: Attributes) -> None:
        attributes.warnings += ["think again", "think again"]
        raise attributes.forbidden("no")

    async with running(Seen(mutate=refuse)) as api:
        before = api.server.store.revision
        response = await api.raw("POST", MAPS, config("one"))
        assert response.status == 403
        assert msgspec.json.decode(response.body)["message"] == 'configmaps "one" is forbidden: no'
        assert response.headers["warning"] == '299 - "think again"'
        assert api.server.store.revision == before


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "JSON", "APPLY"])
async def test_a_write_waits_for_an_answer_from_outside(method: str) -> None:
    async def answer(attributes: Attributes) -> str:
        await asyncio.sleep(0)
        return "42"

    oracle = Oracle(answer)
    async with running(oracle) as api:
        oracle.kinds = ()
        if method != "POST":
            await api("POST", MAPS, config("one"))
        oracle.kinds = ("configmaps",)
        api.server.chain.forget()
        before = api.server.store.revision
        asked = oracle.asked
        if method == "POST":
            made = await api("POST", MAPS, {"metadata": {"generateName": "x-"}})
        elif method == "PUT":
            made = await api("PUT", f"{MAPS}/one", config("one", {"a": "1"}))
        elif method == "JSON":
            made = await api("PATCH", f"{MAPS}/one", [{"op": "add", "path": "/data", "value": {}}], type=JSON_PATCH)
        else:
            kind = MERGE_PATCH if method == "PATCH" else APPLY
            made = await api("PATCH", f"{MAPS}/one?fieldManager=me", config("one", {"a": "1"}), type=kind)
        assert made["data"]["answer"] == "42"
        assert oracle.asked - asked == 1
        assert api.server.store.revision == before + 1


async def test_an_object_that_changes_while_admission_is_asked_is_asked_about_again() -> None:
    gate = asyncio.Event()
    first = asyncio.Event()
    olds: list[Any] = []

    async def answer(attributes: Attributes) -> str:
        if attributes.request.param("fieldManager") != "slow":
            return "quick"
        olds.append((attributes.old or {}).get("data"))
        first.set()
        await gate.wait()
        return "slow"

    oracle = Oracle(answer)
    async with running(oracle) as api:
        await api("POST", MAPS, config("one"))
        slow = asyncio.ensure_future(
            api("PATCH", f"{MAPS}/one?fieldManager=slow", {"data": {"a": "1"}}, type=MERGE_PATCH)
        )
        await first.wait()
        await api("PATCH", f"{MAPS}/one", {"data": {"b": "2"}}, type=MERGE_PATCH)
        gate.set()
        made = await slow
        assert made["data"] == {"a": "1", "b": "2", "answer": "slow"}
        assert olds == [{"answer": "quick"}, {"answer": "quick", "b": "2"}]


async def test_mutating_plugins_look_again_when_one_asks_for_it() -> None:
    def ask(attributes: Attributes) -> None:
        if not attributes.second:
            attributes.reinvoke = True

    first, second = Seen(), Seen(mutate=ask)
    async with running(first, second) as api:
        await api("POST", MAPS, config("one"))
    assert [entry[0] for entry in first.log[-3:]] == ["mutate", "mutate", "validate"]
