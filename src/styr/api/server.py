"""The API server as a `Handler`: finds the verb for a request, asks authorization, turns errors into Status.

Made by `plane` (and tests); reached over TLS through `http.serve`, or by the in-process transport. `Request.user` is set by
whoever hands the request in. Calls verbs, discovery, OpenAPI, reviews; never the database.
"""

from __future__ import annotations

import random as randoms
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from styr.api import bootstrap, discovery, health, media, reviews, usage
from styr.api.admission.certificates import CertificateRequests
from styr.api.admission.chain import Plugin
from styr.api.admission.plugins import Admission
from styr.api.aggregation.availability import Availability
from styr.api.aggregation.proxy import FrontProxy, Proxy
from styr.api.aggregation.services import Services
from styr.api.authn import discovery as issuer
from styr.api.authn.accounts import ServiceAccounts
from styr.api.authn.keys import SigningKeys
from styr.api.authn.tokens import Tokens
from styr.api.authz import Attributes as AccessAttributes
from styr.api.authz import Authorizer, Rbac
from styr.api.call import Call, Core, warn
from styr.api.filters import impersonation
from styr.api.filters.asked import Asked
from styr.api.filters.asked import read as read_asked
from styr.api.filters.audit import Audit, Event
from styr.api.filters.priority import Place, Priority
from styr.api.looks import dress
from styr.api.metadata import new_uid
from styr.api.metrics import ApiMetrics
from styr.api.registry import Registry, ServedResource
from styr.api.routes import Route, parse, verb_of
from styr.api.store.commit import Store
from styr.api.store.records import Change
from styr.api.table import Form, negotiate
from styr.api.usage import ResourceMetrics
from styr.api.verbs import subresources
from styr.api.verbs.functions import FUNCTIONS
from styr.kinds.errors import (
    ApiError,
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    Unauthorized,
    Unavailable,
)
from styr.kinds.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from styr.kinds.seams import PodLogs, PodStreams, UsageSource
from styr.kinds.transport import ANONYMOUS, Handler, Request, Response, User
from styr.kit.clock import Clock, rfc3339
from styr.kit.log import Log
from styr.serving import wire

if TYPE_CHECKING:
    from styr.api.openapi.documents import OpenApi

log = Log("styr.api")

_FOR_PEOPLE = ("/api/", "/apis/", "/version")
"""Paths whose answers are indented for people, or in YAML."""

_RBAC_KEYS = frozenset(kind.group_resource for kind in (ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING))


@dataclass(slots=True)
class _Seen:
    """What a request turned out to be, for the metrics."""

    verb: str = ""
    resource: str = ""
    place: Place | None = None
    event: Event | None = None


