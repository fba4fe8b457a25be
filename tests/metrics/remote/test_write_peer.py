"""Remote write from a real Prometheus, both protocol versions: every sample that it has arrives, bit for bit."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from styr.serving import http
from styr.serving.authn import ADMIN, Authenticator
from tests.metrics.web.peer import ask, ours
from tests.peers.prometheus import beside, prometheus

CONFIG = """
global: {scrape_interval: 1s, external_labels: {from: peer}}
scrape_configs:
  - job_name: self
    scrape_native_histograms: true
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
remote_write:
  - url: "http://127.0.0.1:%d/api/v1/write"
    protobuf_message: %s
    authorization: {credentials: tok}
    send_exemplars: true
    send_native_histograms: true
    queue_config: {batch_send_deadline: 100ms}
"""


def by_series(answer: dict[str, Any]) -> dict[tuple[tuple[str, str], ...], Any]:
    return {
        tuple(sorted((key, value) for key, value in series["metric"].items() if key != "from")): (
            series.get("values"),
            series.get("histograms"),
        )
        for series in answer["data"]["result"]
    }


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("message", ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"])
async def test_everything_arrives(tmp_path: Path, message: str) -> None:
    async with ours(tmp_path / "ours") as api:
        server = await http.serve(
            api, tls=None, authenticate=Authenticator({"tok": ADMIN}), streaming_prefixes=("/api",)
        )
        config = CONFIG % (server.port, message)
        try:
            async with beside(prometheus(tmp_path / "theirs", config=config)) as peer:
                until = time.monotonic() + 60
                theirs: dict[Any, Any] = {}
                while time.monotonic() < until:
                    now = str(time.time() - 1)
                    pairs = [("query", '{job="self"}[10s]'), ("time", now)]
                    _, answer = await asyncio.to_thread(peer.ask, "query", pairs)
                    theirs = by_series(answer)
                    ups = [values for labels, (values, _) in theirs.items() if ("__name__", "up") in labels]
                    if ups and len(ups[0]) >= 3:
                        break
                    await asyncio.sleep(0.2)
                mine: dict[Any, Any] = {}
                while time.monotonic() < until and mine != theirs:
                    mine = by_series((await ask(api, "query", pairs))[1])
                    await asyncio.sleep(0.1)
        finally:
            await server.close()
    assert len(theirs) > 300
    assert any(histograms for _, histograms in theirs.values())
    assert mine.keys() == theirs.keys()
    assert mine == theirs
