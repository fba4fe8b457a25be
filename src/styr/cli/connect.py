"""A client for the Styr of a data folder. Called by verbs; calls `client`; never starts a Styr."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from styr.cli.options import Hint
from styr.kinds.errors import NotFound
from styr.kinds.resources import Object, Resource
from styr.plane.folder import Folder, FolderError

if TYPE_CHECKING:
    from styr.client.client import Client

T = TypeVar("T")


@asynccontextmanager
async def connected(folder: Folder) -> AsyncIterator[Client]:
    """Raises `Hint` when nothing runs on the folder or the server cannot be reached."""
    from styr.client.client import Client
    from styr.client.transport import HttpsTransport, TransportError

    try:
        transport = HttpsTransport.from_kubeconfig(folder.require_kubeconfig())
    except FolderError as error:
        raise Hint(str(error)) from None
    try:
        yield Client(transport, user_agent="styr-cli")
    except TransportError as error:
        raise Hint(f"Styr on {folder.path} does not answer ({error}).", "Start it: styr up --detach") from None
    finally:
        await transport.close()


def run(folder: Folder, work: Callable[[Client], Awaitable[T]]) -> T:
    """Runs one verb's work with a client, to its end or Ctrl-C."""

    async def body() -> T:
        async with connected(folder) as client:
            return await work(client)

    return asyncio.run(body())


async def require(client: Client, resource: Resource, name: str, namespace: str, hint: str) -> Object:
    """The object, or a `Hint` that says how to find what is there."""
    try:
        return await client.get(resource, name, namespace)
    except NotFound:
        raise Hint(f"There is no {resource.kind.lower()} named {name!r} in namespace {namespace!r}.", hint) from None
