"""Hands a request on to the server that serves its group and version, as the user who asked: X-Remote-* headers, under the
front proxy's client certificate, which that server checks. What a client sends under these names is never handed on."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlencode

from styr.api import callout
from styr.api.aggregation.services import Remote
from styr.api.callout import CalloutFailed, Callouts, Endpoint
from styr.kinds.errors import Forbidden, Unavailable
from styr.kinds.resources import Object
from styr.kinds.transport import ANONYMOUS, Request, Response, User
from styr.serving.relay import Unreachable, Upstream, relay

PREFIX = "x-remote-"
_PLAIN = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """`authority` is the PEM of the CA that signed the certificate: other servers trust what comes under it."""

    authority: str
    certificate: Path
    key: Path


def authentication_map(clients: str, front: FrontProxy) -> Object:
    """The ConfigMap by which other servers know whom to believe: the CA (PEM) of clients, and that of the front proxy."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "client-ca-file": clients,
            "requestheader-client-ca-file": front.authority,
            "requestheader-allowed-names": '["front-proxy-client"]',
            "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-uid-headers": '["X-Remote-Uid"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        },
    }


class Proxy:
    """Without `front` other servers see no certificate, and take nobody's word for who asks."""

    def __init__(self, callouts: Callouts, front: FrontProxy | None) -> None:
        self._callouts = callouts
        self._front = front
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    async def forward(self, request: Request, remote: Remote) -> Response:
        """503 in plain text while nobody answers, as Kubernetes'. Raises Forbidden for a user who cannot be named."""
        if not remote.available:
            return Response(503, b"service unavailable\n", dict(_PLAIN))
        user = request.user or ANONYMOUS
        try:
            upstream = self._upstream(remote, _target(request), identity(user))
        except CalloutFailed:
            return Response(503, b"service unavailable\n", dict(_PLAIN))
        try:
            return await relay(_clean(request), upstream)
        except (Unreachable, OSError) as error:
            text = f"error trying to reach service: {callout.reason(error)}\n"
            return Response(503, text.encode(), dict(_PLAIN))

    async def look(self, remote: Remote, path: str) -> tuple[int, bytes]:
        """GET of a document of the other server's, by ourselves. Raises CalloutFailed, Unreachable, Unavailable."""
        user = User("system:kube-aggregator", ("system:masters",))
        headers = {"accept": "application/json", "host": remote.host}
        response = await relay(
            Request("GET", path, headers=headers), self._upstream(remote, path, identity(user), checks=False)
        )
        assert not isinstance(response.body, bytes)
        parts: list[bytes] = []
        try:
            async for part in response.body:
                parts.append(part)
                if sum(map(len, parts)) > callout.MAX_ANSWER:
                    raise Unavailable(f"{path} of {remote.name} has more than {callout.MAX_ANSWER} bytes")
        finally:
            await response.body.aclose()  # type: ignore[attr-defined]
        return response.status, b"".join(parts)

    def resolve(self, remote: Remote) -> Endpoint:
        """Raises CalloutFailed."""
        port = int(remote.service.get("port", 443))
        return self._callouts.resolve(f"{remote.host}:{port}", port, remote.service)

    def _upstream(
        self, remote: Remote, target: str, who: tuple[tuple[str, str], ...], *, checks: bool = True
    ) -> Upstream:
        where = self.resolve(remote)
        context = self._context(remote.bundle, checks and not remote.unchecked)
        return Upstream(where.host, where.port, target, context, server_name=remote.host, repeated=who)

    def _context(self, bundle: str, checks: bool) -> ssl.SSLContext:
        key = (bundle if checks else "", checks)
        found = self._contexts.get(key)
        if found is None:
            if len(self._contexts) > 64:
                self._contexts.clear()
            found = self._contexts[key] = callout.fresh_trust(bundle if checks else "")
            if not checks:
                found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
            if self._front is not None:
                found.load_cert_chain(self._front.certificate, self._front.key)
        return found


def identity(user: User) -> tuple[tuple[str, str], ...]:
    """Raises Forbidden for names that would break out of a header."""
    found = tuple(_headers(user))
    if any(not text.isprintable() for _, text in found):
        raise Forbidden("the user's name, a group or an extra value cannot stand in a header")
    return tuple((name, text.encode().decode("latin-1")) for name, text in found)


def _headers(user: User) -> Iterator[tuple[str, str]]:
    yield "x-remote-user", user.name
    if user.uid:
        yield "x-remote-uid", user.uid
    for group in user.groups:
        yield "x-remote-group", group
    for key, values in user.extra:
        for value in values:
            yield f"x-remote-extra-{quote(key.lower(), safe='')}", value


def _clean(request: Request) -> Request:
    """Without what only we may say."""
    kept: Mapping[str, str] = {name: value for name, value in request.headers.items() if not name.startswith(PREFIX)}
    return replace(request, headers=kept)


def _target(request: Request) -> str:
    if request.target:
        return request.target
    query = urlencode(request.query)
    return quote(request.path) + (f"?{query}" if query else "")
