"""The proxy subresources of pods, services and nodes, over the wire: bodies, redirects, upgrades, and what is none of the
pod's."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from styr.kinds.resources import ENDPOINT_SLICE, SERVICE
from tests.conformance.streaming import Streaming, streaming
from tests.node.world import is_ready, python

APP = """
import asyncio, os, hashlib
async def answer(reader, writer):
    head = await reader.readuntil(b'\\r\\n\\r\\n')
    lines = head.decode('latin-1').split('\\r\\n')
    method, target, _ = lines[0].split(' ')
    headers = dict(line.lower().split(': ', 1) for line in lines[1:] if line)
    if headers.get('upgrade') == 'echo':
        writer.write(b'HTTP/1.1 101 Switching Protocols\\r\\nconnection: upgrade\\r\\nupgrade: echo\\r\\n\\r\\nfirst ')
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        return
    size, digest = int(headers.get('content-length', 0)), hashlib.sha256()
    if headers.get('transfer-encoding') == 'chunked':
        size = 0
        while count := int(await reader.readline(), 16):
            digest.update(await reader.readexactly(count))
            size += count
            await reader.readline()
    else:
        left = size
        while left:
            data = await reader.read(min(left, 65536))
            digest.update(data)
            left -= len(data)
    if target.startswith('/redirect'):
        writer.write(b'HTTP/1.1 302 Found\\r\\nlocation: /elsewhere?x=1\\r\\nset-cookie: a=1\\r\\nset-cookie: b=2\\r\\n\\r\\n')
    elif target.startswith('/broken'):
        writer.write(b'HTTP/1.1 200 OK\\r\\ncontent-length: 100\\r\\n\\r\\nshort')
    elif target.startswith('/rubbish'):
        writer.write(b'this is not HTTP at all\\r\\n\\r\\n')
    else:
        seen = '|'.join((method, target, str(size), digest.hexdigest()[:8], str('authorization' in headers)))
        writer.write(b'HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%s' % (len(seen), seen.encode()))
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(answer, '127.0.0.1', int(os.environ['PORT']))
    await server.serve_forever()
