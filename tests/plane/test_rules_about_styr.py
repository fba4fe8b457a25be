"""The rules that watch Styr ask for metrics that there are: a name that nobody exposes would be an alert that never fires."""

from __future__ import annotations

import random
import re
from pathlib import Path

from styr import controllers
from styr.api.metrics import ApiMetrics
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.controller import Manager
from styr.delivery import rollout
from styr.delivery.source import Source
from styr.gateway.gateway import Gateway
from styr.kit.clock import SystemClock
from styr.metrics.rules import builtin
from styr.node.agent import Node
from styr.plane.metrics import own_registry

OURS = re.compile(r"\b((?:styr_(?!scrape)|apiserver_|workqueue_|controller_runtime_|kubelet_|prober_)\w+)")


async def test_every_metric_of_the_control_plane_that_they_name_is_exposed(tmp_path: Path):
    clock, dice, registry = SystemClock(), random.Random(1), own_registry()
    store = Store.open(":memory:", clock, inline=True)
    client = Client(None)  # type: ignore[arg-type]  # nothing is asked
    ApiMetrics(store, registry)
    source = Source(client, data_dir=tmp_path, clock=clock, random=dice, registry=registry)
    node = Node(client, data_dir=tmp_path, images=source.images, clock=clock, random=dice, registry=registry)
    gateway = Gateway(client, data_dir=tmp_path, clock=clock, random=dice, registry=registry)
    manager = Manager(client, clock, dice, registry)
    parts = (*controllers.controllers(), *node.controllers(), *gateway.controllers(), *source.controllers())
    for controller in (*parts, *rollout.controllers(gateway.traffic, registry=registry)):
        manager.add(controller)
    exposed = {metric.name for metric in registry.collect()}
    endings = ("", "_total", "_bucket", "_count", "_sum")
    known = {name + ending for name in exposed for ending in endings}
    named = {
        name for group in builtin.spec()["groups"] for rule in group["rules"] for name in OURS.findall(rule["expr"])
    }
    assert len(named) > 10
    assert named - known == set()
    await store.close()
