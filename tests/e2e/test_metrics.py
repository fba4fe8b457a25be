"""The metrics process beside a real platform: an app is scraped, a crash loses nothing, a guard rolls back."""

import asyncio
import contextlib
import json
import os
import signal
import time

import pytest

from styr.cli.demo.platform import Platform
from styr.kinds.resources import APP, PROMETHEUS_RULE, SERVICE_MONITOR
from styr.kinds.seams import QueryFailed
from styr.metrics.ask import Ask
from styr.metrics.launch import recorded
from tests.e2e.conftest import App

PATIENCE = 240.0
"""Seconds: the very first start compiles kernels."""

SHOP = """\
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = b"shop_queue QUEUE\\n" if self.path == "/metrics" else b"hello\\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MONITOR = {
    "apiVersion": SERVICE_MONITOR.api_version,
    "kind": SERVICE_MONITOR.kind,
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {
        "selector": {"matchLabels": {"styr.dev/app": "shop"}},
        "endpoints": [{"port": "http", "interval": "1s", "scrapeTimeout": "1s"}],
    },
}
GUARD = {"name": "queue", "query": 'max(shop_queue{service="{{service}}"})', "max": 10, "intervalSeconds": 1}


def files(queue: int) -> dict[str, str]:
    return {"main.py": SHOP.replace("QUEUE", str(queue)), "Procfile": "web: python main.py\n"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """A Styr with its metrics process."""
    made = Platform(tmp_path_factory.mktemp("styr"))
    made.env.pop("STYR_WITHOUT_METRICS", None)
    asyncio.run(made.styr("up", "--detach", "--port", "0"))
    yield made
    asyncio.run(made.styr("down"))
    assert recorded(made.folder.path) is None


@pytest.fixture
async def ask(platform):
    made = Ask(platform.folder.state().metrics_port, platform.folder.token.read_text().strip())
    async with asyncio.timeout(PATIENCE):
        while not await made.ready():
            await asyncio.sleep(0.05)
    yield made
    await made.close()


async def value(ask: Ask, expression: str, wanted) -> float:
    """The first sample of an answer that `wanted` takes. The very first queries compile, and may not answer in time."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(QueryFailed):
                for _, number in await ask.query(expression):
                    if wanted(number):
                        return number
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_scraped_restarted_guarded(platform, app, ask):
    shop: App = await app("shop", files(3))
    shop.env.pop("STYR_WITHOUT_METRICS", None)
    client = shop.client()
    await client.create(SERVICE_MONITOR, MONITOR)
    first = await shop.push()
    assert first.code == 0, first.output

    # Scraped: by the ServiceMonitor, at the port that the process really has.
    assert await value(ask, 'up{job="shop-r1",service="shop-r1",endpoint="http"}', lambda number: True) == 1
    assert await value(ask, "shop_queue", lambda number: True) == 3
    assert await value(ask, 'up{job="styr"}', lambda number: True) == 1
    assert (
        await value(
            ask, 'apiserver_request_total{verb="CREATE",resource="servicemonitors.monitoring.coreos.com"}', bool
        )
        == 1
    )
    found = await client.get(SERVICE_MONITOR, "shop", "default")
    assert found["status"]["conditions"][0]["reason"] == "Accepted"
    assert (await client.get(PROMETHEUS_RULE, "styr", "styr-system"))["spec"]["groups"]
    status = json.loads(await shop.styr("status", "-o", "json"))
    assert (status["metrics"], status["metricsReady"]) == (f"http://127.0.0.1:{ask.port}", True)

    # Killed: started again, on the same port, with what it had acknowledged. What is two seconds old was.
    await value(ask, "shop_queue offset 2s", lambda number: True)
    before = recorded(platform.folder.path)
    killed_at = time.time()
    os.kill(before.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        while (now := recorded(platform.folder.path)) is None or now == before or not await ask.ready():
            await asyncio.sleep(0.05)
    assert await value(ask, f"shop_queue @ {killed_at - 1:.3f}", lambda number: True) == 3
    assert await value(ask, "styr_metrics_process_restarts_total", bool) == 1
    await value(ask, "timestamp(shop_queue)", lambda number: number > killed_at)

    # Adopted: the control plane goes, the process stays.
    shop.kill()
    await shop.styr("up", "--detach")
    assert recorded(platform.folder.path) == now
    await client.close()
    client = shop.client()

    # Guarded: the second release has too long a queue.
    await client.patch(APP, "shop", "default", {"spec": {"guards": [GUARD]}})
    await shop.change(files(99), "A long queue")
    second = await shop.push()
    assert "shop-r2 was taken back" in second.output
    assert "guard queue was breached once (tolerated: 0). 99 is above its limit of 10" in second.output
    assert 'max(shop_queue{service="shop-r2"})' in second.output
    told = await shop.styr("why", "shop-r2")
    assert "queue: at most 10 (tolerated breaches: 0)" in told
    assert "the same numbers, bit for bit" in told
    assert (await shop.get()).body == b"hello\n"

    # Met: it goes on.
    await shop.change(files(5), "A short queue")
    asking = asyncio.create_task(_users(shop))
    third = await shop.push()
    asking.cancel()
    assert "shop-r3 promoted" in third.output, third.output
    await client.close()


async def _users(shop: App) -> None:
    """Traffic, without which no release is promoted."""
    while True:
        await asyncio.gather(*(shop.get() for _ in range(20)), return_exceptions=True)
        await asyncio.sleep(0.05)


async def test_without_metrics_nothing_of_it_runs(tmp_path):
    made = Platform(tmp_path)
    try:
        await made.styr("up", "--detach", "--port", "0", "--without-metrics")
        status = json.loads(await made.styr("status", "-o", "json"))
        assert "metrics" not in status
        assert "not running" in await made.styr("status")
        assert recorded(made.folder.path) is None
    finally:
        await made.styr("down")
