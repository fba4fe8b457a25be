"""Good deploys in a row under steady traffic: how many requests fail. The promise is none.

Each deploy is a real push, judged and promoted. `minStepSeconds` is set to 1 and the harm budget to 100 %, so that a deploy
takes seconds; the ramp's caution is measured by `judge`, this measures the moving parts: start, weights, drain, stop.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

from styr.cli.demo.load import Load
from styr.cli.demo.platform import Platform
from styr.kinds.resources import APP, RELEASE

ROLLOUT = {
    "minStepSeconds": 1,
    "harmBudget": 1.0,
    "startWeight": 20,
    "steps": [20, 100],
    "keepWarmSeconds": 1,
    "latency": False,
}


async def run(short: bool) -> dict[str, Any]:
    deploys, rate = (5, 100.0) if short else (50, 200.0)
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as root:
        platform = Platform(Path(root))
        await platform.styr("up", "--detach", "--port", "0", "--without-metrics")
        try:
            return await _measure(platform, deploys, rate)
        finally:
            await platform.styr("down")


async def _measure(platform: Platform, deploys: int, rate: float) -> dict[str, Any]:
    await platform.make_repository()
    client = platform.client()
    await client.patch(APP, "hello", "default", {"spec": {"rollout": ROLLOUT}})
    await _deploy(platform, client)
    began = time.monotonic()
    async with Load(platform.port, "hello.localhost", rate=rate) as load:
        await asyncio.sleep(1)
        for number in range(1, deploys + 1):
            await platform.commit(f"Version {number}", {f'VERSION = "{number}"': f'VERSION = "{number + 1}"'})
            await _deploy(platform, client)
        tally = load.tally
    await client.close()
    return {
        "figures": {
            "deploys": deploys,
            "requests_per_second": rate,
            "requests": tally.requests,
            "failed_requests": tally.failures,
            "versions_seen": len([version for version in tally.versions if version]),
            "seconds": round(time.monotonic() - began, 1),
            "errors": tally.errors,
        },
        "targets": {"failed_requests": 0},
    }


async def _deploy(platform: Platform, client: Any) -> None:
    done = await platform.git("push", "-o", "detach", "styr", "main")
    if done.code:
        raise RuntimeError(done.output)
    commit = (await platform.git("rev-parse", "HEAD")).output.strip()
    async with asyncio.timeout(120), aclosing(client.watch(RELEASE, "default")) as events:
        async for event in events:
            if (event.object.get("spec") or {}).get("commit") != commit:
                continue
            phase = (event.object.get("status") or {}).get("phase")
            if phase == "Promoted":
                return
            if phase in ("RolledBack", "Failed", "Superseded"):
                raise RuntimeError(f"a good release ended {phase}: {event.object['status'].get('verdict')}")
