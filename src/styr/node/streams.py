"""The node's end of exec, attach and port-forward: finds the pod, then its container. Implements `kinds.seams.PodStreams`.

Made by `agent.py`, handed to `api` by `plane`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from styr.kinds.errors import BadRequest, NotFound
from styr.kinds.seams import Duplex, Forward, Run, StreamOptions
from styr.node import forward, stats
from styr.node.pod import PodWorker


class Streams:
    """`workers` are those of the pods on the node of that name, by uid."""

    def __init__(self, name: str, workers: Mapping[str, PodWorker]) -> None:
        self._name = name
        self._by_uid = workers

    def _workers(self) -> list[PodWorker]:
        return list(self._by_uid.values())

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
            await forward.join(await _own_port(worker, port), duplex)

        return join

    async def address(self, namespace: str, name: str, uid: str, port: int, /) -> tuple[str, int]:
        return "127.0.0.1", await _own_port(self._worker(namespace, name, uid), port)

    async def about(self, node: str, path: str, /) -> tuple[str, bytes] | None:
        return await asyncio.to_thread(stats.answer, node, path, self._workers()) if node == self._name else None

    def _worker(self, namespace: str, name: str, uid: str) -> PodWorker:
        worker = self._by_uid.get(uid)
        if worker is None:
            raise NotFound(f'unable to upgrade connection: pod does not exist on this node ("{namespace}/{name}")')
        return worker


async def _own_port(worker: PodWorker, port: int) -> int:
    """The real one behind a port of the pod. Raises ConnectionRefusedError."""
    actual = worker.record.ports.get(str(port))
    if actual is None and not await asyncio.to_thread(forward.listens, worker.folder, port):
        raise forward.refused(port)
    return actual or port
