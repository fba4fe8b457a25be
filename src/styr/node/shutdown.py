"""`styr down`: ends every pod of a data folder from what is on disk, with or without a control plane.

Called by `plane.down`, and by `agent.py` for pods whose object is gone. Calls the runtime and the records of `pod.py`.
Changes no object of the API: the next start finds the containers ended and starts them again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from styr.node.record import load
from styr.node.runtimes.base import Handle, Runtime
from styr.node.runtimes.process import ProcessRuntime

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""


async def stop_pods(data_dir: Path, *, grace: float = GRACE, runtime: Runtime | None = None) -> int:
    """SIGTERM to all at once, SIGKILL to what is left after `grace` seconds. Returns how many pods were running."""
    folders = _folders(data_dir)
    if not folders:
        return 0
    runtime = runtime or ProcessRuntime()
    return sum(await asyncio.gather(*(stop_pod(runtime, folder, grace) for folder in folders)))


def _folders(data_dir: Path) -> list[Path]:
    pods = data_dir.resolve() / "node" / "pods"
    return sorted(pods.iterdir()) if pods.is_dir() else []


async def stop_pod(runtime: Runtime, folder: Path, grace: float) -> bool:
    """Whether anything of it ran. The folder stays."""
    record = load(folder / "state.json")
    handles: list[tuple[Handle, Path]] = []
    for container in record.running() if record else ():
        if container.handle is not None and runtime.alive(container.handle):
            handles.append((container.handle, folder / "containers" / container.name / f"{container.restarts}.exit"))
            runtime.terminate(container.handle)
    waits = [asyncio.ensure_future(runtime.wait(handle, exit)) for handle, exit in handles]
    if waits:
        await asyncio.wait(waits, timeout=grace)
    for handle, _ in handles:
        await runtime.kill(handle, folder)
    await asyncio.gather(*waits)
    return bool(await runtime.sweep(folder)) or bool(handles)
