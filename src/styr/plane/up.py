"""`styr up`: starts the parts in order, says when it is ready, and stops them in the other order.

Called by `cli.up`. Calls `api` (the only room that does), `client`, `plane.capabilities`. Never decides anything: all that
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
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from styr import controllers
from styr.api import pki
from styr.api.authn.accounts import Legacy
from styr.api.authn.configuration import ConfigurationError
from styr.api.authn.expressions import compile_expression
from styr.api.authn.keys import SigningKeys
from styr.api.authn.oidc import Oidc
from styr.api.filters import audit_policy
from styr.api.filters.audit import Audit, follow
from styr.api.filters.audit_log import AuditLog
from styr.api.filters.audit_policy import PolicyError
from styr.api.metrics import ApiMetrics
from styr.api.routes import is_proxied
from styr.api.server import ApiServer
from styr.api.store.checks import StoreError
from styr.api.store.commit import Store
from styr.api.store.sealing import Sealing
from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.delivery import kinds as delivery_kinds
from styr.gateway import kinds as gateway_kinds
from styr.gateway.envoy import recorded
from styr.gateway.protos import GatewayError
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, NotFound, Unavailable
from styr.kinds.resources import CRD, GATEWAY, GATEWAY_CLASS, PROMETHEUS_RULE, Object, Resource
from styr.kinds.seams import Forward, LogOptions, NodeUsage, PodStreams, Run, StreamOptions
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from styr.kit.files import make_private
from styr.kit.followed import Followed
from styr.kit.log import Log, setup
from styr.kit.memory import trim
from styr.kit.process import start_time
from styr.kit.tasks import Tasks
from styr.metrics import invocation, launch
from styr.metrics import kinds as metrics_kinds
from styr.metrics.rules import builtin
from styr.plane.capabilities import Parts, all_controllers, build
from styr.plane.down import stop_apps
from styr.plane.folder import Folder, ready_text
from styr.plane.metrics import Pages, own_registry, tell_of_engine
from styr.serving import http
from styr.serving.authn import ADMIN, Authenticator, load_or_create_token

log = Log("styr.plane")

PLANE = User("system:styr", ("system:masters", "system:authenticated"))
"""Who the control plane's own controllers are."""

DEFAULT_GATEWAY_PORT = 8080
KEYS_EVERY = 3.0
"""Seconds between two looks at the keys of encryption."""
COLLECTIONS = (20_000, 20, 20)
"""How many new objects, and how many collections of the younger ones, bring about a collection."""
SETTLED = 10.0
"""Seconds after which a start counts as over."""


class StartError(Exception):
    """The platform cannot start. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Ports: None is "the one of last time, else the default", 0 "a free one"."""

    folder: Folder
    gateway_port: int | None = None
    api_port: int | None = None
    metrics_port: int | None = None
    metrics: bool = True
    node_name: str = ""


