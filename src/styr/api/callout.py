"""HTTPS to somebody whom an object names: webhooks of admission and conversion, the servers behind an APIService. Called by
`admission.webhooks`, `conversion`, `aggregation`. Calls `kit.http`; reads Services and their EndpointSlices from the store.

`clientConfig` is `url`, or `service` (its endpoints on this machine; the certificate must be for NAME.NAMESPACE.svc), with
`caBundle`. Texts of failures are those of Kubernetes' Go client, because people search for them.

    CalloutFailed        nobody answered, or not with what was asked for; str() is the reason
    Unasked              a CalloutFailed before anybody was asked: what was configured cannot be used
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import random
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from styr.api.store.commit import Store
from styr.api.store.records import ObjectKey
from styr.kinds.resources import ENDPOINT_SLICE, SERVICE, Object
from styr.kit import http

MAX_ANSWER = 6 << 20
"""Bytes of an answer: two objects of the largest size."""
AT_ONCE = 1000
"""Questions to one peer."""
SPARE = 8
"""Idle connections to one peer that stay open: a TLS handshake takes longer than most answers."""
MAX_POOLS = 64
SERVICE_LABEL = "kubernetes.io/service-name"


class CalloutFailed(Exception):
    pass


class Unasked(CalloutFailed):
    pass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect to, and which name the certificate must have."""

    host: str
    port: int
    server_name: str


class Callouts:
    """`random` chooses among the endpoints of a service."""

    def __init__(self, store: Store, source: random.Random) -> None:
        self._store = store
        self._random = source
        self._pools: OrderedDict[tuple[Endpoint, str], http.Pool] = OrderedDict()

    async def close(self) -> None:
        """Closes what is kept open."""
        while self._pools:
            await self._forget()

    async def post(self, config: Mapping[str, Any], body: bytes, timeout: float) -> bytes:
        """The body of a 2xx answer. `timeout` is in seconds, and the query tells it. Raises CalloutFailed, Unasked."""
        context = trust(str(config.get("caBundle") or ""))
        url, target, host, endpoint = self._place(config, f"?timeout={timeout:g}s")
        where = endpoint
        try:
            where = where or self.resolve(host, int(config["service"].get("port", 443)), config["service"])
            pool = await self._pool(where, str(config.get("caBundle") or ""), context)
            response = await pool.request(
                "POST",
                target,
                host_header=host,
                headers={"content-type": "application/json", "accept": "application/json", "user-agent": "styr"},
                body=body,
                timeout=timeout,
                max_body=MAX_ANSWER,
                repeats=True,
            )
        except (CalloutFailed, http.HttpError, ValueError) as error:
            place = f"{where.host}:{where.port}" if where else ""
            raise CalloutFailed(f'Post "{url}": {reason(error, place)}') from None
        if not 200 <= response.status < 300:
            raise CalloutFailed(_refused(response))
        return response.body

    async def _pool(self, where: Endpoint, bundle: str, context: ssl.SSLContext) -> http.Pool:
        """Connections are shared by those who trust the same bundle, and by nobody else."""
        pool = self._pools.get((where, bundle))
        if pool is None:
            if len(self._pools) >= MAX_POOLS:
                await self._forget()
            pool = http.Pool(
                where.host, where.port, ssl=context, limit=AT_ONCE, server_name=where.server_name, spare=SPARE
            )
            pool = self._pools.setdefault((where, bundle), pool)
        self._pools.move_to_end((where, bundle))
        return pool

    async def _forget(self) -> None:
        """The pool that was not used for longest. Its requests under way go on."""
        _, pool = self._pools.popitem(last=False)
        pool.spare = 0
        await pool.close()

    def _place(self, config: Mapping[str, Any], query: str) -> tuple[str, str, str, Endpoint | None]:
        """(URL for errors, request target, Host header, endpoint; None for that of a service)."""
        service = config.get("service")
        if service:
            name = f"{service['name']}.{service['namespace']}.svc"
            port = service.get("port", 443)
            path = "/" + str(service.get("path") or "").lstrip("/")
            return f"https://{name}:{port}{path}{query}", path + query, f"{name}:{port}", None
        url = str(config.get("url") or "")
        parts = urlsplit(url)
        host = parts.hostname or ""
        endpoint = Endpoint(host, parts.port or 443, host)
        return url + query, (parts.path or "/") + query, parts.netloc, endpoint

    def resolve(self, host: str, port: int, service: Mapping[str, Any]) -> Endpoint:
        """An endpoint of a Service's port that is ready. Raises CalloutFailed."""
        namespace, name = str(service["namespace"]), str(service["name"])
        record = self._store.get(ObjectKey(SERVICE.group_resource, namespace, name))
        if record is None:
            raise CalloutFailed(f'service "{name}" not found')
        obj = record.decode()
        server_name = host.rpartition(":")[0]
        if obj["spec"].get("type") == "ExternalName":
            return Endpoint(str(obj["spec"].get("externalName")), port, server_name)
        ports = [entry for entry in obj["spec"].get("ports") or () if entry.get("port") == port]
        if not ports:
            raise CalloutFailed(f'no service port {port} found for service "{name}"')
        found = sorted(self._endpoints(namespace, name, str(ports[0].get("name") or "")))
        if not found:
            raise CalloutFailed(f'no endpoints available for service "{name}"')
        address, number = self._random.choice(found)
        return Endpoint(address, number, server_name)

    def _endpoints(self, namespace: str, name: str, port_name: str) -> set[tuple[str, int]]:
        found: set[tuple[str, int]] = set()
        for (place, _), record in self._store.state(ENDPOINT_SLICE.group_resource).items():
            if place != namespace or name.encode() not in record.data:
                continue
            piece = record.decode()
            if (piece["metadata"].get("labels") or {}).get(SERVICE_LABEL) == name:
                found |= _ready(piece, port_name)
        return found


