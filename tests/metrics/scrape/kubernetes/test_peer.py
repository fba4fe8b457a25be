"""A real Prometheus discovers the same objects through our API server: every target and every label must be the same."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from styr.client.client import Client
from styr.client.informers import Informers
from styr.client.transport import InProcessTransport
from styr.kinds.resources import ENDPOINT_SLICE, NODE, POD, SERVICE, Object
from styr.kit.tasks import Tasks
from styr.metrics.scrape.discovery import Group
from styr.metrics.scrape.kubernetes.jobs import Role
from styr.metrics.scrape.kubernetes.roles import Roles
from styr.serving.http import serve
from tests.api.kit import ADMIN, running
from tests.metrics.scrape.kubernetes.objects import node, pod, service, slice
from tests.metrics.scrape.kubernetes.test_roles import Told, bare
from tests.peers.prometheus import NotReady, Peer, beside, prometheus

ROLES = (
    Role("pod"),
    Role("pod", node=True),
    Role("service"),
    Role("endpointslice"),
    Role("endpointslice", ("default",), node=True),
    Role("node"),
)
NOBODY = "127.0.0.1"
"""Where nobody listens: what is found must not lead away from this machine, should it be scraped."""


def objects() -> list[tuple[Any, Object]]:
    """Ordinary ones, with every field that becomes a label somewhere."""
    ports = [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"containerPort": 9100, "protocol": "UDP"}]
    init = {"initContainers": [{"name": "setup", "image": "i:1", "ports": [{"name": "x", "containerPort": 7}]}]}
    external = service("outside")
    external["spec"] = {"type": "ExternalName", "externalName": "example.com", "ports": [{"port": 443, "name": "tls"}]}
    balanced = service("balanced")
    balanced["spec"] = {"type": "LoadBalancer", "ports": [{"port": 81, "protocol": "UDP"}]}
    bare_slice = slice("no-service", ("web-1", "gone"))
    bare_slice["metadata"]["labels"] = {"other/label": "1"}
    endpoint = bare_slice["endpoints"][0]
    bare_slice["endpoints"] += [
        {**endpoint, "targetRef": {"kind": "Node", "name": "n1"}, "hostname": "h", "zone": "z", "conditions": {}},
        {"addresses": [NOBODY]},
    ]
    return [
        (NODE, node()),
        (
            POD,
            pod("web-1", NOBODY, ports=ports, spec=init, annotations={"a.b/c-d": "e", "prometheus.io/scrape": "true"}),
        ),
        (POD, pod("web-2", NOBODY, ports=[], labels={"tier": "x-y"}, phase="Failed", conditions=[])),
        (POD, pod("starting", "")),
        (SERVICE, service(annotations={"note": "n"})),
        (SERVICE, external),
        (SERVICE, balanced),
        (ENDPOINT_SLICE, _here(slice("web-x", ("web-1", "web-2")))),
        (ENDPOINT_SLICE, _here(bare_slice)),
    ]


def _here(found: Object) -> Object:
    for endpoint in found["endpoints"]:
        endpoint["addresses"] = [NOBODY]
    found["ports"].append({"name": "admin", "port": 9900, "protocol": "TCP", "appProtocol": "http"})
    return found


async def fill(client: Client) -> None:
    for resource, wanted in objects():
        made = await client.create(resource, bare(wanted))
        if "status" in wanted:
            await client.update_status(resource, {**made, "status": wanted["status"]})


def ours(groups: Iterable[Group]) -> set[tuple[tuple[str, str], ...]]:
    return {
        tuple(
            sorted((name, value) for name, value in {**group.labels, **own}.items() if value and "_styr_" not in name)
        )
        for group in groups
        for own in group.targets
    }


def theirs(targets: list[Any], job: str) -> set[tuple[tuple[str, str], ...]]:
    added = ("job", "__metrics_path__", "__scheme__", "__scrape_interval__", "__scrape_timeout__")
    added += (
        "__convert_classic_histograms_to_nhcb__",
        "__always_scrape_classic_histograms__",
        "__scrape_native_histograms__",
    )
    return {
        tuple(sorted((name, value) for name, value in target["discoveredLabels"].items() if name not in added))
        for target in targets
        if target["scrapePool"] == job
    }


async def discovered(client: Client) -> dict[str, set[tuple[tuple[str, str], ...]]]:
    """By our own discovery."""
    found = {}
    async with Tasks("test") as tasks:
        informers = Informers(client, random.Random(1))
        informers.start(tasks)
        roles = Roles(informers)
        for number, role in enumerate(ROLES):
            told = Told()
            task = tasks.spawn(roles.discovery(role).run(told), name="discovery")
            async with asyncio.timeout(10):
                while not told.calls:
                    await asyncio.sleep(0.01)
            task.cancel()
            found[f"job{number}"] = ours(told.groups.values())
    return found


async def asked(peer: Peer, wanted: dict[str, int]) -> list[Any]:
    """All targets of the real one, once it has as many of each job."""
    async with asyncio.timeout(40):
        while True:
            data = (await asyncio.to_thread(peer.ask, "targets"))[1]["data"]
            targets = [*data["activeTargets"], *data["droppedTargets"]]
            if all(len(theirs(targets, job)) >= count for job, count in wanted.items()):
                return targets
            await asyncio.sleep(0.1)


@pytest.mark.needs("prometheus")
async def test_a_real_prometheus_finds_the_same(tmp_path: Path):
    async with running() as api:
        client = Client(InProcessTransport(api.server, ADMIN))
        await fill(client)
        mine = await discovered(client)
        server = await serve(api.server, tls=None, authenticate=lambda headers, certificate: ADMIN)
        configs = [
            {
                "job_name": f"job{number}",
                # Dropped ones are shown each; active ones only once for each instance.
                "relabel_configs": [{"action": "drop"}],
                "kubernetes_sd_configs": [{**role.document(), "api_server": f"http://127.0.0.1:{server.port}"}],
            }
            for number, role in enumerate(ROLES)
        ]
        config = json.dumps({"scrape_configs": configs})
        try:
            async with beside(prometheus(tmp_path / "data", config=config)) as peer:
                targets = await asked(peer, {job: len(found) for job, found in mine.items()})
        except NotReady as error:
            if "field kubernetes_sd_configs not found" in str(error) and os.environ.get("CI") != "true":
                pytest.skip("this Prometheus was built without Kubernetes discovery; tests/peers/build has it")
            raise
        finally:
            await server.close()
    for job, found in mine.items():
        assert theirs(targets, job) == found, job
