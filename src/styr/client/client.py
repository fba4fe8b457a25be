"""The verbs of the Kubernetes API as coroutines over a `Transport`. Controllers and `cli` call it; it holds no state,
retries nothing and caches nothing: what a lost answer means is the caller's to decide.

Every method raises a `styr.kinds.errors.ApiError`; no answer at all is `client.transport.TransportError`, one of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from styr.client.transport import Transport, TransportError
from styr.kinds import errors, meta
from styr.kinds.resources import Object, Resource
from styr.kinds.transport import Request, Response

MAX_EVENT = 16 << 20
"""Bytes of one line of a watch; a server that sends more is broken."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Query = list[tuple[str, str]]


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK (whose object holds only a resourceVersion)."""

    type: str
    object: Object


@dataclass(frozen=True, slots=True)
class ObjectList:
    """Items carry apiVersion and kind, also where the server leaves them out. `resource_version` is where to watch from."""

    items: list[Object]
    resource_version: str


Keep = Callable[[Object], Object]


def _all_of_it(obj: Object) -> Object:
    return obj


class Client:
    """One client serves any number of tasks."""

    def __init__(self, transport: Transport, *, user_agent: str = "styr") -> None:
        self._transport = transport
        self._headers = {"accept": "application/json", "user-agent": user_agent}

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        return await self._object("GET", resource.path(namespace or None, _required(name)))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        keep: Keep = _all_of_it,
    ) -> ObjectList:
        """All of them: `limit` is the size of a page, and every page is fetched. A list that expires between two pages is
        begun again, once, as a single page. `keep` makes of an object what is held of it until the last page is there."""
        path, query = resource.path(namespace or None), _selection(labels, fields)
        try:
            return await self._pages(resource, path, query, limit, keep)
        except errors.Expired:
            return await self._pages(resource, path, query, 0, keep)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events until the server ends the stream, after `timeout` seconds if given. Raises what an ERROR event holds,
        mostly `Expired`. Use it in `contextlib.aclosing` when you may stop before the end."""
        query = [("watch", "true"), ("allowWatchBookmarks", "true"), *_selection(labels, fields)]
        if resource_version:
            query.append(("resourceVersion", resource_version))
        if timeout is not None:
            query.append(("timeoutSeconds", str(max(1, round(timeout)))))
        response = await self._send("GET", resource.path(namespace or None), query)
        async with aclosing(_lines(response)) as lines:
            async for line in lines:
                event = _parse(line)
                if event.get("type") == "ERROR":
                    raise errors.from_status(event.get("object") or {})
                yield WatchEvent(str(event["type"]), _typed(event["object"], resource))

    async def create(self, resource: Resource, obj: Object, *, name: str = "", subresource: str = "") -> Object:
        """POST. `name` and `subresource` for posts under an object, such as `pods/NAME/binding`."""
        namespace = (meta.namespace(obj) or "default") if resource.namespaced else None
        return await self._object("POST", resource.path(namespace, name or None, subresource or None), body=obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """PUT with the resourceVersion in `obj`: raises Conflict when somebody was faster."""
        path = resource.path(meta.namespace(obj) or None, _required(meta.name(obj)), subresource or None)
        return await self._object("PUT", path, body=obj)

    async def update_status(self, resource: Resource, obj: Object) -> Object:
        return await self.update(resource, obj, subresource="status")

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        patch: Mapping[str, Any] | Sequence[Any],
        *,
        subresource: str = "",
    ) -> Object:
        """A dict is a JSON merge patch (RFC 7396), a list a JSON patch (RFC 6902)."""
        kind = "application/json-patch+json" if isinstance(patch, Sequence) else "application/merge-patch+json"
        path = resource.path(namespace or None, _required(name), subresource or None)
        return await self._object("PATCH", path, body=patch, content_type=kind)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace: int | None = None,
        propagation: str = "",
    ) -> Object:
        """Returns the object when it lives on for a while (grace, finalizers), else a Status or its last state. `uid` and
        `resource_version` are preconditions (Conflict); `grace` is seconds; `propagation` Background, Foreground, Orphan."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if conditions := {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v}:
            options["preconditions"] = conditions
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if propagation:
            options["propagationPolicy"] = propagation
        return await self._object("DELETE", resource.path(namespace or None, _required(name)), body=options)

    async def logs(
        self,
        name: str,
        namespace: str,
        *,
        container: str = "",
        follow: bool = False,
        previous: bool = False,
        tail: int | None = None,
        since: int | None = None,
        timestamps: bool = False,
        limit_bytes: int | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The log of a container as it is written; ends with it, or at once without `follow`."""
        options = {
            "container": container or None,
            "follow": "true" if follow else None,
            "previous": "true" if previous else None,
            "tailLines": tail,
            "sinceSeconds": since,
            "timestamps": "true" if timestamps else None,
            "limitBytes": limit_bytes,
        }
        query = [(key, str(value)) for key, value in options.items() if value is not None]
        response = await self._send("GET", f"/api/v1/namespaces/{namespace}/pods/{_required(name)}/log", query)
        async with aclosing(_parts(response)) as parts:
            async for part in parts:
                yield part

    async def raw(self, method: str, path: str, *, query: Iterable[tuple[str, str]] = (), body: Any = None) -> Any:
        """Any path that answers JSON: discovery, `/version`, subresources."""
        return await self._object(method, path, body=body, query=list(query))

    async def close(self) -> None:
        await self._transport.close()

    async def _pages(self, resource: Resource, path: str, query: Query, limit: int, keep: Keep) -> ObjectList:
        items: list[Object] = []
        token = ""
        while True:
            page = [*query, *([("limit", str(limit))] if limit else []), *([("continue", token)] if token else [])]
            answer = await self._object("GET", path, query=page)
            items += [keep(_typed(item, resource)) for item in answer.get("items") or ()]
            token = meta.metadata(answer).get("continue") or ""
            if not token:
                return ObjectList(items, meta.resource_version(answer))

    async def _object(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Query | None = None,
        content_type: str = "application/json",
    ) -> Object:
        response = await self._send(method, path, query or [], body=body, content_type=content_type)
        document = _parse(await _whole(response))
        if not isinstance(document, dict):
            raise TransportError(f"{method} {path}: the server sent JSON that is no object")
        return document

    async def _send(
        self, method: str, path: str, query: Query, *, body: Any = None, content_type: str = "application/json"
    ) -> Response:
        """The response if it is a success; raises what its Status says if not."""
        headers = self._headers if body is None else {**self._headers, "content-type": content_type}
        request = Request(method, path, query, headers, b"" if body is None else _encode(body))
        response = await self._transport.request(request)
        if response.status < 400:
            return response
        raise _error(response.status, await _whole(response))


