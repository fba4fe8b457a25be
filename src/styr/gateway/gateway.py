"""The gateway as one thing: its controller, Envoy, the ADS server, the statistics.

Made by `plane`, which adds `controllers()` to the manager, awaits `start()`, and hands `traffic` to `delivery`. Any change of
a Gateway API object, Service or EndpointSlice leads to one translation of the whole world; what differs goes to Envoy, and
Envoy's answer goes to the statuses. Never in the path of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from styr.client.client import Client
from styr.client.controller import Context, Controller, Done, Outcome, Watch
from styr.gateway import admin, status
from styr.gateway.envoy import Envoy, EnvoyFiles, PortTaken, recorded
from styr.gateway.ir import CONTROLLER, RDS, ObjectKey, Snapshot, Translation, Unit, World
from styr.gateway.metrics import GatewayMetrics
from styr.gateway.protos import Protos, find_binary
from styr.gateway.quarantine import Quarantine
from styr.gateway.resources import units
from styr.gateway.routes import key_of, translate
from styr.gateway.stats import EnvoyTraffic
from styr.gateway.stream import Report
from styr.kinds import meta
from styr.kinds.errors import ApiError, Conflict, NotFound
from styr.kinds.meta import Key
from styr.kinds.resources import (
    ENDPOINT_SLICE,
    GATEWAY,
    GATEWAY_CLASS,
    HTTP_ROUTE,
    NAMESPACE,
    SERVICE,
    Object,
    Resource,
)
from styr.kinds.seams import TrafficSource
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.kit.metrics import CollectorRegistry
from styr.kit.tasks import Tasks

if TYPE_CHECKING:
    from styr.gateway.xds import AdsServer

log = Log("styr.gateway")

_WORLD = Key("", "world")
"""The one key of the one controller: a change of anything is a reason to look at everything."""
_PATIENCE = 2.0
"""Seconds that a status waits for Envoy's answer before it says that there is none yet."""


class Gateway:
    """`data_dir` is the platform's; the gateway keeps its files in `data_dir/envoy`. `port` is where the default listener
    will be: `start()` checks that nobody else has it (0: no check). `drain`: see `AdsServer`."""

    def __init__(
        self,
        client: Client,
        *,
        data_dir: Path,
        clock: Clock,
        random: Random,
        port: int = 0,
        concurrency: int = 0,
        drain: float = 5.0,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.client = client
        self.clock = clock
        self.random = random
        self.port = port
        self.quarantine = Quarantine()
        self.loopback_v6 = has_loopback_v6()
        self.files = EnvoyFiles.prepare(data_dir / "envoy")
        self.envoy = Envoy(Path(), self.files, clock, concurrency=concurrency or min(2, os.cpu_count() or 1))
        self.traffic: TrafficSource = EnvoyTraffic(
            self.files.admin, clock, lambda: self.envoy.epoch if self.envoy.running else "", lambda: self._live.served
        )
        self._drain = drain
        self._ads: AdsServer | None = None
        self._tasks: Tasks | None = None
        self._context: Context | None = None
        self._latest: Snapshot | None = None
        self._translation = Translation()
        self._live = Translation()
        self._seen: object = None
        self._due = asyncio.Event()
        self._metrics = GatewayMetrics(
            up=lambda: float(self.envoy.running),
            restarts=lambda: float(self.envoy.restarts),
            routes=lambda: float(len(self._live.served)),
            held=lambda: float(len(self.quarantine.held)),
            registry=registry,
        )

    # --- life ---

    async def start(self) -> None:
        """Envoy runs and is connected to when this returns; routes follow from the controller. Raises GatewayError:
        EnvoyMissing, EnvoyUntested, EnvoyDied, PortTaken."""
        from styr.gateway.xds import AdsServer

        self.envoy.binary, _ = find_binary()
        if self.port and recorded(self.files.data) is None:
            check_port(self.port)
        protos = Protos.load(self.envoy.binary, self.files.data)
        self._ads = AdsServer(
            protos, self.files.xds, self.clock, self._on_answer, drain=self._drain, count=self._metrics.count
        )
        await self._ads.start()
        if self._latest is not None:
            self._ads.publish(self._latest)
        await self.envoy.start()
        self._tasks = await Tasks("gateway").__aenter__()
        self._tasks.spawn(self.envoy.supervise(), name="envoy")
        self._tasks.spawn(self._write_statuses(), name="statuses")

    async def stop(self, keep_envoy: bool = True) -> None:
        """Ends the control plane's side. Envoy goes on with its last configuration unless told otherwise."""
        if self._tasks is not None:
            await self._tasks.__aexit__(None, None, None)
            self._tasks = None
        if self._ads is not None:
            await self._ads.stop()
            self._ads = None
        if not keep_envoy:
            await self.envoy.stop()

    async def statistics(self) -> bytes:
        """Envoy's own metrics in Prometheus' text format. Raises OSError or ValueError when it does not give them."""
        return await admin.call(self.files.admin, "/stats/prometheus")

    @property
    def report(self) -> Report:
        return self._ads.report if self._ads is not None else Report()

    # --- the world, to Envoy ---

    def controllers(self) -> list[Controller]:
        watched = (GATEWAY_CLASS, GATEWAY, HTTP_ROUTE, SERVICE, ENDPOINT_SLICE, NAMESPACE)
        watches = tuple(Watch(resource, _everything) for resource in watched)
        return [Controller("gateway", GATEWAY_CLASS, self._reconcile, watches=watches, workers=1)]

    async def _reconcile(self, context: Context, key: Key) -> Outcome:
        """Quick and without an await, so that a burst of changes is one translation."""
        if key == _WORLD:
            self._context = context
            world = read_world(context)
            seen = _fingerprint(world)
            if seen != self._seen:
                self._seen = seen
                self._translate(world)
            self._due.set()
        return Done()

    def _translate(self, world: World) -> None:
        self.quarantine.forget(key_of(route) for route in world.routes)
        self._translation = translate(world, good=self.quarantine.good, held=self.quarantine.held)
        wanted = units(self._translation.plan, loopback_v6=self.loopback_v6)
        if self._latest is None or _versions(wanted) != _versions(self._latest.units):
            self._latest = Snapshot(self._latest.number + 1 if self._latest else 1, wanted)
            if self._ads is not None:
                self._ads.publish(self._latest)

    # --- Envoy's answer, to the world ---

    def _on_answer(self) -> None:
        report, latest = self.report, self._latest
        if latest is not None and report.connected and self._context is not None:
            refused = False
            for rejection in report.rejected:
                unit = rejection.unit
                if latest.of(RDS).get(unit.name) == unit:
                    members = [(source.namespace, source.name) for source in unit.sources]
                    refused |= self.quarantine.refused(self._translation.served, members, rejection.message)
            current = [r.unit for r in report.rejected if latest.of(RDS).get(r.unit.name) == r.unit]
            taken = report.applied == latest.number and not current
            if taken:
                self._live = self._translation
            if refused or (taken and self.quarantine.taken(self._translation.served)):
                self._translate(read_world(self._context))
        self._due.set()

    async def _write_statuses(self) -> None:
        """Until cancelled: after each answer of Envoy, and when it is late."""
        while True:
            await self._due.wait()
            self._due.clear()
            if not self._settled():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE):
                        while not self._settled():
                            await self._due.wait()
                            self._due.clear()
            if self._context is not None:
                try:
                    await self._write_all(self._context)
                except ApiError as error:
                    log.info("statuses not written, trying again", error=error)
                    await self.clock.sleep(0.5)
                    self._due.set()

    def _settled(self) -> bool:
        return self._latest is not None and self.report.applied == self._latest.number

    async def _write_all(self, context: Context) -> None:
        translation, now = self._translation, context.now()
        for name in translation.classes:
            obj = context.get(GATEWAY_CLASS, Key("", name))
            if obj is not None:
                await _write(context, GATEWAY_CLASS, obj, status.class_status(obj, now))
        for key, listeners in translation.gateways.items():
            obj = context.get(GATEWAY, Key(*key))
            if obj is not None:
                wanted = status.gateway_status(obj, listeners, self.report, now, v6=self.loopback_v6)
                await _write(context, GATEWAY, obj, wanted)
        for obj in context.list(HTTP_ROUTE):
            await self._write_route(context, obj, translation, now)

    async def _write_route(self, context: Context, obj: Object, translation: Translation, now: str) -> None:
        key: ObjectKey = key_of(obj)
        results = translation.routes.get(key, [])
        ours = any(e.get("controllerName") == CONTROLLER for e in (obj.get("status") or {}).get("parents") or ())
        if not results and not ours:
            return
        if results and translation.generations.get(key) != int(obj["metadata"].get("generation") or 0):
            return
        wanted = status.route_status(obj, results, self.report, self.quarantine, now, settled=self._settled())
        await _write(context, HTTP_ROUTE, obj, wanted)


