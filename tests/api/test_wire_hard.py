"""The wire's hard cases, over a socket: crowds, sleepers, clocks that go back, odd spellings, hostile bodies."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kit.clock import SystemClock
from styr.serving.authn import ADMIN, Authenticator
from styr.serving.http import Server, serve
from tests.api.kit import Api, config
from tests.api.wire_helpers import TOKEN, dialled, read_head, read_response, until

MAPS = "/api/v1/namespaces/default/configmaps"
AUTH = f"authorization: Bearer {TOKEN}\r\n"


class Clock(SystemClock):
    """The wall can be set back; what measures durations cannot."""

    offset = 0.0

    def time(self) -> float:
        return super().time() + self.offset


class Served:
    def __init__(self, api: Api, server: Server, clock: Clock) -> None:
        self.api, self.server, self.clock = api, server, clock

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        async with dialled(self.server) as (reader, writer):
            writer.write(request(method, path, body, **headers))
            status, answered, data = await read_response(reader)
            return status, answered, data


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    length = f"content-length: {len(body)}\r\n" if body or method in ("POST", "PUT", "PATCH") else ""
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n{AUTH}{length}{lines}\r\n".encode() + body


@asynccontextmanager
async def running() -> AsyncIterator[Served]:
    clock = Clock()
    store = Store.open(":memory:", clock, inline=True)
    server = ApiServer(store, clock=clock, random=random.Random(7))
    await server.start()
    listener = await serve(server, tls=None, authenticate=Authenticator({TOKEN: ADMIN}))
    try:
        yield Served(Api(server), listener, clock)
    finally:
        await listener.close()
        await store.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as made:
        yield made


def resident() -> int:
    """KiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


# Crowds


SLEEPERS = """
import resource, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for number in range(count):
    held.append(socket.create_connection(('127.0.0.1', port)))
print('held', flush=True)
sys.stdin.read()
"""


async def test_connections_that_say_nothing_cost_little(served: Served) -> None:
    """3,000 of them; 10,000 are measured by hand (docs/api.md)."""
    count, before = 3000, resident()
    pipe = asyncio.subprocess.PIPE
    sleepers = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SLEEPERS, str(served.server.port), str(count), stdin=pipe, stdout=pipe
    )
    assert sleepers.stdout is not None
    assert await asyncio.wait_for(sleepers.stdout.readline(), 60) == b"held\n"
    await until(lambda: served.server.connections == count)
    assert (resident() - before) / count < 16
    assert (await served.ask("GET", MAPS))[0] == 200
    await sleepers.communicate(b"")
    await until(lambda: served.server.connections == 0)


async def test_watches_that_never_read_hold_up_nobody(served: Served) -> None:
    held = []
    for _ in range(40):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port, limit=1024)
        writer.write(request("GET", f"{MAPS}?watch=1&resourceVersion=0"))
        await read_head(reader)
        held.append(writer)
    before, text = resident(), "x" * 100_000
    began = asyncio.get_running_loop().time()
    for number in range(150):
        await served.api("POST", MAPS, config(f"big-{number}", {"text": text}))
    assert asyncio.get_running_loop().time() - began < 20
    assert resident() - before < 150 << 10
    async with served.api.watching(f"{MAPS}?watch=1&resourceVersion=0") as stream:
        seen = {(await anext(stream))["object"]["metadata"]["name"] for _ in range(150)}
    assert len(seen) == 150
    for writer in held:
        writer.transport.abort()


# Time


async def test_a_clock_that_is_set_back(served: Served) -> None:
    """Watches end in time, pages go on, revisions rise; only the stamps are of the time that people are told."""
    for number in range(5):
        await served.api("POST", MAPS, config(f"old-{number}"))
    first = await served.api("GET", f"{MAPS}?limit=2")
    async with dialled(served.server) as (reader, writer):
        writer.write(
            request("GET", f"{MAPS}?watch=1&timeoutSeconds=1&resourceVersion={first['metadata']['resourceVersion']}")
        )
        await read_head(reader)
        served.clock.offset = -86_400.0
        made = await served.api("POST", MAPS, config("new"))
        assert int(made["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
        async with asyncio.timeout(10):
            assert b'"new"' in await reader.readuntil(b"\r\n0\r\n")
    token = first["metadata"]["continue"]
    rest = await served.api("GET", f"{MAPS}?limit=10&continue={token}")
    assert len(rest["items"]) == 3
    await served.api("DELETE", f"{MAPS}/old-0")
    assert (await served.ask("GET", MAPS))[0] == 200


# Spelling


TRUE, FALSE = ("1", "t", "T", "TRUE", "True", "yes", "", "f"), ("0", "false", "False", "FALSE")


@pytest.mark.parametrize("value", TRUE + FALSE)
async def test_booleans_as_kubernetes_reads_them(served: Served, value: str) -> None:
    """What was compared: kube-apiserver v1.35.3."""
    async with dialled(served.server) as (reader, writer):
        writer.write(request("GET", f"{MAPS}?watch={value}&timeoutSeconds=1"))
        _, headers = await read_head(reader)
    assert ("transfer-encoding" in headers) == (value in TRUE)


async def test_slashes_and_missing_types(served: Served) -> None:
    for path in ("/version/", "/api/", "/apis/", "/apis/apps/v1/", f"{MAPS}/"):
        assert (await served.ask("GET", path))[0] == 200, path
    assert (await served.ask("GET", "/livez/"))[0] == 404, "as Kubernetes has it"
    body = json.dumps(config("typeless")).encode()
    assert (await served.ask("POST", MAPS, body))[0] == 201
    assert (await served.ask("DELETE", f"{MAPS}/typeless"))[0] == 200
    status, _, data = await served.ask("POST", MAPS, body, content_type="text/plain")
    assert (status, json.loads(data)["reason"]) == (415, "UnsupportedMediaType")


async def test_bodies_in_yaml(served: Served) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  a: |\n    b\n  when: '2026-01-01'\n"
    status, _, data = await served.ask("POST", f"{MAPS}?fieldValidation=Strict", text, content_type="application/yaml")
    assert (status, json.loads(data).get("data")) == (201, {"a": "b\n", "when": "2026-01-01"})
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 110)
    )
    assert (await served.ask("POST", MAPS, bomb, content_type="application/yaml"))[0] == 400