def _required(name: str) -> str:
    if not name or "/" in name:
        raise errors.BadRequest(f"{name!r} is not the name of an object")
    return name


def _selection(labels: str, fields: str) -> Query:
    return [(key, value) for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value]


def _typed(obj: Object, resource: Resource) -> Object:
    obj.setdefault("apiVersion", resource.api_version)
    obj.setdefault("kind", resource.kind)
    return obj


def _parse(data: bytes) -> Any:
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise TransportError(f"the server sent no valid JSON: {error}") from error


def _error(status: int, body: bytes) -> errors.ApiError:
    try:
        document = _decode(body)
    except msgspec.DecodeError:
        document = None
    if isinstance(document, dict) and document.get("kind") == "Status":
        return errors.from_status(document, status)
    text = body[:300].decode("utf-8", "replace").strip()
    return errors.from_status({"message": f"the server answered {status}: {text}"}, status)


async def _parts(response: Response) -> AsyncGenerator[bytes, None]:
    """The body part by part; closes its source however this ends."""
    if isinstance(response.body, bytes):
        if response.body:
            yield response.body
        return
    try:
        async for part in response.body:
            yield part
    finally:
        close = getattr(response.body, "aclose", None)
        if close is not None:
            await close()


async def _whole(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([part async for part in _parts(response)])


async def _lines(response: Response) -> AsyncGenerator[bytes, None]:
    """Whole lines; one that the stream breaks off in the middle is dropped."""
    rest = b""
    async with aclosing(_parts(response)) as parts:
        async for part in parts:
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line
            if len(rest) > MAX_EVENT:
                raise TransportError(f"the server sent a watch event of more than {MAX_EVENT} bytes")
