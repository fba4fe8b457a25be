"""`styr up`: starts the parts in order, says when it is ready, and stops them in the other order.

Called by `cli.up`. Calls `api` (the only room that does), `client`, `plane.capabilities`. Never decides anything: all that
happens after the start happens in controllers.

SIGINT (Ctrl-C) stops everything, the apps too; SIGTERM stops the control plane and leaves Envoy and the pods running, as
SIGKILL would: the next start adopts them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.kinds import meta
from styr.kinds.errors import NotFound
from styr.kinds.resources import CRD, GATEWAY, GATEWAY_CLASS, Object, Resource
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from styr.kit.files import make_private
from styr.kit.log import Log, setup
from styr.plane.folder import Folder, process_start

if TYPE_CHECKING:
    from styr.api.server import ApiServer
    from styr.plane.capabilities import Parts

log = Log("styr.plane")

PLANE = User("system:styr", ("system:masters", "system:authenticated"))
"""Who the control plane's own controllers are."""

DEFAULT_GATEWAY_PORT = 8080


class StartError(Exception):
    """The platform cannot start. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Ports: None is "the one of last time, else the default", 0 "a free one". """

    folder: Folder
    gateway_port: int | None = None
    api_port: int | None = None
    node_name: str = ""


def free_port(preferred: int = 0) -> int:
    """A port that can be bound on loopback now: the preferred one, or any. Raises OSError for a preferred one in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", preferred))
        port: int = probe.getsockname()[1]
        return port


def choose_port(asked: int | None, last: int, default: int, option: str) -> int:
    """Raises StartError when the port that was asked for, or that remotes and kubeconfigs already name, is taken."""
    wanted = last if asked is None else asked
    try:
        return free_port(wanted or (default if asked is None else 0))
    except OSError as error:
        if asked is None and not last:
            return free_port()
        why = "in use by another program" if error.errno == 98 else error.strerror
        raise StartError(
            f"Port {wanted} on 127.0.0.1 is {why}. Free it, or choose another: `styr up {option} PORT` (0 for any free one)."
        ) from None


async def ensure(client: Client, resource: Resource, wanted: Object) -> None:
    """Makes an object as wanted: created, or its spec replaced when it differs."""
    name, namespace = meta.name(wanted), meta.namespace(wanted)
    try:
        found = await client.get(resource, name, namespace)
    except NotFound:
        await client.create(resource, wanted)
        return
    if any(found.get(key) != value for key, value in wanted.items() if key not in ("metadata", "status")):
        await client.update(resource, {**found, **{key: wanted[key] for key in wanted if key != "metadata"}})
