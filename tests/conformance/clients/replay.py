"""Sends what a client once sent, without the client. Called by the test of the recordings, and by the report for what it has
just recorded. Plain `http.client`: nothing here knows Kubernetes beyond the lines."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
from typing import Any

from styr.plane.folder import Folder
from tests.conformance.clients import transcript
from tests.conformance.clients.scene import Scene
from tests.conformance.clients.transcript import Line

PATIENCE = 20.0
"""Seconds that a GET may take to answer as it did: the client may have asked later than we do."""


class Differs(AssertionError):
    """An answer is not of the shape that it was."""


class Connection:
    """One kept-alive connection to the API, with the administrator's token."""

    def __init__(self, folder: Folder) -> None:
        self._token = folder.token.read_text().strip()
        self._context = ssl.create_default_context(cafile=str(folder.ca))
        self._port = folder.state().api_port
        self._connection: http.client.HTTPSConnection | None = None

    def send(self, method: str, target: str, headers: dict[str, str], body: Any) -> tuple[str, Any]:
        """The answer's shape, and its document if it is one. Of a watch or an upgrade only the beginning is waited for."""
        data = (
            body
            if isinstance(body, bytes)
            else None
            if body is None
            else body.encode()
            if isinstance(body, str)
            else json.dumps(body).encode()
        )
        if self._connection is None:
            self._connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=30)
        sent = {"authorization": f"Bearer {self._token}", **headers}
        if "websocket" in sent.get("upgrade", "").lower():
            sent["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        try:
            self._request(method, target, data, sent)
            found = self._connection.getresponse()
            told = {key.lower(): value for key, value in found.getheaders()}
            if found.status == 101 or streams(target):
                self.close()
                return (
                    transcript.answer(found.status, told, b"") if found.status == 101 else f"{found.status} watch"
                ), None
            text = found.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Differs(f"{method} {target}: no answer: {error!r}") from error
        shape = transcript.answer(found.status, told, text)
        try:
            return shape, json.loads(text)
        except ValueError:
            return shape, None

    def _request(self, method: str, target: str, data: bytes | None, headers: dict[str, str]) -> None:
        """Every protocol of an upgrade in a line of its own, as Go sends them."""
        assert self._connection is not None
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for key, value in headers.items():
            for each in value.split(", ") if "protocol" in key else [value]:
                self._connection.putheader(key, each)
        if data is not None or method in ("POST", "PUT", "PATCH"):
            self._connection.putheader("content-length", str(len(data or b"")))
        self._connection.endheaders(data)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def streams(target: str) -> bool:
    query = target.partition("?")[2].lower()
    return any(part in query for part in ("watch=1", "watch=true", "follow=true", "watch=t&", "follow=1"))


async def replay(lines: list[Line], folder: Folder, scene: Scene) -> None:
    """Raises Differs with the first line that is answered otherwise, Unlike for a state that does not come."""
    connection = Connection(folder)
    answers: dict[int, Any] = {}
    try:
        for number, line in enumerate(lines):
            match line:
                case ["make", obj]:
                    await scene.make(obj)
                case ["has", ref, like]:
                    await scene.has(ref, like)
                case ["gone", ref]:
                    await scene.gone(ref)
                case _:
                    answers[number] = await asyncio.to_thread(_send, connection, line, answers, scene)
    finally:
        connection.close()


def _send(connection: Connection, line: Line, answers: dict[int, Any], scene: Scene) -> Any:
    try:
        method, target, headers, wanted, *body = transcript.fill(line, answers, scene.namespace, scene.node)
    except (KeyError, IndexError, TypeError) as error:
        raise Differs(f"{line[0]} {line[1]}: an earlier answer does not hold what it held: {error!r}") from error
    until = time.monotonic() + (PATIENCE if method == "GET" else 0)
    while True:
        found, document = connection.send(method, target, headers, body[0] if body else None)
        if found in wanted.split("|") or (found.endswith(" watch") and wanted.startswith(found[:3])):
            return document
        if time.monotonic() > until:
            raise Differs(f"{method} {target}\n  was answered {found}, not {wanted}\n  {json.dumps(document)[:600]}")
        time.sleep(0.05)