class ApiServer:
    """`authorizer=None` is RBAC by the objects in the store; without `metrics` they are counted for nobody; `plugins` of
    admission come after Styr's own; `keys` sign ServiceAccount tokens (None: one that is gone with the process). Call `start`
    before the first request."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        random: randoms.Random,
        logs: PodLogs | None = None,
        streams: PodStreams | None = None,
        use: UsageSource | None = None,
        authorizer: Authorizer | None = None,
        metrics: ApiMetrics | None = None,
        plugins: Iterable[Plugin] = (),
        keys: SigningKeys | None = None,
        front: FrontProxy | None = None,
    ) -> None:
        self.metrics = metrics or ApiMetrics(store)
        self.registry = Registry()
        self.store = store
        self.rbac = Rbac()
        self._authorize: Authorizer = authorizer or self.rbac
        guard = None if authorizer else self.rbac.check_escalation
        self._clock = clock
        requests = CertificateRequests(self._authorize, lambda: rfc3339(clock.time()))
        self._admission = Admission(
            store, self.registry, clock, random, self._authorize, self.metrics, (requests, *plugins)
        )
        self.chain = self._admission.chain
        self.accounts = ServiceAccounts(store, keys or SigningKeys(None, clock), clock, random)
        self.tokens = Tokens(self.accounts, audiences=self.accounts.audiences)
        self._core = Core(
            store,
            self.registry,
            clock,
            random,
            logs,
            self.metrics,
            guard,
            self._authorize,
            self.chain,
            self.accounts,
            streams,
            converter=self._admission.converter,
        )
        self._usage = ResourceMetrics(store, use) if use is not None else None
        self._services = Services()
        self._proxy = Proxy(self._admission.callouts, front)
        self._availability = Availability(
            store, self.registry, self._services, self._proxy, clock, lambda: new_uid(random)
        )
        self.audit: Audit | None = None
        self.priority = Priority(store, clock)
        self.metrics.watch_levels(self.priority.levels)
        self.allows_anonymous: Callable[[str], bool] | None = None
        """May a path be asked for without a credential, before roles are looked at? None: any."""
        self._mounts: dict[str, Handler] = {}
        self._openapi: OpenApi | None = None
        self._ready = False

    async def start(self) -> None:
        """Loads the registry and RBAC, writes what every server has (namespaces, default roles), then is ready."""
        self.registry.follow(self.store)
        self._admission.start()
        self._services.follow(self.store)
        for key in _RBAC_KEYS:
            for record in self.store.state(key).values():
                self.rbac.put(record.decode())
        self.store.on_commit(self._changed)
        await self.store.write(lambda txn: bootstrap.install(self._core, txn))
        self.priority.start()
        await self._availability.start()
        self._ready = True

    async def stop(self) -> None:
        """Ends what runs beside the requests."""
        await self._availability.stop()
        await self._admission.callouts.close()

    def mount(self, prefix: str, handler: Handler) -> None:
        """Requests at and below `prefix` go to `handler`, once the user may (`nonResourceURLs` in RBAC)."""
        self._mounts[prefix.rstrip("/") + "/"] = handler

    def refused(self, request: Request) -> None:
        """Somebody's credential was no good: `serving` has answered already."""
        if self.audit is not None:
            self.audit.refused(request, read_asked(request, parse(request.path)))

    async def __call__(self, request: Request) -> Response:
        began, seen = self._clock.monotonic(), _Seen()
        self.metrics.began(request.method)
        code, broke = 499, False
        try:
            response = await self._answer(request, seen)
            code = response.status
        except ApiError as error:
            code, response = error.status_code, wire.error_response(error)
        except Exception as error:
            log.error("a request failed", error, method=request.method, path=request.path)
            broke = True
            code, response = 500, wire.error_response(InternalError(f"Internal error occurred: {error!r}"))
        finally:
            seconds = self._clock.monotonic() - began
            self.metrics.ended(request.method, seen.verb, seen.resource, code, seconds)
        if request.path.startswith(_FOR_PEOPLE):
            response = dress(request, response)
        if seen.place is not None:
            response.headers.update(seen.place.headers)
        return response if seen.event is None else seen.event.end(response, broke=broke)

    async def _answer(self, request: Request, seen: _Seen) -> Response:
        path = request.path
        if self.allows_anonymous is not None and request.user == ANONYMOUS and not self.allows_anonymous(path):
            raise Unauthorized("Unauthorized")
        user = request.user or ANONYMOUS
        route = parse(path)
        asked = read_asked(request, route)
        if self.audit is not None:
            seen.event = self.audit.begin(request, user, asked)
        request.user = impersonation.acting(user, request.headers, self._authorize)
        if seen.event is not None and request.user is not user:
            seen.event.acting = request.user
        for prefix, handler in self._mounts.items():
            if path.startswith(prefix) or path == prefix[:-1]:
                return await self._mounted(request, handler)
        seen.place = self.priority.place(request.user, asked)
        seat = await self.priority.enter(seen.place, request.user, asked, request)
        try:
            if route is None:
                return await self._plain(request)
            return await self._resource(request, route, asked, seen)
        finally:
            if seat is not None:
                seat.release()

    async def _resource(self, request: Request, route: Route, asked: Asked, seen: _Seen) -> Response:
        if (remote := self._services.find(route.group, route.version)) is not None:
            self._allow(request.user or ANONYMOUS, asked, request, audited=seen.event is not None)
            return await self._proxy.forward(request, remote)
        virtual = discovery_kind(route)
        served = self.registry.find(route.group, route.version, route.resource)
        verb = verb_of(route, request)
        if served is not None and virtual is None:
            seen.verb, seen.resource = verb, served.key
            self._check_scope(served, route, verb)
        user = request.user or ANONYMOUS
        self._allow(user, asked, request, audited=seen.event is not None)
        if virtual is not None:
            if request.method != "POST":
                raise _not_allowed(request.method)
            if bool(route.namespace) != virtual.startswith(("Local", "Binding")):
                raise _nothing_there()
            if negotiate(request.headers.get("accept", "")) is not Form.OBJECT:
                raise NotAcceptable("only the following media types are accepted: application/json")
            if virtual == "Binding":
                return await self._bind(request, route)
            now = self._clock.time()
            return await reviews.review(self.rbac, self.tokens, request, virtual, route.namespace, now)
        if served is None and self._usage is not None and (route.group, route.version) == (usage.GROUP, usage.VERSION):
            return await self._usage.answer(request, route)
        if served is None:
            raise _nothing_there()
        return await self._perform(served, route, verb, request)

    def _allow(self, user: User, asked: Asked, request: Request, *, audited: bool) -> None:
        """Raises Forbidden. The audit is told by which binding."""
        if audited:
            told = AccessAttributes(
                asked.verb, asked.group, asked.resource, asked.subresource, asked.namespace, asked.name
            )
            allowed, reason = self.rbac.explain(user, told)
            request.annotations["authorization.k8s.io/decision"] = "allow" if allowed else "forbid"
            request.annotations["authorization.k8s.io/reason"] = reason
        self._authorize(
            user, asked.verb, asked.group, asked.resource, asked.subresource, asked.namespace, asked.name, asked.path
        )

    async def _bind(self, request: Request, route: Route) -> Response:
        """A Binding that names its pod in its body, as old schedulers send it."""
        pods = self.registry.find("", "v1", "pods")
        assert pods is not None
        call = Call(self._core, pods, request, route.namespace, subresource="binding", annotations=request.annotations)
        call.name = str(media.decode_object(call.body, call.content_type)["metadata"].get("name") or "")
        call.waits = self.chain.waits(pods, "binding")
        return await subresources.bind(call)

    async def _perform(self, served: ServedResource, route: Route, verb: str, request: Request) -> Response:
        sub = route.subresource
        if sub and sub not in served.subresources:
            raise _nothing_there()
        if not sub and verb not in served.verbs:
            raise _not_allowed(request.method)
        function = FUNCTIONS.get((verb, sub))
        if function is None:
            raise _not_allowed(request.method)
        call = Call(self._core, served, request, route.namespace, route.name, sub, annotations=request.annotations)
        if sub in ("", "status", "scale"):
            call.form = negotiate(request.headers.get("accept", ""), verb)
        if verb == "watch" and route.name:
            request.query.append(("fieldSelector", f"metadata.name={route.name}"))
        if verb not in ("get", "list", "watch"):
            call.waits = served.conversion is not None or self.chain.waits(served, sub)
        try:
            return await function(call)
        except ApiError as error:
            if not call.warnings:
                raise
            return warn(wire.error_response(error), call.warnings)

    def _check_scope(self, served: ServedResource, route: Route, verb: str) -> None:
        if bool(route.namespace) and not served.resource.namespaced:
            raise _nothing_there()
        if served.resource.namespaced and not route.namespace and verb not in ("list", "watch"):
            if verb in ("create", "deletecollection"):
                raise MethodNotAllowed(f"{verb} of {served.key} needs a namespace in the path")
            raise _nothing_there()

    async def _plain(self, request: Request) -> Response:
        path, user = request.path, request.user or ANONYMOUS
        self._authorize(user, request.method.lower(), "", "", "", "", "", path)
        if request.method not in ("GET", "HEAD"):
            raise _not_allowed(request.method)
        if path == "/readyz" and not self._ready:
            raise Unavailable("the server is starting")
        found: Response | None = None
        if (remote := self._services.of_path(path)) is not None:
            return await self._proxy.forward(request, remote)
        if path.startswith("/openapi/"):
            found = await self._documents().respond(request)
        elif health.is_health(path):
            found = health.respond(path, request.query)
        elif discovery.is_discovery(path):
            found = discovery.discover(path, request.headers, self._discovered())
        elif issuer.is_ours(path):
            found = issuer.respond(path, self.accounts.keys, request.headers.get("host", ""))
        if found is None:
            raise _nothing_there()
        return found

    def _discovered(self) -> Sequence[discovery.Served]:
        own = usage.SERVED if self._usage is not None and not self._services.find(usage.GROUP, usage.VERSION) else ()
        return (*self.registry.discovery(), *own, *self._services.discovered)

    async def _mounted(self, request: Request, handler: Handler) -> Response:
        user = request.user or ANONYMOUS
        if user == ANONYMOUS:
            # git sends its credential only once it is asked for one.
            return Response(
                401, b"a credential is needed: run `styr link`\n", {"www-authenticate": 'Basic realm="styr"'}
            )
        self._authorize(user, request.method.lower(), "", "", "", "", "", request.path)
        return await handler(request)

    def _documents(self) -> OpenApi:
        if self._openapi is None:
            from styr.api.aggregation.documents import Documents  # late: most servers are never asked
            from styr.api.openapi.documents import OpenApi

            more = usage.DOCUMENTED if self._usage is not None else ()
            self._openapi = OpenApi(
                lambda: [*self.registry.documented(), *more],
                lambda: self.registry.generation,
                self._clock,
                self._services.documents,
                Documents(self._services, self._proxy, self._clock).read,
            )
        return self._openapi

    def _changed(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.key.resource in _RBAC_KEYS:
                if change.new is None:
                    self.rbac.remove(change.shown.decode())
                else:
                    self.rbac.put(change.new.decode())


def discovery_kind(route: Route) -> str | None:
    """The kind of a review, for a path of one."""
    for entry in discovery.VIRTUAL:
        resource = entry.resource
        if (resource.group, resource.version, resource.plural) == (route.group, route.version, route.resource):
            return resource.kind
    return None


def _nothing_there() -> NotFound:
    return NotFound("the server could not find the requested resource")


def _not_allowed(method: str) -> ApiError:
    if not method.isalpha():
        return BadRequest(f"{method!r} is no method")
    return MethodNotAllowed("the server does not allow this method on the requested resource")
