"""A small client for behaviours: plain requests to the server's handler, answers as dicts, refusals as exceptions.

`kube.of("apps/v1", "deployments", namespace)` is a collection; its methods are the verbs of the API, each one request. Query
parameters are keywords as Kubernetes spells them: `create(obj, dryRun="All")`. Nothing is retried, cached or defaulted.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from styr.kinds.transport import Handler, Request, Response, User

Object = dict[str, Any]

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
PATIENCE = 15.0
"""Seconds until something that must come about counts as not coming."""

_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


class Refused(Exception):
    """The server answered with an error; `status` is its Status."""

    def __init__(self, code: int, status: Object, what: str) -> None:
        super().__init__(f"{what}: {code} {status}")
        self.code = code
        self.status = status
        self.reason: str = status.get("reason", "")
        self.message: str = status.get("message", "")
        self.causes: list[Object] = (status.get("details") or {}).get("causes") or []


@contextmanager
def refused(code: int, reason: str = "", message: str = "") -> Iterator[list[Refused]]:
    """The block must be refused so; the refusal is put into the list."""
    seen: list[Refused] = []
    try:
        yield seen
    except Refused as error:
        if error.code != code or reason not in ("", error.reason) or message not in error.message:
            raise AssertionError(f"refused otherwise than with {code} {reason} {message}: {error}") from error
        seen.append(error)
    else:
        raise AssertionError(f"was not refused with {code} {reason}")


async def eventually(condition: Callable[[], Awaitable[Any]], what: str, within: float = PATIENCE) -> Any:
    """The first true value of `condition`."""
    last: Any = None
    try:
        async with asyncio.timeout(within):
            while not (last := await condition()):
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never within {within} s: {what} (last seen: {last!r})") from None
    return last


class Kube:
    """The API as `user` sees it."""

    def __init__(self, handler: Handler, user: User) -> None:
        self.handler = handler
        self.user = user

    def as_user(self, name: str, *groups: str) -> Kube:
        return Kube(self.handler, User(name, groups or ("system:authenticated",)))

    def of(self, api_version: str, plural: str, namespace: str = "") -> Collection:
        return Collection(self, api_version, plural, namespace)

    async def send(self, method: str, url: str, body: Any = None, *, type: str = JSON, **headers: str) -> Response:
        """The response, whatever it is. Header names are keywords with `_` for `-`."""
        parts = urlsplit(url)
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named["content-type"] = type
        query = parse_qsl(parts.query, keep_blank_values=True)
        return await self.handler(Request(method, parts.path, query, named, data, self.user))

    async def ask(self, method: str, url: str, body: Any = None, *, type: str = JSON, **headers: str) -> Any:
        """The JSON of a success. Raises Refused."""
        response = await self.send(method, url, body, type=type, **headers)
        body = response.body if isinstance(response.body, bytes) else b"".join([part async for part in response.body])
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {"message": body.decode(errors="replace")}
        if response.status >= 400:
            raise Refused(response.status, answer, f"{method} {url}")
        return answer

    async def read(self, url: str, **headers: str) -> Any:
        return await self.ask("GET", url, **headers)


class Collection:
    """The objects of one resource, in one namespace or (namespace "") in all."""

    def __init__(self, kube: Kube, api_version: str, plural: str, namespace: str = "") -> None:
        self.kube = kube
        self.api_version = api_version
        self.plural = plural
        self.namespace = namespace
        root = "/apis" if "/" in api_version else "/api"
        within = f"/namespaces/{namespace}" if namespace else ""
        self.path = f"{root}/{api_version}{within}/{plural}"

    def everywhere(self) -> Collection:
        return Collection(self.kube, self.api_version, self.plural)

    def url(self, name: str = "", sub: str = "", **query: Any) -> str:
        words = [word for word in (name, sub) if word]
        return "/".join([self.path, *words]) + _query(query)

    async def create(self, obj: Object, name: str = "", sub: str = "", **query: Any) -> Object:
        return await self.kube.ask("POST", self.url(name, sub, **query), obj)

    async def get(self, name: str, sub: str = "", **query: Any) -> Object:
        return await self.kube.read(self.url(name, sub, **query))

    async def list(self, labels: str = "", fields: str = "", **query: Any) -> Object:
        """The whole list object."""
        return await self.kube.read(self.url(labelSelector=labels, fieldSelector=fields, **query))

    async def items(self, labels: str = "", fields: str = "", **query: Any) -> list[Object]:
        return (await self.list(labels, fields, **query))["items"]

    async def names(self, labels: str = "", fields: str = "", **query: Any) -> list[str]:
        return sorted(item["metadata"]["name"] for item in await self.items(labels, fields, **query))

    async def update(self, obj: Object, sub: str = "", **query: Any) -> Object:
        """PUT of the object, by the name in it."""
        return await self.kube.ask("PUT", self.url(obj["metadata"]["name"], sub, **query), obj)

    async def change(self, name: str, how: Callable[[Object], Any], sub: str = "") -> Object:
        """Read, change, PUT; again when somebody was faster, as every client does."""
        while True:
            obj = await self.get(name, sub)
            how(obj)
            try:
                return await self.update(obj, sub)
            except Refused as error:
                if error.reason != "Conflict":
                    raise

    async def patch(self, name: str, patch: Any, sub: str = "", *, type: str = "", **query: Any) -> Object:
        """A dict is a merge patch unless `type` says otherwise, a list a JSON patch."""
        kind = type or (JSON_PATCH if isinstance(patch, list) else MERGE)
        return await self.kube.ask("PATCH", self.url(name, sub, **query), patch, type=kind)

    async def apply(self, obj: Object, sub: str = "", manager: str = "behaviour", **query: Any) -> Object:
        url = self.url(obj["metadata"]["name"], sub, fieldManager=manager, **query)
        return await self.kube.ask("PATCH", url, obj, type=APPLY)

    async def delete(self, name: str, **options: Any) -> Object:
        """Options are DeleteOptions: `propagationPolicy`, `gracePeriodSeconds`, `preconditions`."""
        return await self.kube.ask("DELETE", self.url(name), _options(options))

    async def delete_all(self, labels: str = "", fields: str = "", **options: Any) -> Object:
        url = self.url(labelSelector=labels, fieldSelector=fields)
        return await self.kube.ask("DELETE", url, _options(options))

    async def until(self, name: str, condition: Callable[[Object], Any], what: str, within: float = PATIENCE) -> Object:
        """The object once the condition holds for it."""
        last: Object = {}

        async def holds() -> bool:
            nonlocal last
            last = await self.get(name)
            return bool(condition(last))

        try:
            await eventually(holds, what, within)
        except AssertionError:
            raise AssertionError(f"{self.plural}/{name} never {what}: {json.dumps(last)}") from None
        return last

    async def until_gone(self, name: str, within: float = PATIENCE) -> None:
        async def gone() -> bool:
            try:
                await self.get(name)
            except Refused as error:
                if error.reason == "NotFound":
                    return True
                raise
            return False

        await eventually(gone, f"{self.plural}/{name} gone", within)

    async def until_names(self, names: list[str], labels: str = "", within: float = PATIENCE) -> None:
        async def same() -> bool:
            return await self.names(labels) == sorted(names)

        await eventually(same, f"{self.plural} are {names}", within)

    async def until_count(self, count: int, labels: str = "", within: float = PATIENCE) -> list[Object]:
        found: list[Object] = []

        async def enough() -> bool:
            nonlocal found
            found = await self.items(labels)
            return len(found) == count

        await eventually(enough, f"{count} {self.plural} with {labels!r}", within)
        return found

    @asynccontextmanager
    async def watching(self, labels: str = "", fields: str = "", **query: Any) -> AsyncIterator[Watch]:
        url = self.url(labelSelector=labels, fieldSelector=fields, watch="true", **query)
        response = await self.kube.send("GET", url)
        if isinstance(response.body, bytes):
            raise Refused(response.status, json.loads(response.body), f"watch {url}")
        watch = Watch(response.body)
        try:
            yield watch
        finally:
            await watch.close()


@dataclass(frozen=True)
class Event:
    type: str
    object: Object

    @property
    def name(self) -> str:
        return str(self.object["metadata"].get("name", ""))

    @property
    def version(self) -> int:
        return int(self.object["metadata"]["resourceVersion"])


class Watch:
    """Events of a watch, one after the other."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._ready: list[Event] = []
        self._pending: asyncio.Task[bytes] | None = None
        self._rest = b""

    async def next(self, within: float = PATIENCE) -> Event:
        """Raises AssertionError when none comes in time, StopAsyncIteration at the end of the stream."""
        while not self._ready:
            if not await self._read(within):
                raise AssertionError(f"no event within {within} s")
        return self._ready.pop(0)

    async def wait(self, type: str, condition: Callable[[Object], Any] = lambda _: True) -> Event:
        """The next event of that type whose object satisfies the condition; others are passed over."""
        seen = []
        try:
            while True:
                event = await self.next()
                if event.type == type and condition(event.object):
                    return event
                seen.append((event.type, event.name))
        except (AssertionError, StopAsyncIteration):
            raise AssertionError(f"no {type} event as wanted; others: {seen}") from None

    async def quiet(self, seconds: float = 0.05) -> None:
        """Nothing arrives for that long."""
        if self._ready or await self._read(seconds):
            raise AssertionError(f"unexpected event {self._ready[0]}")

    async def close(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.wait([self._pending])
        await self._body.aclose()  # type: ignore[attr-defined]

    async def _read(self, within: float) -> bool:
        """Reads one chunk; a read that takes too long goes on beside and is picked up by the next call."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(anext(self._body))
        done, _ = await asyncio.wait([self._pending], timeout=within)
        if not done:
            return False
        chunk, self._pending = self._pending.result(), None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            said = json.loads(line)
            self._ready.append(Event(said["type"], said["object"]))
        return bool(self._ready) or await self._read(within)


def _query(query: dict[str, Any]) -> str:
    given = {key: value for key, value in query.items() if value not in ("", None)}
    if not given:
        return ""
    return "?" + urlencode({key: str(value).lower() if value is True else value for key, value in given.items()})


def _options(options: dict[str, Any]) -> Object | None:
    return {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None
