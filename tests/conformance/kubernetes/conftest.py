"""One server with its controllers for all behaviours of a worker; each test has a namespace of its own."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from pytest_asyncio import is_async_test

from styr.api import itself, pki
from styr.api.authn.accounts import Legacy
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.controller import Controller, Manager
from styr.client.transport import InProcessTransport
from styr.controllers import controllers, root_ca, trusted
from styr.kinds.transport import Handler, User
from styr.kit.clock import SystemClock, rfc3339
from styr.serving.authn import ADMIN, Authenticator
from styr.serving.http import serve
from tests.conformance.kubernetes import hollow, oracle
from tests.conformance.kubernetes.client import Kube, unique
from tests.conformance.kubernetes.listing import MISSING

HERE = Path(__file__).parent
TOKEN = "the-administrator-of-the-behaviours"
PLANE = User("system:styr", ("system:masters", "system:authenticated"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All behaviours share the loop of their server. One that a missing feature fails is expected to fail, and must."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        if is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        for marker in item.iter_markers("behaviour"):
            if reason := MISSING.get(marker.args):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=oracle.VARIABLE not in os.environ))


@dataclass(frozen=True)
class Cluster:
    """A running server. `url` and `kubeconfig` are its TLS port and the administrator's file; `pki` its keys."""

    kube: Kube
    url: str
    kubeconfig: Path
    pki: pki.Pki
    token: str = TOKEN


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("behaviours")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        made = pki.ensure(folder / "pki", SystemClock())
        if os.environ.get(oracle.VARIABLE):
            url, transport = await stack.enter_async_context(oracle.kube_apiserver(folder, TOKEN))
            handler: Handler = oracle.Impersonating(transport, ADMIN.name)
            client = Client(transport, user_agent="styr")
            trusted = [root_ca.controller(made.ca.read_text())]
        else:
            url, handler, client, trusted = await _styr(folder, made, stack)
        pki.kubeconfig(folder / "kubeconfig", server=url, ca=made.ca, token=TOKEN)
        await _run_controllers(client, [*controllers(), *trusted, hollow.controller()], stack)
        yield Cluster(Kube(handler, ADMIN), url, folder / "kubeconfig", made)


async def _styr(folder: Path, made: pki.Pki, stack: AsyncExitStack) -> tuple[str, Handler, Client, list[Controller]]:
    clock = SystemClock()
    store = Store.open(folder / "store.db", clock)
    stack.push_async_callback(store.close)
    api = ApiServer(store, clock=clock, random=random.Random(1), streams=hollow.Streams())
    await api.start()
    authenticate = Authenticator({TOKEN: ADMIN}, api.tokens)
    api.tokens.static = authenticate.known
    listener = await serve(api, tls=made.context(), authenticate=authenticate)
    stack.push_async_callback(listener.close)
    await itself.publish(api, "127.0.0.1", listener.port, rfc3339(clock.time()))
    more = trusted(made.ca.read_text(), Legacy(api.accounts), pki.Signer(made, clock))
    client = Client(InProcessTransport(api, PLANE), user_agent="styr")
    return f"https://127.0.0.1:{listener.port}", api, client, more


async def _run_controllers(client: Client, wanted: list[Controller], stack: AsyncExitStack) -> None:
    clock = SystemClock()
    await hollow.register(client, rfc3339(clock.time()))
    manager = Manager(client, clock, random.Random(2))
    for controller in wanted:
        manager.add(controller)
    running = asyncio.create_task(manager.run())
    stack.push_async_callback(asyncio.wait, [running])
    stack.callback(running.cancel)
    await asyncio.wait_for(manager.synced(), 30)


@pytest.fixture
def kube(cluster: Cluster) -> Kube:
    """The API as the administrator."""
    return cluster.kube


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(kube: Kube) -> str:
    """A fresh namespace. It is left behind: its server goes with the session."""
    name = unique("ns")
    await kube.of("v1", "namespaces").create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
