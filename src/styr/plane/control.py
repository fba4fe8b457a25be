"""The control plane proper: the API server over the store of a data folder, who may ask it, what is written down of it, and its
listener. Without node, gateway and delivery it is what `styr api` runs.

Called by `plane.up` and `plane.alone`. Calls `api`, which nobody else imports. Never decides anything.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from typing import Any

from styr import controllers
from styr.api import itself, pki
from styr.api.aggregation.proxy import FrontProxy, authentication_map
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
from styr.client.controller import Controller
from styr.client.transport import InProcessTransport
from styr.kinds.errors import AlreadyExists
from styr.kinds.resources import CONFIG_MAP
from styr.kinds.transport import User
from styr.kit.clock import Clock, rfc3339
from styr.kit.followed import Followed
from styr.kit.metrics import CollectorRegistry, Read, Value
from styr.plane.folder import Folder
from styr.serving import http
from styr.serving.authn import ADMIN, Authenticator, load_or_create_token

PLANE = User("system:styr", ("system:masters", "system:authenticated"))
"""Who the control plane's own controllers are."""
COLLECTIONS = (20_000, 20, 20)
"""How many new objects, and how many collections of the younger ones, bring about a collection."""
KEYS_EVERY = 3.0
"""Seconds between two looks at the keys of encryption."""


class StartError(Exception):
    """The platform cannot start. The text says what to do."""


class ControlPlane:
    """Everything it starts is pushed on `stack`, which stops it in the other order. The folder is open."""

    server: ApiServer
    client: Client

    def __init__(
        self, folder: Folder, stack: AsyncExitStack, clock: Clock, rng: random.Random, registry: CollectorRegistry
    ) -> None:
        self.folder = folder
        self._stack = stack
        self._clock = clock
        self._random = rng
        self._registry = registry

    async def start(self, **seams: Any) -> None:
        """Not yet listening: only in-process clients reach it. `seams` are the node's, as `ApiServer` takes them. Raises
        StartError."""
        try:
            self._certificates = pki.ensure(self.folder.path / "pki", self._clock)
            front = pki.front_proxy(self._certificates.front, self._clock)
            database = self.folder.path / "store.db"
            self._sealing = Sealing(self.folder.encryption, self._clock)
            self._store = store = Store.open(database, self._clock, sealing=self._sealing)
        except (pki.PkiError, StoreError) as error:
            raise StartError(str(error)) from None
        self._stack.push_async_callback(store.close)
        self.server = ApiServer(
            store,
            clock=self._clock,
            random=self._random,
            metrics=ApiMetrics(store, self._registry, database),
            keys=SigningKeys(self._certificates.tokens, self._clock),
            front=front,
            **seams,
        )
        try:
            self._follow_issuers()
            self._audit()
        except (ConfigurationError, PolicyError) as error:
            raise StartError(f"{error}. Mend the file, or take it away.") from None
        await self.server.start()
        self._stack.push_async_callback(self.server.stop)
        self.client = Client(InProcessTransport(self.server, PLANE), user_agent="styr")
        await self._publish(front)

    def trusted(self) -> list[Controller]:
        """Controllers that the server hands something of its own."""
        signer = pki.Signer(self._certificates, self._clock)
        return controllers.trusted(self._certificates.ca.read_text(), Legacy(self.server.accounts), signer)

    async def listen(self, port: int) -> int:
        """The port it listens on. Writes the kubeconfig that names it. Raises StartError."""
        try:
            token = load_or_create_token(self.folder.token)
            authenticator = Authenticator({token: ADMIN}, self.server.tokens)
            self.server.tokens.static = authenticator.known
            tls = self._certificates.context()
            listener = await http.serve(
                self.server,
                port=port,
                tls=tls,
                authenticate=authenticator,
                passes=is_proxied,
                refused=self.server.refused,
            )
        except (pki.PkiError, http.PortTaken) as error:
            raise StartError(str(error)) from None
        self._stack.push_async_callback(listener.close)
        url = f"https://127.0.0.1:{listener.port}"
        pki.kubeconfig(self.folder.kubeconfig, server=url, ca=self._certificates.ca, token=token)
        await itself.publish(self.server, "127.0.0.1", listener.port, rfc3339(self._clock.time()))
        return listener.port

    async def seal_anew(self) -> None:
        """Follows the keys of encryption for as long as it runs: another one, and everything sealed is sealed anew."""
        while True:
            await self._clock.sleep(KEYS_EVERY)
            if self._sealing.follow():
                await self._store.reseal()

    async def _publish(self, front: FrontProxy) -> None:
        """By this, servers behind an APIService know whom to believe."""
        wanted = authentication_map(self._certificates.ca.read_text(), front)
        try:
            await self.client.create(CONFIG_MAP, wanted)
        except AlreadyExists:
            meta = wanted["metadata"]
            await self.client.patch(CONFIG_MAP, meta["name"], meta["namespace"], {"data": wanted["data"]})

    def _follow_issuers(self) -> None:
        audiences = self.server.accounts.audiences
        issuers = Oidc(self.folder.authentication, self._clock, audiences, compile=compile_expression)
        self._stack.callback(issuers.close)
        self.server.tokens.kinds.append(issuers)
        self.server.allows_anonymous = issuers.allows_anonymous

    def _audit(self) -> None:
        policy = Followed(self.folder.audit_policy, audit_policy.load, self._clock.monotonic, (PolicyError,))
        events = AuditLog(self.folder.audit_log, self._clock)
        self._stack.push_async_callback(events.close)
        lost = Value(
            "apiserver_audit_error_total", "Audit events lost.", lambda: [((), float(events.lost))], (), "counter"
        )
        Read(self._registry, lost)
        self.server.audit = Audit(follow(policy), events.append, self._clock, self._random)
