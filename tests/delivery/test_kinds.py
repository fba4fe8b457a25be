"""App and Release on the real server's schemas: defaults, refusals, and the settings read from them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.transport import InProcessTransport
from styr.delivery import ramp, rollout
from styr.delivery.kinds import CRDS, Settings, settings
from styr.kinds.errors import Invalid
from styr.kinds.resources import APP, CRD, RELEASE
from styr.kinds.transport import User
from styr.kit.clock import SystemClock

ADMIN = User("system:admin", ("system:masters", "system:authenticated"))


@pytest.fixture
async def client(tmp_path: Path):
    clock = SystemClock()
    store = Store.open(tmp_path / "store.db", clock, inline=True)
    server = ApiServer(store, clock=clock, random=random.Random(1))
    await server.start()
    made = Client(InProcessTransport(server, ADMIN))
    await rollout.install(made)
    yield made
    await made.close()
    await store.close()


async def test_an_empty_app_gets_every_default(client):
    app = await client.create(APP, {"metadata": {"name": "hello", "namespace": "default"}})
    assert app["spec"]["branch"] == "main"
    assert app["spec"]["rollout"]["steps"] == list(ramp.STEPS)
    assert "harmBudget" not in app["spec"]["rollout"]
    assert settings(app) == settings({}) == Settings(1, "/", 0.01, 1.2, True, None, 50, 45, 600, ramp.Plan())


async def test_installing_twice_changes_nothing(client):
    before = [(await client.get(CRD, one["metadata"]["name"]))["spec"] for one in CRDS]
    await rollout.install(client)
    assert [(await client.get(CRD, one["metadata"]["name"]))["spec"] for one in CRDS] == before


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"rollout": {"alpha": 0}}, "spec.rollout.alpha"),
        ({"rollout": {"alpha": 2}}, "spec.rollout.alpha"),
        ({"rollout": {"marginOdds": 0.5}}, "spec.rollout.marginOdds"),
        ({"rollout": {"steps": []}}, "spec.rollout.steps"),
        ({"rollout": {"steps": [0]}}, "spec.rollout.steps"),
        ({"rollout": {"startWeight": 100}}, "spec.rollout.startWeight"),
        ({"rollout": {"latency": "yes"}}, "spec.rollout.latency"),
        ({"smoke": {"path": "no-slash"}}, "spec.smoke.path"),
        ({"smoke": {"path": "/a b\r\nX: y"}}, "spec.smoke.path"),
        ({"replicas": -1}, "spec.replicas"),
        ({"replicas": "2"}, "spec.replicas"),
        ({"env": [{"value": "x"}]}, "spec.env"),
    ],
)
async def test_what_means_nothing_is_refused_by_name(client, spec, field):
    with pytest.raises(Invalid) as caught:
        await client.create(APP, {"metadata": {"name": "hello", "namespace": "default"}, "spec": spec})
    assert field in str(caught.value)


async def test_a_release_needs_app_number_and_image(client):
    with pytest.raises(Invalid) as caught:
        await client.create(RELEASE, {"metadata": {"name": "hello-r1", "namespace": "default"}, "spec": {}})
    for field in ("spec.app", "spec.number", "spec.image"):
        assert field in str(caught.value)


def test_steps_are_sorted_and_written_values_win():
    rollout_spec = {
        "steps": [50, 10, 10],
        "harmBudget": 0.2,
        "minStepSeconds": 1,
        "timeLimitSeconds": 60,
        "latency": False,
    }
    found = settings({"spec": {"rollout": rollout_spec, "replicas": 0}})
    assert found.plan == ramp.Plan((10, 50), 1_000, 60_000, 0.2, False)
    assert found.replicas == 0
