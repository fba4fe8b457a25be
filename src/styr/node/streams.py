"""The node's end of exec, attach and port-forward: finds the pod, then its container. Implements `kinds.seams.PodStreams`.

Made by `agent.py`, handed to `api` by `plane`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from styr.kinds.errors import BadRequest, NotFound
from styr.kinds.seams import Duplex, Forward, Run, StreamOptions
from styr.node import forward
from styr.node.pod import PodWorker


class Streams:
    """`find` gives the worker of a pod by its uid."""

    def __init__(self, find: Callable[[str], PodWorker | None]) -> None:
        self._find = find

    async def exec(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run:
        return await self._worker(namespace, name, uid).containers.visit(options.container, options)

    async def attach(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run:
        return await self._worker(namespace, name, uid).containers.attach(options.container, options)

    async def forward(self, namespace: str, name: str, uid: str, /) -> Forward:
        worker = self._worker(namespace, name, uid)
        if not worker.record.running():
            raise BadRequest(
                f"unable to forward port because pod is not running: pod {name!r} has no running container"
            )

        async def join(port: int, duplex: Duplex) -> None:
            actual = worker.record.ports.get(str(port))
            if actual is None and not await asyncio.to_thread(forward.listens, worker.folder, port):
                raise forward.refused(port)
            await forward.join(actual or port, duplex)

        return join

    def _worker(self, namespace: str, name: str, uid: str) -> PodWorker:
        worker = self._find(uid)
        if worker is None:
            raise NotFound(f'unable to upgrade connection: pod does not exist on this node ("{namespace}/{name}")')
        return worker
