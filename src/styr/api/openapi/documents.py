"""The OpenAPI documents: /openapi/v3 with one document for each group-version, and /openapi/v2, as JSON and as protobuf.

Called by the server for GETs below /openapi. Calls `builtin` (what a real server publishes), `custom` (what Custom-
ResourceDefinitions add), `convert` and `gnostic`. A document is made in a thread when it is first asked for, kept compressed,
and made again when what it tells of has changed; its hash is that of what it is made from, so that the index costs nothing.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec

from styr.api.accept import best
from styr.api.discovery import Documented, Served
from styr.api.openapi import builtin, custom, gnostic
from styr.api.openapi.builtin import Table
from styr.api.openapi.convert import Json, definition_v2, path_v3
from styr.api.openapi.foreign import Foreign, merge
from styr.kinds.errors import NotAcceptable
from styr.kinds.resources import Resource
from styr.kinds.transport import Request, Response
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.kit.memory import trim
from styr.version import KUBERNETES_VERSION, __version__

log = Log("styr.api.openapi")

_JSON = "application/json"
_PROTOBUF = {version: f"application/com.github.proto-openapi.spec.{version}.v1.0+protobuf" for version in ("v2", "v3")}
_V2 = "v2"
"""The name of the one document of OpenAPI v2, which tells of everything."""
_ALWAYS = (".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version")
"""Documents of v3 that tell of no resource."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one document tells of, as it was at one time."""

    entries: Sequence[Documented]
    fingerprint: str
    foreign: Sequence[Foreign] = ()


@dataclass(slots=True)
class _Made:
    """One document in one form, compressed."""

    fingerprint: str
    body: bytes


class OpenApi:
    """`documented` tells what is served now; it is asked again whenever `generation` gives another number. `others` are the
    documents of v3 that other servers have, `foreign` theirs of v2."""

    def __init__(
        self,
        documented: Callable[[], Sequence[Documented]],
        generation: Callable[[], int],
        clock: Clock,
        others: Callable[[], Sequence[str]] = tuple,
        foreign: Callable[[], Awaitable[Sequence[Foreign]]] | None = None,
    ) -> None:
        self._others, self._foreign = others, foreign
        self._documented, self._generation, self._clock = documented, generation, clock
        self._seen = -1
        self._parts: dict[str, _Part] = {}
        self._made: dict[tuple[str, str], _Made] = {}
        self._schemas: dict[int, tuple[Mapping[str, object] | None, bytes]] = {}
        self._making = asyncio.Lock()

    async def respond(self, request: Request) -> Response | None:
        """The answer to a GET at or below /openapi; None when there is nothing. Raises NotAcceptable."""
        path = request.path.rstrip("/")
        await self._refresh()
        if path == "/openapi/v3":
            return _tagged(request, self._index(), _JSON)
        name = _V2 if path == "/openapi/v2" else path.removeprefix("/openapi/v3/")
        part = self._parts.get(name)
        if part is None or (name == _V2 and path != "/openapi/v2"):
            return None
        if name == _V2 and self._foreign is not None:
            part = _with(part, await self._foreign())
        asked = request.param("hash") if name != _V2 else ""
        if asked and asked != part.fingerprint:
            return Response(301, b"", {"location": self._url(name), "vary": "Accept"})
        response = await self._document(request, name, part)
        if asked:
            year = datetime.fromtimestamp(self._clock.time(), UTC) + timedelta(days=365)
            response.headers |= {"cache-control": "public, immutable", "expires": format_datetime(year, usegmt=True)}
        return response

    async def _refresh(self) -> None:
        async with self._making:
            if self._seen == (generation := self._generation()):
                return
            everything = list(self._documented())
            parts = {_V2: everything, **parts_of(everything)}
            prints = await asyncio.to_thread(self._prints, parts)
            self._seen, self._parts = generation, {name: _Part(told, prints[name]) for name, told in parts.items()}
            for key in [key for key in self._made if key[0] not in parts]:
                del self._made[key]

    def _prints(self, parts: Mapping[str, Sequence[Documented]]) -> dict[str, str]:
        """Of each document: of all that it tells of. Those of schemas are kept, as long as these are there."""
        known, self._schemas = self._schemas, {}
        prints: dict[int, bytes] = {}
        for entry in parts[_V2]:
            key = id(entry.schema)
            schema = known.get(key) or (entry.schema, hashlib.sha256(msgspec.json.encode(entry.schema)).digest())
            self._schemas[key] = schema
            told = msgspec.json.encode((entry.served, entry.custom, entry.list_kind, entry.selectable))
            prints[id(entry)] = hashlib.sha256(schema[1] + told).digest()
        found = {}
        for name, entries in parts.items():
            text = f"{name} {__version__} {builtin.digest()} ".encode()
            text += b"".join(sorted(prints[id(entry)] for entry in entries))
            found[name] = hashlib.sha512(text).hexdigest().upper()
        return found

    def _url(self, name: str) -> str:
        return f"/openapi/v3/{name}?hash={self._parts[name].fingerprint}"

    def _index(self) -> bytes:
        paths = {name: {"serverRelativeURL": self._url(name)} for name in sorted(self._parts) if name != _V2}
        paths |= {name: {"serverRelativeURL": f"/openapi/v3/{name}"} for name in self._others()}
        return json.dumps({"paths": paths}, separators=(",", ":")).encode()

    async def _document(self, request: Request, name: str, part: _Part) -> Response:
        protobuf = _PROTOBUF["v2" if name == _V2 else "v3"]
        media = best(request.headers.get("accept", ""), (_JSON, protobuf.replace(".v1.0", "@v1.0"), protobuf))
        if media is None:
            raise NotAcceptable(f"only the following media types are accepted: {_JSON}, {protobuf}")
        form = "json" if media == _JSON else "protobuf"
        headers = {"etag": f'"{part.fingerprint}"', "vary": "Accept, Accept-Encoding"}
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(304, b"", headers)
        headers["content-type"] = _JSON if form == "json" else protobuf
        body = await self._make(name, form, part)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(200, body, headers | {"content-encoding": "gzip"})
        return Response(200, await asyncio.to_thread(gzip.decompress, body), headers)

    async def _make(self, name: str, form: str, part: _Part) -> bytes:
        async with self._making:
            known = self._made.get((name, form))
            if known is None or known.fingerprint != part.fingerprint:
                body = await asyncio.to_thread(_build, name, form, part)
                await asyncio.to_thread(trim)  # the table, and what was made of it, took 8 MB for a moment
                known = self._made[name, form] = _Made(part.fingerprint, body)
        return known.body