def _ready(piece: Object, port_name: str) -> set[tuple[str, int]]:
    numbers = [p["port"] for p in piece.get("ports") or () if (p.get("name") or "") == port_name and p.get("port")]
    return {
        (address, number)
        for endpoint in piece.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or ()
        for number in numbers
    }


def trust(bundle: str) -> ssl.SSLContext:
    """A context that trusts a base64 PEM bundle, or the machine's own authorities for "". Raises Unasked."""
    return _context(hashlib.sha256(bundle.encode()).digest(), bundle)


@lru_cache(64)
def _context(digest: bytes, bundle: str) -> ssl.SSLContext:
    return fresh_trust(bundle)


def fresh_trust(bundle: str) -> ssl.SSLContext:
    """The same, of one's own: to be given a certificate. Raises Unasked."""
    if not bundle:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=base64.b64decode(bundle).decode("ascii"))
    except (ssl.SSLError, binascii.Error, ValueError):
        raise Unasked("unable to load root certificates: unable to parse bytes as PEM block") from None


def reason(error: BaseException, where: str = "") -> str:
    """What went wrong, in the words of Go where people know them. `where` is HOST:PORT."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"tls: failed to verify certificate: x509: {_verification(seen)}"
        if isinstance(seen, TimeoutError):
            return "context deadline exceeded"
        if isinstance(seen, ConnectionRefusedError):
            return f"dial tcp{' ' * bool(where)}{where}: connect: connection refused"
        seen = seen.__cause__
    if isinstance(error, http.Disconnected):
        return f"EOF ({error})"
    return str(error)


def _verification(error: ssl.SSLCertVerificationError) -> str:
    text = error.verify_message or str(error)
    known = ("self-signed certificate", "self signed certificate", "unable to get local issuer certificate")
    if any(word in text for word in known):
        return "certificate signed by unknown authority"
    return text


def _refused(response: http.HttpResponse) -> str:
    quoted = json.dumps(response.body[:2048].decode("utf-8", "replace").strip(), ensure_ascii=False)
    if response.status == 404:
        return "the server could not find the requested resource"
    if response.status >= 500:
        return f"an error on the server ({quoted}) has prevented the request from succeeding"
    return f"the server rejected our request with status {response.status}: {quoted}"
