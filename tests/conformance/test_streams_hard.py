"""Streams when things go wrong: Styr killed, clients that half-close, break off or come by the thousand."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.wire_helpers import until
from tests.conformance.streaming import KUBECTLS, Streaming, streaming
from tests.conformance.test_exec import resident, running
from tests.conformance.test_port_forward import ECHO, ask, forwarding
from tests.node.world import is_ready, python, shell

EXEC = "/api/v1/namespaces/default/pods/web/exec?stdin=1&stdout=1&command="


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Streaming]:
    async with streaming(tmp_path) as made:
        yield made


async def opened(cluster: Streaming, *command: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An exec over a WebSocket of our own, upgraded; the rest is bytes."""
    trust = ssl.create_default_context(cafile=str(cluster.folder / "pki" / "ca.crt"))
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.server.port, ssl=trust)
    headers = (
        "host: x\r\nauthorization: Bearer root-token\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "sec-websocket-protocol: v5.channel.k8s.io\r\n"
    )
    writer.write(f"GET {EXEC}{'&command='.join(command)} HTTP/1.1\r\n{headers}\r\n".encode())
    async with asyncio.timeout(20):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


ELSEWHERE = """
import asyncio, sys
from pathlib import Path
from tests.conformance.streaming import streaming
from tests.node.world import shell
async def main():
    async with streaming(Path(sys.argv[1])) as made:
        await made.run('web', *shell('exec sleep 24680'))
        print('up', flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.needs("kubectl-1.35")
async def test_styr_is_killed_and_takes_commands_along_but_no_container(tmp_path: Path) -> None:
    there = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ELSEWHERE, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert there.stdout is not None
    assert await asyncio.wait_for(there.stdout.readline(), 60) == b"up\n"
    env = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(tmp_path)}
    script = "nohup sleep 13579 >/dev/null 2>&1 & echo up; exec sleep 97531"
    client = await asyncio.create_subprocess_exec(
        "kubectl-1.35", "exec", "web", "--", "sh", "-c", script, env=env, stdout=asyncio.subprocess.PIPE
    )
    assert client.stdout is not None
    assert await asyncio.wait_for(client.stdout.readline(), 60) == b"up\n"
    await until(lambda: bool(running("sleep", "97531") and running("sleep", "13579")))
    there.kill()
    await there.wait()
    await until(lambda: not running("sleep", "97531") and not running("sleep", "13579"))
    assert running("sleep", "24680")
    assert await asyncio.wait_for(client.wait(), 60) != 0
    async with streaming(tmp_path) as again:
        out, _ = await again.kubectl("kubectl-1.35", "exec", "web", "--", "echo", "adopted")
        assert out == b"adopted\n"


async def test_a_client_that_breaks_off_or_half_closes(cluster: Streaming) -> None:
    await cluster.run("web", *shell("sleep 1000"))
    for number, leave in enumerate(("abort", "eof", "close")):
        _, writer = await opened(cluster, "sleep", f"{11110 + number}")
        await until(lambda number=number: bool(running("sleep", f"{11110 + number}")))
        if leave == "abort":
            writer.transport.abort()
        else:
            writer.close()
        await until(lambda number=number: not running("sleep", f"{11110 + number}"))


async def test_a_client_that_breaks_the_protocol(cluster: Streaming) -> None:
    await cluster.run("web", *shell("sleep 1000"))
    for number, rubbish in enumerate((b"\xff" * 100, b"\x82\x03abc", b"\x82\xff" + b"\xff" * 8 + b"mask")):
        reader, writer = await opened(cluster, "sleep", f"{22220 + number}")
        await until(lambda number=number: bool(running("sleep", f"{22220 + number}")))
        writer.write(rubbish)
        async with asyncio.timeout(20):
            await reader.readuntil(b"\x88")  # a close
        await until(lambda number=number: not running("sleep", f"{22220 + number}"))
        writer.close()


async def test_a_message_without_end_costs_no_memory(cluster: Streaming) -> None:
    """One WebSocket message of 64 MiB, of which the command reads nothing, then everything."""
    await cluster.run("web", *shell("sleep 1000"))
    reader, writer = await opened(cluster, "sh", "-c", "while+!+test+-e+go;do+sleep+0.02;done;wc+-c")
    size = 64 << 20
    writer.write(b"\x82\xff" + (size + 1).to_bytes(8, "big") + bytes(4) + b"\0")
    before = resident()

    async def send() -> None:
        for _ in range(64):
            writer.write(bytes(1 << 20))
            await writer.drain()
        writer.write(b"\x82\x82" + bytes(4) + b"\xff\0")

    sending = asyncio.create_task(send())
    worker = next(iter(cluster.node._workers.values()))
    (worker.folder / "work" / "web" / "go").touch()
    async with asyncio.timeout(60):
        said = await reader.readuntil(str(size).encode())
        await sending
    assert said
    assert resident() - before < 40
    writer.close()


@pytest.mark.needs("kubectl-1.35")
async def test_a_thousand_connections_of_one_port_forward(cluster: Streaming) -> None:
    ports = {"ports": [{"containerPort": 80}]}
    await cluster.run("web", *python(ECHO % "(os.environ['PORT'],)"), container=ports)
    await cluster.until("web", is_ready)
    async with forwarding(cluster, "kubectl-1.35", ":80") as (local, _):
        for _ in range(4):
            answers = await asyncio.gather(*(ask(local[0], b"%d" % n) for n in range(250)))
            assert answers == [b"hello %d bye" % n for n in range(250)]
    await until(lambda: cluster.server.connections == 0)


@pytest.mark.parametrize("kubectl", [pytest.param(name, marks=pytest.mark.needs(name)) for name in KUBECTLS])
async def test_a_client_is_told_when_its_server_stops(tmp_path: Path, kubectl: str) -> None:
    async with streaming(tmp_path) as cluster:
        await cluster.run("web", *shell("sleep 1000"))
        process = await cluster.start(kubectl, "exec", "web", "--", "sh", "-c", "echo up; exec sleep 33333")
        assert process.stdout is not None
        assert process.stderr is not None
        await asyncio.wait_for(process.stdout.readline(), 20)
        await asyncio.wait_for(cluster.server.close(), 10)
        assert await asyncio.wait_for(process.wait(), 20) != 0
        assert b"the server is stopping" in await process.stderr.read()
        await until(lambda: not running("sleep", "33333"))
