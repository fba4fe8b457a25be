"""What the control plane tells of itself: the pages, who may read them, and that it costs little."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from styr.api.metrics import ApiMetrics
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.controller import Done, Manager
from styr.client.transport import InProcessTransport
from styr.kinds.resources import CONFIG_MAP
from styr.kinds.transport import ANONYMOUS, Request, User
from styr.kit.clock import SystemClock
from styr.plane.metrics import Pages, own_registry
from tests.api.kit import ADMIN


async def envoy() -> bytes:
    return b"envoy_server_live 1\n"


async def no_envoy() -> bytes:
    raise OSError("nobody listens")


def values(body: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(body.decode())
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for f in families for sample in f.samples}


@pytest.fixture
async def server():
    store, registry = Store.open(":memory:", SystemClock(), inline=True), own_registry()
    made = ApiServer(store, clock=SystemClock(), random=random.Random(1), metrics=ApiMetrics(store, registry))
    await made.start()
    made.mount("/metrics", Pages(registry, envoy))
    yield made
    await store.close()


async def page(server: ApiServer, path: str = "/metrics", user: User = ADMIN, **headers: str):
    return await server(Request("GET", path, [], headers, b"", user))


async def test_requests_and_commits_are_counted(server):
    client = Client(InProcessTransport(server, ADMIN))
    await client.create(CONFIG_MAP, {"metadata": {"name": "a", "namespace": "default"}})
    await client.list(CONFIG_MAP)
    await page(server, "/api/v1/namespaces/default/nosuchthing/x")
    answer = await page(server)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = values(answer.body)

    def requests(verb: str, resource: str, code: str) -> float | None:
        return found.get(("apiserver_request_total", (("code", code), ("resource", resource), ("verb", verb))))

    assert requests("CREATE", "configmaps", "201") == 1
    assert requests("LIST", "configmaps", "200") == 1
    assert requests("", "", "404") == 1, "what is no resource has no name of a caller's choosing"
    assert found["apiserver_storage_objects", (("resource", "configmaps"),)] == 1
    assert found["styr_store_commit_duration_seconds_count", ()] >= 2
    assert found["apiserver_current_inflight_requests", (("request_kind", "readOnly"),)] == 1, "this very page"
    assert found["process_resident_memory_bytes", ()] > 0


async def test_a_watch_is_counted_while_it_streams(server):
    client = Client(InProcessTransport(server, ADMIN))
    watch = client.watch(CONFIG_MAP)
    await client.create(CONFIG_MAP, {"metadata": {"name": "a", "namespace": "default"}})
    await anext(watch)
    watching = ("apiserver_longrunning_requests", (("verb", "WATCH"),))
    assert values((await page(server)).body)[watching] == 1
    await watch.aclose()
    assert values((await page(server)).body)[watching] == 0


async def test_controllers_are_counted_under_controller_runtimes_names(server):
    import asyncio

    registry = own_registry()
    client, done = Client(InProcessTransport(server, ADMIN)), asyncio.Event()
    from styr.client.controller import Controller

    async def reconcile(context, key):
        if key.name == "bug":
            raise ValueError("a bug")
        if key.name == "last":
            done.set()
        return Done()

    manager = Manager(client, SystemClock(), random.Random(1), registry)
    manager.add(Controller("mine", CONFIG_MAP, reconcile, workers=1))
    task = asyncio.create_task(manager.run())
    for name in ("bug", "good", "last"):
        await client.create(CONFIG_MAP, {"metadata": {"name": name, "namespace": "default"}})
    await asyncio.wait_for(done.wait(), 10)
    await asyncio.sleep(0)
    found = values((await Pages(registry, envoy)(Request("GET", "/metrics"))).body)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert found["workqueue_adds_total", (("name", "mine"),)] >= 3
    assert found["controller_runtime_reconcile_total", (("controller", "mine"), ("result", "error"))] >= 1
    assert found["controller_runtime_reconcile_panics_total", (("controller", "mine"),)] >= 1
    assert found["controller_runtime_reconcile_total", (("controller", "mine"), ("result", "success"))] >= 1
    assert found["styr_informer_objects", (("resource", "configmaps"),)] == 3


async def test_openmetrics_is_given_to_who_asks_for_it(server):
    answer = await page(server, accept="application/openmetrics-text;version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


async def test_envoys_own_page_and_its_absence(server):
    assert (await page(server, "/metrics/envoy")).body == b"envoy_server_live 1\n"
    assert (await Pages(own_registry(), no_envoy)(Request("GET", "/metrics/envoy"))).status == 503
    assert (await page(server, "/metrics/other")).status == 404


@pytest.mark.parametrize(
    ("user", "status"),
    [
        (ANONYMOUS, 401),
        (User("somebody", ("system:authenticated",)), 403),
        (User("prometheus", ("system:monitoring", "system:authenticated")), 200),
    ],
)
async def test_who_may_read_them(server, user, status):
    assert (await page(server, user=user)).status == status
    assert (await page(server, "/metrics/envoy", user=user)).status == status


def test_the_control_plane_and_the_command_line_load_no_numpy():
    code = "import sys, styr.plane.up, styr.cli.up, styr.cli.status; sys.exit('numpy' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_an_idle_page_stays_small(server):
    """Each series costs the scraper, and rendering them this process."""
    assert len(values((await page(server)).body)) < 150
