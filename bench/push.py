"""`git push` of a FastAPI app to the first response of the new version to a user, with warm caches.

The clock starts before `git push` and stops when a request through Envoy is answered by the new version; requests go out all
the time, so the canary's share of the traffic is part of the figure, as a user would see it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from styr.cli.demo.load import Load
from styr.cli.demo.platform import Platform

APP = '''"""One route."""
from fastapi import FastAPI, Response

VERSION = "0"
app = FastAPI()


@app.get("/{path:path}")
def hello(response: Response) -> dict[str, str]:
    response.headers["x-app-version"] = VERSION
    return {"version": VERSION}
'''


async def run(short: bool) -> dict[str, Any]:
    runs = 2 if short else 7
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as root:
        platform = Platform(Path(root))
        await platform.styr("up", "--detach", "--port", "0", "--without-metrics")
        try:
            return await _measure(platform, runs)
        finally:
            await platform.styr("down")


async def _measure(platform: Platform, runs: int) -> dict[str, Any]:
    platform.repository.mkdir()
    (platform.repository / "main.py").write_text(APP)
    await platform.make_repository(sample=False)
    began = time.monotonic()
    await _push(platform)
    seconds, pushes = [], []
    async with Load(platform.port, "hello.localhost", rate=100) as load:
        await _version(load, "0")
        cold = time.monotonic() - began
        for number in range(1, runs + 1):
            await platform.commit(f"Version {number}", {f'VERSION = "{number - 1}"': f'VERSION = "{number}"'})
            began = time.monotonic()
            await _push(platform)
            pushes.append(time.monotonic() - began)
            await _version(load, str(number))
            seconds.append(time.monotonic() - began)
        failed = load.tally.failures
    return {
        "figures": {
            "push_to_first_canary_response_seconds": round(statistics.median(seconds), 2),
            "push_command_seconds": round(statistics.median(pushes), 2),
            "first_push_cold_seconds": round(cold, 2),
            "failed_requests": failed,
            "runs": runs,
        },
        "targets": {"push_to_first_canary_response_seconds": 5.0, "failed_requests": 0},
    }


async def _push(platform: Platform) -> None:
    done = await platform.git("push", "-o", "detach", "styr", "main")
    if done.code:
        raise RuntimeError(done.output)


async def _version(load: Load, version: str) -> None:
    async with asyncio.timeout(60):
        while not load.tally.versions.get(version):
            await asyncio.sleep(0.005)
