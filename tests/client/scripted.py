"""A server in a few lines: kinds in memory with one revision, watches that a test can break, and requests it can refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from styr.client.transport import TransportError
from styr.kinds.errors import AlreadyExists, ApiError, Conflict, Expired, NotFound
from styr.kinds.resources import Object
from styr.kinds.transport import Request, Response


class Scripted:
    """A Transport over core kinds at `/api/v1/namespaces/NS/PLURAL`. `fault` may raise for a request before it is done,
    `lose` says whether its answer is lost afterwards."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.history: list[tuple[int, str, str, Object]] = []
        self.revision = 10
        self.floor = 0
        self.requests: list[tuple[str, str]] = []
        self.fault: Callable[[Request], None] = lambda request: None
        self.lose: Callable[[Request], bool] = lambda request: False
        self.silent = False
        """Watches are told nothing while this is set."""
        self._changed = asyncio.Event()
        self._broken = 0

    async def request(self, request: Request, /) -> Response:
        self.requests.append((request.method, request.path))
        await asyncio.sleep(0.001)
        try:
            self.fault(request)
            response = self._answer(request)
        except TransportError:
            raise
        except ApiError as error:
            response = Response(error.status_code, msgspec.json.encode(error.to_status()))
        if self.lose(request):
            raise TransportError("scripted: the answer was lost")
        return response

    async def close(self) -> None:
        return None

    def put(self, plural: str, namespace: str, name: str, obj: Object) -> Object:
        self.revision += 1
        old = self.objects.get((plural, namespace, name))
        identity = {"name": name, "namespace": namespace, "resourceVersion": str(self.revision)}
        identity["uid"] = old["metadata"]["uid"] if old else f"uid-{self.revision}"
        made = {**obj, "metadata": {**(obj.get("metadata") or {}), **identity}}
        self.objects[plural, namespace, name] = made
        self._tell("MODIFIED" if old else "ADDED", plural, made)
        return made

    def remove(self, plural: str, namespace: str, name: str) -> Object:
        old = self.objects.pop((plural, namespace, name))
        self.revision += 1
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.revision)}}
        self._tell("DELETED", plural, last)
        return last

    def break_watches(self) -> None:
        self._broken += 1
        self._wake()

    def expire(self) -> None:
        """Watches from before now are answered 410."""
        self.floor = self.revision
        self.break_watches()

    def speak(self) -> None:
        self.silent = False
        self._wake()

    def _tell(self, kind: str, plural: str, obj: Object) -> None:
        self.history.append((self.revision, kind, plural, obj))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _answer(self, request: Request) -> Response:
        words = request.path.split("/")[3:]
        namespace = ""
        if words[0] == "namespaces":
            namespace, words = words[1], words[2:]
        plural, name = words[0], words[1] if len(words) > 1 else ""
        body: Any = msgspec.json.decode(request.body) if isinstance(request.body, bytes) and request.body else None
        if request.param("watch"):
            return Response(200, self._watch(plural, int(request.param("resourceVersion", "0"))))
        return Response(200, msgspec.json.encode(self._perform(request.method, plural, namespace, name, body)))

    def _perform(self, method: str, plural: str, namespace: str, name: str, body: Any) -> Object:
        if method == "GET" and not name:
            items = [
                obj
                for (kind, place, _), obj in sorted(self.objects.items())
                if kind == plural and namespace in ("", place)
            ]
            return {"items": items, "metadata": {"resourceVersion": str(self.revision)}}
        if method == "POST":
            name = body["metadata"]["name"]
            if (plural, namespace, name) in self.objects:
                raise AlreadyExists(f"{name} exists")
            return self.put(plural, namespace, name, body)
        old = self.objects.get((plural, namespace, name))
        if old is None:
            raise NotFound(f"{name} not found")
        if method == "PUT":
            if body["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
                raise Conflict("changed")
            return self.put(plural, namespace, name, body)
        if method == "PATCH":
            return self.put(
                plural, namespace, name, {**old, **body, "metadata": {**old["metadata"], **body.get("metadata", {})}}
            )
        if method == "DELETE":
            self.remove(plural, namespace, name)
            return {"kind": "Status", "status": "Success"}
        return old

    async def _watch(self, plural: str, position: int) -> AsyncIterator[bytes]:
        if position < self.floor:
            yield msgspec.json.encode({"type": "ERROR", "object": Expired("too old").to_status()}) + b"\n"
            return
        broken = self._broken
        while broken == self._broken:
            changed = self._changed
            for revision, kind, of, obj in [] if self.silent else list(self.history):
                if revision > position:
                    position = revision
                    if of == plural:
                        yield msgspec.json.encode({"type": kind, "object": obj}) + b"\n"
            await changed.wait()
