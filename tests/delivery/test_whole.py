"""Pushes through the real parts: git, the API server on a socket, controllers, the node's sandboxed processes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from styr import controllers
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.delivery.rollout import install
from styr.delivery.source import Source
from styr.kinds.resources import APP, POD, RELEASE
from styr.kinds.transport import ANONYMOUS, User
from styr.kit.clock import SystemClock
from styr.node.agent import Node
from styr.serving.http import serve
from tests.delivery.world import TOKEN, Repository

ADMIN = User("admin", ("system:masters", "system:authenticated"))
HELLO = Path(__file__).parents[2] / "examples" / "hello"


def authenticate(headers: Mapping[str, str], certificate: Mapping[str, Any] | None) -> User:
    login = headers.get("authorization", "").removeprefix("Basic ")
    return ADMIN if login and base64.b64decode(login).decode().endswith(f":{TOKEN}") else ANONYMOUS


class Whole:
    def __init__(self, client: Client, url: str, source: Source) -> None:
        self.client = client
        self.url = url
        self.source = source


@contextlib.asynccontextmanager
async def whole(data: Path) -> AsyncIterator[Whole]:
    clock, dice = SystemClock(), random.Random()
    async with contextlib.AsyncExitStack() as stack:
        data.mkdir()
        store = Store.open(data / "store.db", clock)
        stack.push_async_callback(store.close)

        def logs(*arguments: Any) -> AsyncIterator[bytes]:
            return node.logs(*arguments)

        server = ApiServer(store, clock=clock, random=dice, logs=logs)
        await server.start()
        client = Client(InProcessTransport(server, ADMIN))
        await install(client)
        source = Source(client, data_dir=data, clock=clock, random=dice)
        node = Node(client, data_dir=data, images=source.images, clock=clock, random=dice)
        server.mount("/git", source.handler)
        listening = await serve(server, tls=None, authenticate=authenticate)
        stack.push_async_callback(listening.close)
        await source.start()
        stack.push_async_callback(source.stop)
        await node.start()
        stack.push_async_callback(node.stop)
        manager = Manager(client, clock, dice)
        for controller in (*controllers.controllers(), *node.controllers(), *source.controllers()):
            manager.add(controller)
        task = asyncio.create_task(manager.run())
        stack.push_async_callback(asyncio.gather, task, return_exceptions=True)
        stack.callback(task.cancel)
        await client.create(
            APP,
            {
                "apiVersion": APP.api_version,
                "kind": "App",
                "metadata": {"name": "hello", "namespace": "default"},
                "spec": {},
            },
        )
        yield Whole(client, f"http://styr:{TOKEN}@127.0.0.1:{listening.port}/git/hello.git", source)


async def example(folder: Path, source: Path) -> Repository:
    repository = Repository(folder)
    folder.mkdir()
    await repository.git("init", "-q", "-b", "main")
    files = {
        str(path.relative_to(source)): path.read_text()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    await repository.commit(files, "Say hello")
    return repository


async def test_the_example_is_built_and_tested_by_the_real_node(tmp_path: Path):
    async with whole(tmp_path / "data") as styr:
        user = await example(tmp_path / "hello", HELLO)
        out = await user.git("push", "-o", "detach", styr.url, "main")
        assert "Ran 6 tests" in out
        assert "Accepted as hello-r1" in out
        release = await styr.client.get(RELEASE, "hello-r1", "default")
        assert release["spec"]["tests"]["summary"].startswith("Ran 6 tests")
        assert release["spec"]["command"] == "exec python main.py"
        assert styr.source.images.resolve(release["spec"]["image"])


async def test_failing_tests_are_refused_by_the_real_node(tmp_path: Path):
    async with whole(tmp_path / "data") as styr:
        user = await example(tmp_path / "hello", HELLO)
        await user.commit({"main.py": (HELLO / "main.py").read_text().replace("Hello, {", "Good bye, {")}, "Leave")
        code, out = await user.run("push", styr.url, "main")
        assert code != 0
        assert "AssertionError: 'Good bye, Ada!' != 'Hello, Ada!'" in out
        assert "Rejected: the tests failed" in out
        assert (await styr.client.list(RELEASE)).items == []


async def test_a_large_push_over_the_real_wire(tmp_path: Path):
    """More than git's post buffer: chunked, after a probe."""
    async with whole(tmp_path / "data") as styr:
        user = await example(tmp_path / "hello", HELLO)
        (user.folder / "data.bin").write_bytes(random.Random(1).randbytes(5 << 20))
        await user.commit({}, "data")
        await user.git("push", "-o", "detach", styr.url, "main")
        assert len((await styr.client.list(RELEASE)).items) == 1


WAITS = "import time, unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        time.sleep(600)\n"


async def test_ctrl_c_ends_the_real_pod(tmp_path: Path):
    async with whole(tmp_path / "data") as styr:
        user = await example(tmp_path / "hello", HELLO)
        await user.commit({"tests/test_main.py": WAITS})
        process = await user.start("push", styr.url, "main")

        async def testing() -> list[Any]:
            found = (await styr.client.list(POD, labels="styr.dev/step=test")).items
            return [pod for pod in found if (pod.get("status") or {}).get("phase") == "Running"]

        async with asyncio.timeout(30):
            while not await testing():
                await asyncio.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            await process.communicate()
            while (await styr.client.list(POD, labels="styr.dev/step=test")).items:
                await asyncio.sleep(0.05)
        assert (await styr.client.list(RELEASE)).items == []
        async with asyncio.timeout(30):
            await user.commit({"tests/test_main.py": "import unittest\n"})
            await user.git("push", "-o", "detach", styr.url, "main")


async def test_tests_that_hang_end_at_the_app_s_own_limit(tmp_path: Path):
    async with whole(tmp_path / "data") as styr:
        await styr.client.patch(APP, "hello", "default", {"spec": {"tests": {"timeoutSeconds": 1}}})
        user = await example(tmp_path / "hello", HELLO)
        await user.commit({"tests/test_main.py": WAITS})
        code, out = await user.run("push", styr.url, "main")
        assert code != 0
        assert "the tests were stopped: it did not end within 1 s" in out