async def test_methods_beside_the_usual(served: Served) -> None:
    async with dialled(served.server) as (reader, writer):
        writer.write(request("HEAD", MAPS))
        status, headers = await read_head(reader)
        assert (status, int(headers["content-length"]) > 0) == (200, True)
        writer.write(request("GET", "/version"))
        assert (await read_response(reader))[0] == 200
    for method in ("OPTIONS", "TRACE", "PUT", "PATCH"):
        status, _, data = await served.ask(method, MAPS)
        assert (status, json.loads(data)["reason"]) == (405, "MethodNotAllowed"), method


# Large answers


async def test_large_answers_are_compressed_when_asked(served: Served) -> None:
    for number in range(20):
        await served.api("POST", MAPS, config(f"c-{number}", {"text": "some text " * 1000}))
    plain = await served.ask("GET", MAPS)
    status, headers, data = await served.ask("GET", MAPS, accept_encoding="deflate, gzip;q=0.5")
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "accept-encoding")
    assert gzip.decompress(data) == plain[2]
    assert len(data) < len(plain[2]) // 10
    for asked in ("gzip;q=0", "identity", "br"):
        assert "content-encoding" not in (await served.ask("GET", MAPS, accept_encoding=asked))[1]
    assert "content-encoding" not in (await served.ask("GET", "/version", accept_encoding="gzip"))[1]


# Hostile bodies and tokens


HOSTILE: dict[str, bytes] = {
    "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "deep lists, unfinished": b"[" * 200_000,
    "deep within metadata": b'{"metadata":{"name":"x","labels":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}}",
    "invalid UTF-8": b'{"metadata":{"name":"x"},"data":{"a":"\xff\xfe"}}',
    "half a surrogate": b'{"metadata":{"name":"x"},"data":{"a":"\\ud800"}}',
    "a number beyond all": b'{"metadata":{"name":"x","generation":1e400}}',
    "a number of a million digits": b'{"metadata":{"name":"x","generation":' + b"9" * 1_000_000 + b"}}",
    "no object": b"null",
    "nothing": b"",
    "two objects": b"{}{}",
    "NaN": b'{"metadata":{"name":"x","generation":NaN}}',
    "a NUL in a name": b'{"metadata":{"name":"a\\u0000b"}}',
    "a key of a megabyte": b'{"metadata":{"name":"x"},"data":{"' + b"k" * 1_000_000 + b'":"v"}}',
    "a BOM": b"\xef\xbb\xbf" + b'{"metadata":{"name":"Bad_Name"}}',
}


@pytest.mark.parametrize("kind", ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"])
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bodies_are_refused_in_words(served: Served, name: str, kind: str) -> None:
    status, _, data = await served.ask("POST", MAPS, HOSTILE[name], content_type=kind)
    answer: dict[str, Any] = json.loads(data)
    assert status in (400, 413, 422), answer
    assert answer["status"] == "Failure"
    assert answer["message"]
    assert len(data) < 40_000
    assert (await served.ask("GET", MAPS))[0] == 200


FORGED = (
    "abc",
    "%00",
    base64.urlsafe_b64encode(b"[]").decode(),
    base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":1,"start":"../../secrets/x"}').decode(),
    base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":-5,"start":"x"}').decode(),
    base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v9","rv":1e99,"start":[]}').decode(),
    base64.urlsafe_b64encode(b"[" * 9000).decode(),
    "A" * 40_000,
)


@pytest.mark.parametrize("token", FORGED)
async def test_forged_continue_tokens(served: Served, token: str) -> None:
    await served.api("POST", MAPS, config("one"))
    status, _, data = await served.ask("GET", f"{MAPS}?limit=1&continue={token}")
    assert (status, json.loads(data)["reason"]) in ((400, "BadRequest"), (410, "Expired"))


async def test_a_token_of_another_list_shows_nothing_more(served: Served) -> None:
    """A token only says where to go on; what is listed is what the request's own path names."""
    for name in ("a", "b", "c"):
        await served.api("POST", MAPS, config(name))
        secret = {"metadata": {"name": name}, "stringData": {"x": "hidden"}}
        await served.api("POST", "/api/v1/namespaces/default/secrets", secret)
    first = await served.api("GET", "/api/v1/namespaces/default/secrets?limit=1")
    status, _, data = await served.ask("GET", f"{MAPS}?limit=5&continue={first['metadata']['continue']}")
    answer = json.loads(data)
    assert status in (200, 400, 410)
    assert {item["kind"] for item in answer.get("items", ())} <= {"ConfigMap"} or status != 200
    assert b"hidden" not in data