def _tagged(request: Request, body: bytes, media: str) -> Response:
    tag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(304, b"", {"etag": tag})
    return Response(200, body, {"content-type": media, "etag": tag, "cache-control": "no-cache, private"})


def parts_of(everything: Sequence[Documented]) -> dict[str, list[Documented]]:
    """What each document of v3 tells of. Groups without custom kinds have one of their own, as the roots of discovery do."""
    parts: dict[str, list[Documented]] = {name: [] for name in _ALWAYS}
    for entry in everything:
        resource = entry.served.resource
        parts.setdefault(_group_version(resource), []).append(entry)
        if resource.group and not entry.custom:
            parts.setdefault(f"apis/{resource.group}", []).append(entry)
    return parts


def _group_version(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


# --- building, in a thread -------------------------------------------------------------------------------------------


def _with(part: _Part, foreign: Sequence[Foreign]) -> _Part:
    if not foreign:
        return part
    text = part.fingerprint + "".join(f" {other.digest} {','.join(other.roots)}" for other in foreign)
    return _Part(part.entries, hashlib.sha512(text.encode()).hexdigest().upper(), foreign)


def _build(name: str, form: str, part: _Part) -> bytes:
    table = builtin.load()
    if name != _V2:
        return _packed("v3", form, v3(table, name, part.entries))
    document = v2(table, part.entries)
    for other in part.foreign:
        try:
            merge(document, other)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, struct.error) as error:
            log.warning("another server's OpenAPI is left out", roots=",".join(other.roots), reason=repr(error)[:300])
    return _packed("v2", form, document)


def _packed(version: str, form: str, document: Json) -> bytes:
    if form == "json":
        return gzip.compress(encoded(document), 6, mtime=0)
    return gzip.compress(gnostic.encode(version, document), 6, mtime=0)


def _raw(value: Json) -> msgspec.Raw:
    """One path or definition at a time: as objects, all of them would take 30 MB."""
    return msgspec.Raw(msgspec.json.encode(value))


def encoded(document: Json) -> bytes:
    return msgspec.json.encode(document)


