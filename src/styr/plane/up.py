"""`styr up`: starts the parts in order, says when it is ready, and stops them in the other order.

Called by `cli.up`. Calls `plane.control`, `client`, `plane.capabilities`. Never decides anything: all that
happens after the start happens in controllers.

SIGINT (Ctrl-C) stops everything, the apps too; SIGTERM stops the control plane and leaves Envoy, the metrics process and the
pods running, as SIGKILL would: the next start adopts them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import resource
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from styr.client.client import Client
from styr.client.controller import Manager
from styr.delivery import kinds as delivery_kinds
from styr.gateway import kinds as gateway_kinds
from styr.gateway.envoy import recorded
from styr.gateway.protos import GatewayError
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, NotFound, Unavailable
from styr.kinds.resources import CRD, GATEWAY, GATEWAY_CLASS, PROMETHEUS_RULE, Object, Resource
from styr.kit.clock import SystemClock
from styr.kit.files import make_private
from styr.kit.log import Log, setup
from styr.kit.memory import trim
from styr.kit.process import start_time
from styr.kit.tasks import Tasks
from styr.metrics import invocation, launch
from styr.metrics import kinds as metrics_kinds
from styr.metrics.rules import builtin
from styr.node.agent import Node
from styr.plane.capabilities import Parts, all_controllers, build
from styr.plane.control import COLLECTIONS, ControlPlane, StartError
from styr.plane.down import stop_apps
from styr.plane.folder import Folder, ready_text
from styr.plane.metrics import Pages, own_registry, tell_of_engine
from styr.plane.ports import choose_port, free_port_near
from styr.plane.seams import NodeSeams
from styr.serving.authn import load_or_create_token

log = Log("styr.plane")

DEFAULT_GATEWAY_PORT = 8080
MAX_DESCRIPTORS = 65_536
SETTLED = 10.0
"""Seconds after which a start counts as over."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Ports: None is "the one of last time, else the default", 0 "a free one"."""

    folder: Folder
    gateway_port: int | None = None
    api_port: int | None = None
    metrics_port: int | None = None
    metrics: bool = True
    node_name: str = ""


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Runs the platform until SIGINT or SIGTERM. `announce` gets the lines for people once it is ready. Raises
    `FolderError`, `StartError`, OSError."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[signal.Signals] = loop.create_future()

    def ask(number: signal.Signals) -> None:
        if not asked.done():
            asked.set_result(number)

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, ask, each)
    # What has been imported stays: later collections look at less, and seldom, since little of what a server makes is circular.
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    _take_descriptors()
    async with AsyncExitStack() as stack:
        await Plane(settings, stack).start(announce)
        number = await asked
        log.info("stopping", signal=number.name)
    if number is signal.SIGINT:
        announce("Stopping the apps too (SIGTERM would leave them running) ...")
        await asyncio.to_thread(stop_apps, settings.folder)