def _everything(_obj: Object, _context: Context) -> Iterable[Key]:
    return (_WORLD,)


def read_world(context: Context) -> World:
    return World(
        classes=context.list(GATEWAY_CLASS),
        gateways=context.list(GATEWAY),
        routes=[route for route in context.list(HTTP_ROUTE) if not meta.deleting(route)],
        services=context.list(SERVICE),
        slices=context.list(ENDPOINT_SLICE),
        namespaces=context.list(NAMESPACE),
    )


def _fingerprint(world: World) -> object:
    """What a translation depends on. Our own status writes change none of it."""
    specified = [
        (meta.uid(obj), key_of(obj), obj["metadata"].get("generation"), meta.deleting(obj))
        for objects in (world.classes, world.gateways, world.routes)
        for obj in objects
    ]
    whole = [
        (key_of(obj), meta.resource_version(obj))
        for objects in (world.services, world.slices, world.namespaces)
        for obj in objects
    ]
    return specified, whole


def _versions(wanted: object) -> dict[tuple[str, str], tuple[str, object]]:
    tables: dict[str, dict[str, Unit]] = wanted  # type: ignore[assignment]
    return {(url, name): (unit.version, unit.sources) for url, table in tables.items() for name, unit in table.items()}


async def _write(context: Context, resource: Resource, obj: Object, wanted: status.Status) -> None:
    """A conflict is left to the change that caused it, which brings a new translation."""
    with contextlib.suppress(Conflict, NotFound):
        await context.set_status(resource, obj, wanted)


def has_loopback_v6() -> bool:
    """Can this machine listen on ::1?"""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def check_port(port: int) -> None:
    """Raises `PortTaken` when a program listens on the port on a loopback address."""
    families = [(socket.AF_INET, "127.0.0.1"), *([(socket.AF_INET6, "::1")] if has_loopback_v6() else [])]
    for family, address in families:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise PortTaken(
                    f"port {port} on {address} cannot be used ({error.strerror}); run: styr up --port PORT, 0 for a free one"
                ) from None


def free_port() -> int:
    """A port that is free on both loopback addresses now."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        with contextlib.suppress(PortTaken):
            check_port(port)
            return port
    raise PortTaken("no port is free on both 127.0.0.1 and ::1")