asyncio.run(main())
"""
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Streaming]:
    async with streaming(tmp_path) as made:
        ports = {"ports": [{"containerPort": 80, "name": "web"}]}
        await made.run("web", *python(APP), container=ports, metadata={"labels": {"app": "web"}})
        await made.until("web", is_ready)
        yield made


class Caller:
    def __init__(self, cluster: Streaming, session: aiohttp.ClientSession) -> None:
        self.url, self.session = f"https://127.0.0.1:{cluster.server.port}", session

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, Any]:
        asked = self.session.request(method, self.url + path, data=body, headers=headers, allow_redirects=False)
        async with asked as response:
            return response.status, await response.text(), response.headers


@pytest.fixture
async def call(cluster: Streaming) -> AsyncIterator[Caller]:
    trust = ssl.create_default_context(cafile=str(cluster.folder / "pki" / "ca.crt"))
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(connector=connector, headers={"authorization": "Bearer root-token"}) as session:
        yield Caller(cluster, session)


async def test_methods_paths_and_queries_arrive_as_they_were(call: Caller) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        status, text, _ = await call(method, f"{PODS}/web/proxy/a%2Fb//c/?x=1&x=%20")
        assert (status, text.split("|")[:2]) == (200, [method, "/a%2Fb//c/?x=1&x=%20"])
        assert text.endswith("False")
    for name in ("web:80", "web:web", "http:web:80"):
        assert (await call("GET", f"{PODS}/{name}/proxy/"))[1].startswith("GET|/|0|")


async def test_bodies_of_any_size_in_either_form(call: Caller) -> None:
    data = os.urandom(9_000_000)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 700_000):
            yield data[start : start + 700_000]

    whole = await call("POST", f"{PODS}/web/proxy/up", data)
    chunked = await call("POST", f"{PODS}/web/proxy/up", pieces())
    assert whole[0] == 200
    assert whole[1] == chunked[1]
    assert "|9000000|" in whole[1]


async def test_redirects_lead_back_through_the_proxy(call: Caller) -> None:
    status, _, headers = await call("GET", f"{PODS}/web/proxy/redirect")
    assert (status, headers["location"]) == (302, f"{PODS}/web/proxy/elsewhere?x=1")
    assert headers.getall("set-cookie") == ["a=1", "b=2"]
    status, _, headers = await call("GET", f"{PODS}/web/proxy?x=1")
    assert (status, headers["location"]) == (301, f"{PODS}/web/proxy/?x=1")


async def test_upgrades(cluster: Streaming) -> None:
    trust = ssl.create_default_context(cafile=str(cluster.folder / "pki" / "ca.crt"))
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.server.port, ssl=trust)
    head = f"GET {PODS}/web/proxy/ws HTTP/1.1\r\nhost: x\r\nauthorization: Bearer root-token\r\n"
    writer.write(head.encode() + b"connection: Upgrade\r\nupgrade: echo\r\n\r\nearly ")
    async with asyncio.timeout(20):
        assert b"101 Switching Protocols" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"late")
        assert await reader.readexactly(16) == b"first early late"
    writer.close()


async def test_a_server_that_misbehaves(call: Caller) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await call("GET", f"{PODS}/web/proxy/broken")
    status, text, _ = await call("GET", f"{PODS}/web/proxy/rubbish")
    assert (status, json.loads(text)["reason"]) == (503, "ServiceUnavailable")


async def test_what_is_none_of_the_pods(cluster: Streaming, call: Caller) -> None:
    for port in (cluster.server.port, 9):
        status, text, _ = await call("GET", f"{PODS}/web:{port}/proxy/")
        assert (status, "error trying to reach service" in text) == (503, True)
    for name, code in (("none", 404), ("web:nope", 400), ("ftp:web:80", 400), ("a:b:c:d", 400)):
        assert (await call("GET", f"{PODS}/{name}/proxy/"))[0] == code


async def test_services_and_their_endpoints(cluster: Streaming, call: Caller) -> None:
    services = "/api/v1/namespaces/default/services"
    spec = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080, "targetPort": "web"}]}
    await cluster.client.create(SERVICE, {"metadata": {"name": "svc", "namespace": "default"}, "spec": spec})
    async with asyncio.timeout(20):
        while not any(piece["endpoints"] for piece in (await cluster.client.list(ENDPOINT_SLICE)).items):
            await asyncio.sleep(0.02)
    for name in ("svc", "svc:http", "svc:8080", "http:svc:http"):
        status, text, _ = await call("GET", f"{services}/{name}/proxy/hello")
        assert (status, text.split("|")[1]) == (200, "/hello")
    status, text, _ = await call("GET", f"{services}/svc:9/proxy/")
    assert (status, "no service port" in text) == (503, True)
    bare = {"metadata": {"name": "bare", "namespace": "default"}, "spec": {"ports": [{"port": 80}]}}
    await cluster.client.create(SERVICE, bare)
    status, text, _ = await call("GET", f"{services}/bare/proxy/")
    assert (status, json.loads(text)["message"]) == (503, 'no endpoints available for service "bare"')
    labels = {"kubernetes.io/service-name": "bare"}
    piece = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
        "ports": [{"port": cluster.server.port}],
    }
    await cluster.client.create(
        ENDPOINT_SLICE, {"metadata": {"name": "bare-x", "namespace": "default", "labels": labels}, **piece}
    )
    status, text, _ = await call("GET", f"{services}/bare/proxy/")
    assert status in (400, 422, 503)
    assert "GET|" not in text


async def test_nodes_tell_of_themselves(call: Caller) -> None:
    nodes = "/api/v1/nodes/n1/proxy"
    assert (await call("GET", f"{nodes}/healthz"))[1] == "ok"
    pods = json.loads((await call("GET", f"{nodes}/pods"))[1])
    assert [pod["metadata"]["name"] for pod in pods["items"]] == ["web"]
    summary = json.loads((await call("GET", f"{nodes}/stats/summary"))[1])
    (container,) = summary["pods"][0]["containers"]
    assert container["memory"]["rssBytes"] > 1 << 20
    assert container["cpu"]["usageCoreNanoSeconds"] > 0
    assert (await call("GET", f"{nodes}/run/x"))[0] == 404
    assert (await call("GET", "/api/v1/nodes/n2/proxy/healthz"))[0] == 404


@pytest.mark.needs("kubectl-1.35")
async def test_kubectl_proxy(cluster: Streaming) -> None:
    out, _ = await cluster.kubectl("kubectl-1.35", "get", "--raw", f"{PODS}/web/proxy/raw")
    assert out.startswith(b"GET|/raw|")
    process = await cluster.start("kubectl-1.35", "proxy", "--port=0")
    assert process.stdout is not None
    port = int((await asyncio.wait_for(process.stdout.readline(), 20)).rsplit(b":", 1)[1])
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{PODS}/web/proxy/via") as response,
    ):
        assert (await response.text()).startswith("GET|/via|")