def free_port(preferred: int = 0) -> int:
    """A port that can be bound on loopback now: the preferred one, or any. Raises OSError for a preferred one in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", preferred))
        port: int = probe.getsockname()[1]
        return port


def choose_port(asked: int | None, last: int, default: int, option: str) -> int:
    """Raises StartError when the port that was asked for, or that remotes and kubeconfigs already name, is taken."""
    wanted = last if asked is None else asked
    try:
        return free_port(wanted or (default if asked is None else 0))
    except OSError as error:
        if asked is None and not last:
            return free_port()
        why = "in use by another program" if error.errno == 98 else error.strerror
        raise StartError(
            f"Port {wanted} on 127.0.0.1 is {why}. Free it, or choose another: `styr up {option} PORT` (0 for any free one)."
        ) from None


def free_port_near(last: int) -> int:
    """The port of last time if it is still free, else any: nothing but bookmarks names it."""
    try:
        return free_port(last)
    except OSError:
        return free_port()


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
    async with AsyncExitStack() as stack:
        await Plane(settings, stack).start(announce)
        number = await asked
        log.info("stopping", signal=number.name)
    if number is signal.SIGINT:
        announce("Stopping the apps too (SIGTERM would leave them running) ...")
        await asyncio.to_thread(stop_apps, settings.folder)


class Plane:
    """One control plane. Everything it starts is pushed on `stack`, which stops it in the other order."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.folder = settings.folder
        self.clock = SystemClock()
        self.random = random.SystemRandom()
        self._stack = stack
        self._parts: Parts | None = None
        self._sealed: tuple[Sealing, Store] | None = None
        self._tasks = Tasks("plane")
        self.registry = own_registry()

    async def start(self, announce: Callable[[str], None]) -> None:
        self.folder.open()
        self._stack.callback(self.folder.close)
        make_private(self.folder.log.parent)
        setup()
        last = self.folder.state()
        api_port = choose_port(self.settings.api_port, last.api_port, 0, "--api-port")
        try:
            certificates = pki.ensure(self.folder.path / "pki", self.clock)
        except pki.PkiError as error:
            raise StartError(str(error)) from None
        server, client = await self._api(certificates)
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
            trusted=controllers.trusted(
                certificates.ca.read_text(), Legacy(server.accounts), pki.Signer(certificates, self.clock)
            ),
        )
        self._parts = parts
        server.mount("/git", parts.source.handler)
        server.mount("/metrics", Pages(self.registry, parts.gateway.statistics))
        await self._definitions(client, parts)
        await self._run(client, parts)
        port = await self._listen(server, certificates, api_port)
        state = self.folder.write_state(
            api_port=port,
            gateway_port=parts.gateway.port,
            metrics_port=engine.settings.port if engine else last.metrics_port,
            pid=os.getpid(),
            start=start_time(os.getpid()),
        )
        announce(ready_text(self.folder, state))
        self._tasks.spawn(self._metrics(engine), name="metrics")
        self._tasks.spawn(self._seal_anew(), name="keys of encryption")
        self._tasks.spawn(self._settle(), name="settle")

    async def _settle(self) -> None:
        """What only the start needed goes back to the machine once everything has started."""
        await self.clock.sleep(SETTLED)
        await asyncio.to_thread(trim)

    def _logs(self, namespace: str, name: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The server is made before the node, which needs a client of the server."""
        if self._parts is None:
            raise Unavailable("the node is starting")
        return self._parts.node.logs(namespace, name, uid, options)

    async def _use(self) -> NodeUsage:
        if self._parts is None:
            raise Unavailable("the node is starting")
        return await self._parts.node.usage()

    @property
    def _streams(self) -> PodStreams:
        if self._parts is None:
            raise Unavailable("the node is starting")
        return self._parts.node.streams

    def _gateway_port(self, last: int) -> int:
        """An Envoy that was left running holds the last port itself; only another port must be free."""
        asked = self.settings.gateway_port
        if last and asked in (None, last) and recorded(self.folder.path / "envoy") is not None:
            return last
        return choose_port(asked, last, DEFAULT_GATEWAY_PORT, "--port")

    async def _api(self, certificates: pki.Pki) -> tuple[ApiServer, Client]:
        try:
            database = self.folder.path / "store.db"
            sealing = Sealing(self.folder.encryption, self.clock)
            store = Store.open(database, self.clock, sealing=sealing)
        except StoreError as error:
            raise StartError(str(error)) from None
        self._stack.push_async_callback(store.close)
        self._sealed = (sealing, store)
        metrics = ApiMetrics(store, self.registry, database)
        keys = SigningKeys(certificates.tokens, self.clock)
        streams = _Streams(lambda: self._streams)
        server = ApiServer(
            store,
            clock=self.clock,
            random=self.random,
            logs=self._logs,
            streams=streams,
            use=self._use,
            metrics=metrics,
            keys=keys,
        )
        try:
            audiences = server.accounts.audiences
            issuers = Oidc(self.folder.authentication, self.clock, audiences, compile=compile_expression)
        except ConfigurationError as error:
            raise StartError(f"{error}. Mend the file, or take it away.") from None
        self._stack.callback(issuers.close)
        server.tokens.kinds.append(issuers)
        server.allows_anonymous = issuers.allows_anonymous
        self._audit(server)
        await server.start()
        return server, Client(InProcessTransport(server, PLANE), user_agent="styr")

    def _audit(self, server: ApiServer) -> None:
        try:
            policy = Followed(self.folder.audit_policy, audit_policy.load, self.clock.monotonic, (PolicyError,))
        except PolicyError as error:
            raise StartError(f"{error}. Mend the file, or take it away.") from None
        events = AuditLog(self.folder.audit_log, self.clock)
        self._stack.push_async_callback(events.close)
        server.audit = Audit(follow(policy), events.append, self.clock, self.random)

    async def _seal_anew(self) -> None:
        assert self._sealed is not None
        sealing, store = self._sealed
        while True:
            await self.clock.sleep(KEYS_EVERY)
            if sealing.follow():
                await store.reseal()

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
            port = choose_port(asked, last, 0, "--metrics-port")
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

    async def _listen(self, server: ApiServer, certificates: pki.Pki, port: int) -> int:
        try:
            token = load_or_create_token(self.folder.token)
            authenticator = Authenticator({token: ADMIN}, server.tokens)
            server.tokens.static = authenticator.known
            listener = await http.serve(
                server,
                port=port,
                tls=certificates.context(),
                authenticate=authenticator,
                passes=is_proxied,
            )
        except (pki.PkiError, http.PortTaken) as error:
            raise StartError(str(error)) from None
        self._stack.push_async_callback(listener.close)
        pki.kubeconfig(
            self.folder.kubeconfig, server=f"https://127.0.0.1:{listener.port}", ca=certificates.ca, token=token
        )
        return listener.port


class _Streams:
    """The node's streams, once there is a node."""

    def __init__(self, node: Callable[[], PodStreams]) -> None:
        self._node = node

    async def exec(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run:
        return await self._node().exec(namespace, name, uid, options)

    async def attach(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run:
        return await self._node().attach(namespace, name, uid, options)

    async def forward(self, namespace: str, name: str, uid: str, /) -> Forward:
        return await self._node().forward(namespace, name, uid)

    async def address(self, namespace: str, name: str, uid: str, port: int, /) -> tuple[str, int]:
        return await self._node().address(namespace, name, uid, port)

    async def about(self, node: str, path: str, /) -> tuple[str, bytes] | None:
        return await self._node().about(node, path)


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
