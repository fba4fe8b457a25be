"""The ADS server: Envoy's delta xDS over a Unix socket, one stream per Envoy.

Called by `gateway` (`publish`, `report`). Calls `protos` to encode and `stream` for what one Envoy has and gets. Never
decides what to serve. Wire: envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styr.gateway.ir import Snapshot, Unit
from styr.gateway.protos import Protos
from styr.gateway.stream import Count, Outgoing, Report, Stream, nothing_counted
from styr.kit.clock import Clock
from styr.kit.log import Log

if TYPE_CHECKING:
    import grpc.aio

log = Log("styr.gateway.xds")

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
_RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"


class AdsServer:
    """`on_change` is called, on the loop, whenever `report` may have changed. `gate_timeout`: after so many seconds without
    an ACK the old routes stay and the report says what is waited for. `drain`: seconds from the moment nothing refers to a
    cluster until it is removed."""

    def __init__(
        self,
        protos: Protos,
        socket: Path,
        clock: Clock,
        on_change: Callable[[], None],
        *,
        gate_timeout: float = 5.0,
        drain: float = 5.0,
        count: Count = nothing_counted,
    ) -> None:
        self._count = count
        self.protos = protos
        self.socket = socket
        self.clock = clock
        self.on_change = on_change
        self.gate_timeout = gate_timeout
        self.drain = drain
        self.latest: Snapshot | None = None
        self._streams: list[Stream] = []
        self._encoded: dict[str, Any] = {}
        self._closing = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        import grpc
        import grpc.aio

        self.socket.unlink(missing_ok=True)
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=self.protos.message(_REQUEST).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"DeltaAggregatedResources": handler}),)
        )
        self._server.add_insecure_port(f"unix:{self.socket}")
        await self._server.start()
        self.socket.chmod(0o600)

    async def stop(self) -> None:
        if self._server is not None:
            self._closing.set()
            await self._server.stop(0.2)
            self._server = None

    def publish(self, snapshot: Snapshot) -> None:
        """What Envoy should have from now on. New clusters and endpoints go out at once; routes when Envoy has those."""
        self.latest = snapshot
        versions = {unit.version for units in snapshot.units.values() for unit in units.values()}
        for version in [version for version in self._encoded if version not in versions]:
            del self._encoded[version]
        for stream in self._streams:
            stream.publish(snapshot)

    @property
    def report(self) -> Report:
        """What the Envoy that connected last has taken; an empty report when none is connected."""
        return self._streams[-1].report if self._streams else Report()

    async def _serve(self, requests: AsyncIterator[Any], context: Any) -> None:
        stream = Stream(self.clock, self.on_change, gate_timeout=self.gate_timeout, drain=self.drain, count=self._count)
        self._streams.append(stream)
        work = (self._receive(stream, requests), self._send(stream, context), stream.drive(), self._closing.wait())
        tasks = [asyncio.create_task(each) for each in work]
        if self.latest is not None:
            stream.publish(self.latest)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.remove(stream)
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    log.error("the stream to Envoy broke; it connects again", ended)
            self.on_change()

    @staticmethod
    async def _receive(stream: Stream, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            stream.receive(request)

    async def _send(self, stream: Stream, context: Any) -> None:
        response_class: Any = self.protos.message(_RESPONSE)
        while True:
            outgoing: Outgoing = await stream.outgoing.get()
            response = response_class(
                type_url=outgoing.type_url, nonce=outgoing.nonce, removed_resources=outgoing.removed
            )
            for unit in outgoing.units:
                resource = response.resources.add(name=unit.name, version=unit.version)
                resource.resource.type_url = unit.type_url
                resource.resource.value = self._encode(unit)
            await context.write(response)

    def _encode(self, unit: Unit) -> bytes:
        if unit.version not in self._encoded:
            kind = unit.type_url.partition("/")[2]
            self._encoded[unit.version] = self.protos.parse(kind, unit.body).SerializeToString()
        encoded: bytes = self._encoded[unit.version]
        return encoded
