"""`styr api`: the API server with the controllers that every Kubernetes has, and nothing else: no node, no gateway, no
delivery. For those who test operators, or want a Kubernetes API for an afternoon.

Called by `cli.api`. Calls `plane.control`. Pods stay Pending: nobody runs them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from styr import controllers
from styr.client.controller import Manager
from styr.kit.clock import SystemClock
from styr.kit.files import make_private
from styr.kit.log import setup
from styr.kit.process import start_time
from styr.kit.tasks import Tasks
from styr.plane.control import COLLECTIONS, ControlPlane
from styr.plane.folder import Folder
from styr.plane.metrics import Pages, own_registry
from styr.plane.ports import choose_port

PATIENCE = 5.0
"""Seconds that a command is given to end once it was asked to."""


async def serve(folder: Folder, port: int | None, announce: Callable[[str], None], command: Sequence[str] = ()) -> int:
    """Until SIGINT or SIGTERM, or until `command` ends, which finds the server by KUBECONFIG. The status to exit with. Raises
    FolderError, StartError, OSError."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, asked.set)
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    async with AsyncExitStack() as stack:
        found = await _start(folder, stack, port)
        if not command:
            announce(f"Kubernetes API: https://127.0.0.1:{found}\nexport KUBECONFIG={folder.kubeconfig}")
            await asked.wait()
            return 0
        return await _run(command, folder, asked)


async def _start(folder: Folder, stack: AsyncExitStack, port: int | None) -> int:
    folder.open()
    stack.callback(folder.close)
    make_private(folder.log.parent)
    setup()
    chosen = choose_port(port, folder.state().api_port, 0, "styr api --port")
    clock, rng, registry = SystemClock(), random.SystemRandom(), own_registry()
    control = ControlPlane(folder, stack, clock, rng, registry)
    await control.start()
    control.server.mount("/metrics", Pages(registry))
    manager = Manager(control.client, clock, rng, registry)
    for controller in (*controllers.controllers(), *control.trusted()):
        manager.add(controller)
    tasks = await stack.enter_async_context(Tasks("api"))
    tasks.spawn(manager.run(), name="controllers")
    tasks.spawn(control.seal_anew(), name="keys of encryption")
    await manager.synced()
    found = await control.listen(chosen)
    folder.write_state(api_port=found, pid=os.getpid(), start=start_time(os.getpid()))
    return found


async def _run(command: Sequence[str], folder: Folder, asked: asyncio.Event) -> int:
    """Signals to us go on to the command. Its status, as a shell tells it."""
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "KUBECONFIG": str(folder.kubeconfig)})
    ended, stopping = asyncio.ensure_future(process.wait()), asyncio.ensure_future(asked.wait())
    await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait((ended,), timeout=PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    status = await ended
    return 128 - status if status < 0 else status