def v3(table: Table, name: str, entries: Sequence[Documented]) -> Json:
    paths = {path: _raw(path_v3(item, table.parameters)) for path, item in _paths(table, entries, name)}
    own = _own(table, entries)
    schemas: dict[str, msgspec.Raw] = {}
    for entry in own:
        schemas |= _definitions(table, entry, v3=True)
    reached = builtin.reached(table, map(bytes, (*paths.values(), *schemas.values())))
    components: Json = {"schemas": found} if (found := reached | schemas) else {}
    document: Json = {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": components}
    if own:
        components["schemas"] |= {name: told for name, told in table.custom.definitions.items() if name in reached}
        document["info"] = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
    else:
        components["securitySchemes"] = _SECURITY
    return document


def v2(table: Table, entries: Sequence[Documented]) -> Json:
    paths = {path: _raw(item) for path, item in _paths(table, entries)}
    own: dict[str, msgspec.Raw] = {}
    for entry in _own(table, entries):
        own |= _definitions(table, entry, v3=False)
    parameters = msgspec.json.encode(table.parameters)
    reached = builtin.reached(table, map(bytes, (*paths.values(), *own.values(), parameters)))
    definitions = {name: _raw(definition_v2(msgspec.json.decode(raw))) for name, raw in reached.items()}
    return {
        "swagger": "2.0",
        "info": _INFO,
        "paths": paths,
        "definitions": definitions | own,
        "parameters": table.parameters,
        "securityDefinitions": _SECURITY,
        "security": [{"BearerToken": []}],
    }


_INFO = {"title": "Kubernetes", "version": ".".join(KUBERNETES_VERSION.removeprefix("v").split(".")[:2])}
_SECURITY = {
    "BearerToken": {
        "type": "apiKey",
        "description": "Bearer Token authentication",
        "name": "authorization",
        "in": "header",
    }
}


def _definitions(table: Table, entry: Documented, *, v3: bool) -> dict[str, msgspec.Raw]:
    made = custom.definitions(
        table.custom, entry.served.resource, entry.list_kind, entry.schema, entry.selectable, v3=v3
    )
    return {name: _raw(schema) for name, schema in made.items()}


_VERBS = {
    "post": "create",
    "put": "update",
    "watchlist": "watch",
}
"""`x-kubernetes-action` -> the verb of discovery, where they differ."""


def _paths(table: Table, entries: Sequence[Documented], name: str = "") -> Iterator[tuple[str, Json]]:
    """The paths of v2 that are served, of one document of v3 or of all."""
    served = {(e.served.resource.group, e.served.resource.version, e.served.resource.plural): e.served for e in entries}
    homes = set(_ALWAYS)
    for group, version, _ in served:
        homes |= {f"apis/{group}", f"apis/{group}/{version}"} if group else {f"api/{version}"}
    for path, raw in table.paths.items():
        if name and _home(path) != name:
            continue
        parts = path.strip("/").split("/")
        if parts[0] in ("api", "apis") and len(parts) > (2 if parts[0] == "api" else 3):
            item = _kept(msgspec.json.decode(raw), parts, served)
        else:
            item = msgspec.json.decode(raw) if "/".join(parts) in homes else None
        if item:
            yield path, item
    for entry in _own(table, entries):
        for path, item in custom.paths(table.custom, entry.served.resource, entry.list_kind).items():
            if kept := _kept(item, path.strip("/").split("/"), served):
                yield path, kept


def _own(table: Table, entries: Sequence[Documented]) -> list[Documented]:
    """What the table does not have."""
    return [entry for entry in entries if entry.custom or entry.served.resource.path("{namespace}") not in table.paths]


def _home(path: str) -> str:
    """The document of v3 that a path stands in."""
    parts = path.strip("/").split("/")
    return "/".join(parts[: {"api": 2, "apis": 3}.get(parts[0], len(parts))])


def _kept(item: Json, parts: list[str], served: Mapping[tuple[str, str, str], Served]) -> Json | None:
    """The operations of a path that are served; None when none is."""
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    if rest[0] == "watch":
        rest = rest[1:]
    if rest[:2] == ["namespaces", "{namespace}"]:
        rest = rest[2:]
    resource = served.get((group, version, rest[0]))
    if resource is None:
        return None
    verbs: tuple[str, ...] = resource.verbs
    if len(rest) > 2:
        verbs = next((sub.verbs for sub in resource.subresources if sub.name == rest[2]), ())
    kept = {
        method: operation
        for method, operation in item.items()
        if method != "parameters" and _does(operation["x-kubernetes-action"], verbs)
    }
    return kept | ({"parameters": item["parameters"]} if "parameters" in item else {}) if kept else None


def _does(action: str, verbs: Sequence[str]) -> bool:
    return bool(verbs) if action == "connect" else _VERBS.get(action, action) in verbs
