"""kopf, by a whole operator: `examples/operator` as a process of its own. It is killed, and so is the server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from styr.cli.demo.platform import Platform
from styr.plane.folder import Folder
from tests.conformance.clients.run import Running, environment
from tests.conformance.clients.scene import Scene, scene

pytestmark = pytest.mark.timeout(180)
EXAMPLE = Path(__file__).parents[3] / "examples" / "operator"
SITES = "examples.styr.dev/v1/sites"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A Styr that may be killed."""
    made = Platform(tmp_path_factory.mktemp("styr"))
    asyncio.run(made.styr("up", "--detach", "--port", "0", "--without-metrics"))
    yield made
    asyncio.run(made.styr("down"))


@asynccontextmanager
async def operator(stage: Scene) -> AsyncIterator[Running]:
    """Runs it in the scene's namespace until it has taken up its work; at the end it is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kopf",
        "run",
        "--namespace",
        stage.namespace,
        str(EXAMPLE / "operator.py"),
        env=environment(stage),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Running(process, "kopf run")
    try:
        yield running
    except BaseException:
        print(running.said)
        raise
    finally:
        await running.stop()


def read(name: str) -> Any:
    return yaml.safe_load((EXAMPLE / name).read_text())


async def define(stage: Scene) -> None:
    from styr.kinds.errors import AlreadyExists
    from styr.kinds.resources import CRD

    with suppress(AlreadyExists):
        await stage.client.create(CRD, read("crd.yaml"))
    await stage.has(
        "apiextensions.k8s.io/v1/customresourcedefinitions/sites.examples.styr.dev",
        {"status.conditions.0.status": "True", "status.conditions.1.status": "True"},
    )


async def change(stage: Scene, name: str, **spec: Any) -> None:
    from styr.kinds.resources import Resource

    sites = Resource("examples.styr.dev", "v1", "Site", "sites")
    await stage.client.patch(sites, name, stage.namespace, {"spec": spec})


async def test_a_site_from_its_making_to_its_end(styr: Folder, stage: Scene) -> None:
    await define(stage)
    async with operator(stage):
        site = read("site.yaml")
        site["spec"]["replicas"] = 1
        await stage.make(site)
        await stage.has(f"{SITES}/hello", {"status": {"ready": 1, "observedGeneration": 1}})
        await stage.has(f"{SITES}/hello", {"metadata.finalizers": ["examples.styr.dev/ledger"]})
        owner = {"metadata.ownerReferences.0": {"kind": "Site", "name": "hello", "controller": True}}
        for child in ("v1/configmaps", "v1/services", "apps/v1/deployments"):
            await stage.has(f"{child}/site-hello", owner)
        await stage.has("v1/configmaps/sites", {"data": {"hello": "Hello"}})
        await change(stage, "hello", word="Good day")
        await stage.has("v1/configmaps/site-hello", {"data": {"word": "Good day"}})
        await stage.has(f"{SITES}/hello", {"status": {"ready": 1, "observedGeneration": 2}})
        await change(stage, "hello", word="a secret")
        await refused(stage)
        await delete(stage, "hello")
        await stage.gone(f"{SITES}/hello")
        await stage.has("v1/configmaps/sites", {"data": None})
        for child in ("v1/configmaps", "v1/services", "apps/v1/deployments"):
            await stage.gone(f"{child}/site-hello")


async def refused(stage: Scene) -> None:
    """kopf tells it by an event of the Site."""
    from contextlib import aclosing

    from styr.kinds.resources import EVENT

    async with asyncio.timeout(30), aclosing(stage.client.watch(EVENT, stage.namespace)) as events:
        async for event in events:
            if "does not say 'a secret'" in event.object.get("message", ""):
                assert event.object["type"] == "Error"
                assert event.object["involvedObject"]["kind"] == "Site"
                return


async def delete(stage: Scene, name: str) -> None:
    from styr.kinds.resources import Resource

    await stage.client.delete(Resource("examples.styr.dev", "v1", "Site", "sites"), name, stage.namespace)


async def test_it_catches_up_after_it_was_killed(styr: Folder, stage: Scene) -> None:
    await define(stage)
    site = read("site.yaml")
    site["spec"]["replicas"] = 0
    await stage.make(site)
    async with operator(stage):
        await stage.has("v1/configmaps/site-hello", {"data": {"word": "Hello"}})
    await change(stage, "hello", word="Good night")
    async with operator(stage):
        await stage.has("v1/configmaps/site-hello", {"data": {"word": "Good night"}})
        await delete(stage, "hello")
        await stage.gone(f"{SITES}/hello")


async def test_it_survives_the_server(own: Platform, tmp_path: Path) -> None:
    async with scene(own.folder, tmp_path) as stage:
        await define(stage)
        site = read("site.yaml")
        site["spec"]["replicas"] = 0
        await stage.make(site)
        async with operator(stage) as running:
            await stage.has("v1/configmaps/site-hello", {"data": {"word": "Hello"}})
            pid = own.folder.running_pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await own.styr("up", "--detach", "--without-metrics")
            await change(stage, "hello", word="Good morning")
            await stage.has("v1/configmaps/site-hello", {"data": {"word": "Good morning"}})
            assert running.process.returncode is None
