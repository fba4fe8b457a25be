"""What the API server asks of the node, for a server that is made before its node: each question finds the node when asked.

Called by `plane.up`. Never starts anything. Raises what `node` raises while there is none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from styr.kinds.seams import Forward, LogOptions, NodeUsage, Run, StreamOptions
from styr.node.agent import Node


class NodeSeams:
    """PodLogs (`logs`), PodStreams (itself) and the usage of `metrics.k8s.io` (`usage`)."""

    def __init__(self, node: Callable[[], Node]) -> None:
        self._node = node

    def logs(self, namespace: str, name: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        return self._node().logs(namespace, name, uid, options)

    async def usage(self) -> NodeUsage:
        return await self._node().usage()

    async def exec(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run:
        return await self._node().streams.exec(namespace, name, uid, options)

    async def attach(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run:
        return await self._node().streams.attach(namespace, name, uid, options)

    async def forward(self, namespace: str, name: str, uid: str, /) -> Forward:
        return await self._node().streams.forward(namespace, name, uid)

    async def address(self, namespace: str, name: str, uid: str, port: int, /) -> tuple[str, int]:
        return await self._node().streams.address(namespace, name, uid, port)

    async def about(self, node: str, path: str, /) -> tuple[str, bytes] | None:
        return await self._node().streams.about(node, path)
