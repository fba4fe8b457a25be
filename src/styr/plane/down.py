"""Stopping: the control plane by pid, then what outlives it. Called by `cli.down` and by `plane.up` on Ctrl-C.

Works from what is on disk, so it also ends the pods and the Envoy of a control plane that was killed.
"""

from __future__ import annotations

import asyncio
import signal
import time

from styr.kit.process import ProcessId
from styr.plane.folder import Folder

PATIENCE = 45.0
"""Seconds for the control plane to end after SIGTERM before this gives up (it is not killed: its state is on disk, but an
operator should look)."""


class StopError(Exception):
    """The control plane did not end in time."""


def stop(folder: Folder, *, keep_apps: bool) -> list[str]:
    """Stops what runs on the folder; returns what was stopped, in words. Raises `StopError`."""
    stopped: list[str] = []
    if found := folder.control_plane():
        _end(found, folder)
        stopped.append(f"control plane (pid {found.pid})")
    return stopped if keep_apps else stopped + stop_apps(folder)


def stop_apps(folder: Folder) -> list[str]:
    """Ends Envoy, the metrics process and every pod that the folder's records name, by pid and start time. Traffic first:
    nobody is sent to an app that is going; then metrics: what ends now is no outage."""
    from styr.gateway.envoy import stop_envoy
    from styr.metrics.launch import stop_metrics
    from styr.node.shutdown import stop_pods

    stopped = ["Envoy"] if stop_envoy(folder.path) else []
    stopped += ["metrics"] if stop_metrics(folder.path) else []
    ended = asyncio.run(stop_pods(folder.path))
    return stopped + ([f"{ended} pod{'s' if ended != 1 else ''}"] if ended else [])


def _end(target: ProcessId, folder: Folder) -> None:
    target.signal(signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while target.alive():
        if time.monotonic() > deadline:
            raise StopError(
                f"The control plane (pid {target.pid}) did not end within {PATIENCE:.0f} s. What it said: {folder.log}"
            )
        time.sleep(0.02)
