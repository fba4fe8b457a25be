"""Exec and port-forward of the Python clients of PyPI, unmodified: kubernetes, kubernetes_asyncio, kr8s, lightkube."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from styr.plane.ports import free_port
from tests.conformance.streaming import Streaming, streaming
from tests.conformance.test_port_forward import ECHO
from tests.node.world import is_ready, python

pytestmark = pytest.mark.timeout(120)
SCRIPT = "read line; echo got $line; echo err >&2; exit 3"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Streaming]:
    async with streaming(tmp_path) as made:
        ports = [{"containerPort": 80}]
        await made.run("web", *python(ECHO % "(os.environ['PORT'],)"), container={"ports": ports})
        await made.until("web", is_ready)
        yield made


async def test_kubernetes(cluster: Streaming) -> None:
    await asyncio.to_thread(_kubernetes, str(cluster.kubeconfig))


def _kubernetes(kubeconfig: str) -> None:
    import kubernetes
    from kubernetes.stream import portforward, stream

    with kubernetes.config.new_client_from_config(kubeconfig) as api:
        core = kubernetes.client.CoreV1Api(api)
        where = ("web", "default")
        call: dict[str, Any] = {"stdout": True, "stderr": True, "stdin": True, "tty": False, "_preload_content": False}
        answer = stream(core.connect_get_namespaced_pod_exec, *where, command=["sh", "-c", SCRIPT], **call)
        answer.write_stdin("hello\n")
        answer.run_forever(timeout=20)
        assert (answer.read_stdout(), answer.read_stderr(), answer.returncode) == ("got hello\n", "err\n", 3)
        closing = stream(core.connect_get_namespaced_pod_exec, *where, command=["cat"], **call)
        closing.write_stdin("x" * 300_000)
        closing.close_channel(0)
        closing.run_forever(timeout=20)
        assert (closing.read_stdout(), closing.returncode) == ("x" * 300_000, 0)
        whole = stream(
            core.connect_get_namespaced_pod_exec,
            *where,
            command=["echo", "é"],
            stdout=True,
            stderr=True,
            stdin=False,
            tty=True,
        )
        assert whole == "é\r\n"
        forwarded = portforward(core.connect_get_namespaced_pod_portforward, *where, ports="80")
        socket = forwarded.socket(80)
        socket.settimeout(20)
        socket.sendall(b"there")
        assert _read(socket, b"hello there")
        assert forwarded.error(80) is None
        forwarded.close()
        refused = portforward(core.connect_get_namespaced_pod_portforward, *where, ports="9")
        assert refused.socket(9).recv(10) == b""
        assert "connection refused" in refused.error(9)


def _read(socket: Any, wanted: bytes) -> bool:
    seen = b""
    while len(seen) < len(wanted):
        seen += socket.recv(100)
    return seen == wanted


async def test_kubernetes_asyncio(cluster: Streaming) -> None:
    from kubernetes_asyncio import client, config
    from kubernetes_asyncio.stream import WsApiClient

    settings = client.Configuration()
    await config.load_kube_config(str(cluster.kubeconfig), client_configuration=settings)
    async with WsApiClient(settings) as api:
        core = client.CoreV1Api(api)
        call: dict[str, Any] = {"stdout": True, "stderr": True, "stdin": True, "tty": False}
        words = ["sh", "-c", SCRIPT]
        opening = await core.connect_get_namespaced_pod_exec(
            "web", "default", command=words, _preload_content=False, **call
        )
        seen: dict[int, bytes] = {}
        async with opening as socket:
            await socket.send_bytes(b"\0hello\n")
            async for message in socket:
                channel = message.data[0]
                seen[channel] = seen.get(channel, b"") + message.data[1:]
        assert (seen[1], seen[2], api.parse_error_data(seen[3])) == (b"got hello\n", b"err\n", 3)
        call["stdin"] = False
        assert await core.connect_get_namespaced_pod_exec("web", "default", command=["echo", "x"], **call) == "x\n"


async def test_kr8s(cluster: Streaming) -> None:
    import kr8s.asyncio

    api = await kr8s.asyncio.api(kubeconfig=str(cluster.kubeconfig))
    pod = await kr8s.asyncio.objects.Pod.get("web", api=api)
    done = await pod.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)
    async with pod.portforward(80, local_port=free_port()) as port:  # its own "auto" may take one that is in use
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"there")
        async with asyncio.timeout(20):
            assert await reader.readexactly(11) == b"hello there"
        writer.close()


async def test_lightkube(cluster: Streaming) -> None:
    import lightkube

    access = lightkube.KubeConfig.from_file(str(cluster.kubeconfig))
    client = lightkube.AsyncClient(config=access)
    done = await client.exec(
        "web", namespace="default", command=["sh", "-c", SCRIPT], stdin="hello\n", stdout=True, stderr=True
    )
    assert (done.stdout, done.stderr, done.exit_code) == ("got hello\n", "err\n", 3)
    big = os.urandom(1_000_000)
    done = await client.exec("web", namespace="default", command=["cat"], stdin=big, stdout=True, decode=None)
    assert (done.stdout, done.exit_code) == (big, 0)
    with pytest.raises(Exception, match="400 Bad Request"):
        await client.exec("web", namespace="default", container="other", command=["cat"], stdout=True)
    await client.close()