def _take_descriptors() -> None:
    """As many as we may have: each connection is one. Apps get their own limit from their launchers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Plane:
    """One control plane. Everything it starts is pushed on `stack`, which stops it in the other order."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.folder = settings.folder
        self.clock = SystemClock()
        self.random = random.SystemRandom()
        self._stack = stack
        self._parts: Parts | None = None
        self._tasks = Tasks("plane")
        self.registry = own_registry()

    async def start(self, announce: Callable[[str], None]) -> None:
        self.folder.open()
        self._stack.callback(self.folder.close)
        make_private(self.folder.log.parent)
        setup()
        last = self.folder.state()
        api_port = choose_port(self.settings.api_port, last.api_port, 0, "styr up --api-port")
        control = ControlPlane(self.folder, self._stack, self.clock, self.random, self.registry)
        node = NodeSeams(self._node)
        await control.start(logs=node.logs, streams=node, use=node.usage)
        server, client = control.server, control.client
        engine = self._engine(last.metrics_port, api_port)
        parts = build(
            client,
            self.folder,
            node_name=self.settings.node_name,
            gateway_port=self._gateway_port(last.gateway_port),
            metrics=engine,
            registry=self.registry,
            clock=self.clock,
            rng=self.random,
            trusted=control.trusted(),
        )
        self._parts = parts
        server.mount("/git", parts.source.handler)
        server.mount("/metrics", Pages(self.registry, parts.gateway.statistics))
        await self._definitions(client, parts)
        await self._run(client, parts)
        port = await control.listen(api_port)
        state = self.folder.write_state(
            api_port=port,
            gateway_port=parts.gateway.port,
            metrics_port=engine.settings.port if engine else last.metrics_port,
            pid=os.getpid(),
            start=start_time(os.getpid()),
        )
        announce(ready_text(self.folder, state))
        self._tasks.spawn(self._metrics(engine), name="metrics")
        self._tasks.spawn(control.seal_anew(), name="keys of encryption")
        self._tasks.spawn(self._settle(), name="settle")

    async def _settle(self) -> None:
        """What only the start needed goes back to the machine once everything has started."""
        await self.clock.sleep(SETTLED)
        await asyncio.to_thread(trim)

    def _node(self) -> Node:
        """The server is made before the node, which needs a client of the server."""
        if self._parts is None:
            raise Unavailable("the node is starting")
        return self._parts.node

    def _gateway_port(self, last: int) -> int:
        """An Envoy that was left running holds the last port itself; only another port must be free."""
        asked = self.settings.gateway_port
        if last and asked in (None, last) and recorded(self.folder.path / "envoy") is not None:
            return last
        return choose_port(asked, last, DEFAULT_GATEWAY_PORT, "styr up --port")

    async def _definitions(self, client: Client, parts: Parts) -> None:
        """The kinds and objects that the capabilities bring; written only when they differ."""
        for definition in (*gateway_kinds.crds(), *delivery_kinds.CRDS, *metrics_kinds.crds()):
            await ensure(client, CRD, definition)
        for obj in gateway_kinds.default_objects(parts.gateway.port):
            await ensure(client, GATEWAY_CLASS if obj["kind"] == GATEWAY_CLASS.kind else GATEWAY, obj)
        if parts.metrics is not None:
            with contextlib.suppress(AlreadyExists):  # whoever changed the rules that watch Styr keeps them
                await client.create(PROMETHEUS_RULE, builtin.prometheus_rule())

    async def _run(self, client: Client, parts: Parts) -> None:
        manager = Manager(client, self.clock, self.random, self.registry)
        for controller in all_controllers(parts):
            manager.add(controller)
        tasks = await self._stack.enter_async_context(self._tasks)
        await parts.source.start()
        self._stack.push_async_callback(parts.source.stop)
        await parts.node.start()
        self._stack.push_async_callback(parts.node.stop)
        tasks.spawn(manager.run(), name="controllers")
        await manager.synced()
        self._stack.push_async_callback(parts.gateway.stop)
        tasks.spawn(self._gateway(parts), name="gateway")

    async def _gateway(self, parts: Parts) -> None:
        """Beside everything else: the API is of use before Envoy is up. Its errors stand in the log, and `styr status` says
        that the gateway is not programmed."""
        try:
            await parts.gateway.start()
        except GatewayError as error:
            log.error("the gateway does not start; apps cannot be reached", reason=str(error))

    def _engine(self, last: int, api_port: int) -> launch.Engine | None:
        """The handle of the metrics process. One that was left running holds the last port itself."""
        if not self.settings.metrics:
            return None
        asked = self.settings.metrics_port
        left_running = launch.recorded(self.folder.path) is not None
        if left_running and last and asked in (None, last):
            port = last
        elif asked is None:
            port = free_port_near(last)
        else:
            port = choose_port(asked, last, 0, "styr up --metrics-port")
        settings = invocation.Settings(self.folder.path, port, api_port)
        try:
            engine = launch.Engine(settings, load_or_create_token(self.folder.token), self.clock)
        except invocation.ConfigError as error:
            raise StartError(f"{error}. Mend it, or start without: `styr up --without-metrics`.") from None
        self._stack.push_async_callback(engine.close)
        tell_of_engine(self.registry, lambda: engine.running, lambda: engine.restarts)
        return engine

    async def _metrics(self, engine: launch.Engine | None) -> None:
        """After everything else is ready: nothing waits for it. Its errors stand in the log, and `styr status` tells."""
        if engine is None:
            await asyncio.to_thread(launch.stop_metrics, self.folder.path)
            return
        try:
            await engine.start()
        except OSError as error:
            log.error("the metrics process cannot be started", cause=error)
        await engine.supervise()


async def ensure(client: Client, resource: Resource, wanted: Object) -> None:
    """Makes an object as wanted: created, or its spec replaced when it differs."""
    name, namespace = meta.name(wanted), meta.namespace(wanted)
    try:
        found = await client.get(resource, name, namespace)
    except NotFound:
        await client.create(resource, wanted)
        return
    if any(found.get(key) != value for key, value in wanted.items() if key not in ("metadata", "status")):
        await client.update(resource, {**found, **{key: wanted[key] for key in wanted if key != "metadata"}})
