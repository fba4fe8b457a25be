"""`kubectl port-forward` and the Python clients', against real pods that listen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.streaming import KUBECTLS, Streaming, streaming
from tests.node.world import is_ready, python

ECHO = """
import asyncio, os
async def echo(reader, writer):
    writer.write(b'hello ')
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b' bye')
    writer.close()
async def main():
    servers = [await asyncio.start_server(echo, '127.0.0.1', int(port), backlog=2048) for port in %s]
    await asyncio.gather(*(server.serve_forever() for server in servers))
asyncio.run(main())
"""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Streaming]:
    async with streaming(tmp_path) as made:
        ports = [{"containerPort": 80, "name": "web"}, {"containerPort": 81, "name": "other"}]
        script = ECHO % "(os.environ['PORT'], os.environ['PORT_OTHER'])"
        await made.run("web", *python(script), container={"ports": ports})
        await made.until("web", is_ready)
        yield made


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in KUBECTLS])
def kubectl(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def forwarding(
    cluster: Streaming, kubectl: str, *ports: str
) -> AsyncIterator[tuple[list[int], asyncio.StreamReader]]:
    """The local ports, and what kubectl complains of."""
    process = await cluster.start(kubectl, "port-forward", "pod/web", *ports)
    assert process.stdout is not None
    assert process.stderr is not None
    local = []
    async with asyncio.timeout(20):
        for _ in ports:
            while (line := (await process.stdout.readline()).decode()) and "127.0.0.1" not in line:
                pass
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert found, (line, await process.stderr.read())
            local.append(int(found[1]))
    yield local, process.stderr
    process.kill()
    await process.wait()


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(60):
        answer = await reader.read(-1)
    writer.close()
    return answer


async def test_several_ports_and_many_connections(cluster: Streaming, kubectl: str) -> None:
    async with forwarding(cluster, kubectl, ":80", ":web", ":81") as (local, _):
        answers = await asyncio.gather(*(ask(local[n % 3], b"%d" % n) for n in range(60)))
    assert answers == [b"hello %d bye" % n for n in range(60)]


async def test_much_data_both_ways(cluster: Streaming, kubectl: str) -> None:
    data = bytes(range(256)) * 40_000
    async with forwarding(cluster, kubectl, ":80") as (local, _):
        answer = await ask(local[0], data)
    assert answer == b"hello " + data + b" bye"


async def test_a_port_on_which_nobody_listens(cluster: Streaming, kubectl: str) -> None:
    async with forwarding(cluster, kubectl, ":9") as (local, errors):
        assert await ask(local[0], b"x") == b""
        async with asyncio.timeout(20):
            line = await errors.readline()
    assert b"error forwarding port 9 to pod web, uid" in line
    assert b"connection refused" in line


async def test_other_peoples_ports_are_none_of_the_pods(cluster: Streaming, kubectl: str) -> None:
    """The API itself listens on this machine, but not in this pod."""
    async with forwarding(cluster, kubectl, f":{cluster.server.port}") as (local, errors):
        assert await ask(local[0], b"GET /livez HTTP/1.0\r\n\r\n") == b""
        async with asyncio.timeout(20):
            assert b"connection refused" in await errors.readline()
