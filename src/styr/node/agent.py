"""The node: registers this machine, keeps its heartbeat, and gives every Pod bound to it a worker (`pod.py`).

Made and started by `plane`; writes through `client` only. Stopping it leaves the pods running: the next start adopts them.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from styr.client.context import Context
from styr.client.controller import Controller, Done, Outcome
from styr.client.informers import Informers
from styr.client.transport import TransportError
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, ApiError, NotFound
from styr.kinds.meta import Key
from styr.kinds.resources import LEASE, NAMESPACE, NODE, POD, Object
from styr.kinds.seams import ImageStore, PodLogs, PodStreams, UsageSource
from styr.kit.clock import Clock
from styr.kit.files import make_private
from styr.kit.log import Log
from styr.kit.metrics import CollectorRegistry
from styr.kit.tasks import Tasks
from styr.node import registration
from styr.node.logs import FileLogs
from styr.node.metrics import NodeMetrics
from styr.node.pod import DRAIN, PodWorker
from styr.node.record import PodRecord
from styr.node.runtimes.base import Runtime
from styr.node.runtimes.process import ProcessRuntime
from styr.node.shutdown import stop_pod
from styr.node.streams import Streams
from styr.node.usage import Usages

if TYPE_CHECKING:
    from styr.client.client import Client

log = Log("styr.node")

ORPHAN_GRACE = 10.0
"""Seconds that the processes of a pod get whose object was deleted while no node was there."""


class Node:
    """`name` "" takes the machine's. `data_dir` is DIR; this room owns DIR/node below it."""

    logs: PodLogs
    streams: PodStreams
    usage: UsageSource

    def __init__(
        self, client: Client, *, name: str = "", data_dir: Path, images: ImageStore | None = None,
        clock: Clock, random: Random, runtime: Runtime | None = None, drain: float = DRAIN,
        registry: CollectorRegistry | None = None,
    ) -> None:  # fmt: skip
        self.name = name or registration.node_name()
        self._client, self._images, self._clock, self._random, self._drain = client, images, clock, random, drain
        self._folder = data_dir.resolve() / "node" / "pods"
        self._runtime: Runtime = runtime or ProcessRuntime()
        self._context = Context(client, clock, random, Informers(client, random), f"styr-node, {self.name}")
        self._workers: dict[str, PodWorker] = {}
        self._taken: set[int] = set()
        self._tasks = Tasks("node")
        self._machine: dict[str, Any] = {}
        self.logs = FileLogs(self._folder, clock)
        self.streams = Streams(self.name, self._workers)
        self.usage = Usages(self.name, self._records, clock)
        self._metrics = NodeMetrics(self._records, registry)

    def controllers(self) -> list[Controller]:
        return [Controller("node", POD, self._reconcile)]

    async def start(self) -> None:
        """Registers the machine, adopts the pods that still run, ends those whose object is gone. Raises ApiError when the
        API cannot be reached. Call it once, before the controllers run."""
        make_private(self._folder)
        self._machine = registration.facts()
        await self._register()
        listed = await self._client.list(POD, fields=f"spec.nodeName={self.name}")
        mine = {meta.uid(pod): pod for pod in listed.items if _bound_to(pod) == self.name}
        for folder in sorted(self._folder.iterdir()):
            if folder.name in mine:
                self._worker(mine[folder.name])
            else:
                self._tasks.spawn(self._end_orphan(folder), name=f"orphan {folder.name}")
        self._tasks.spawn(self._heartbeat(), name="heartbeat")

    async def stop(self) -> None:
        """Stops watching and probing. The pods run on."""
        await self._tasks.close()

    # pods

    def _records(self) -> list[PodRecord]:
        return [worker.record for worker in self._workers.values()]

    async def _reconcile(self, context: Context, key: Key) -> Outcome:
        pod = context.get(POD, key)
        mine = pod is not None and _bound_to(pod) == self.name
        for worker in list(self._workers.values()):
            if meta.key(worker.pod) == key and not (mine and pod is not None and worker.uid == meta.uid(pod)):
                worker.vanish()
        if pod is not None and mine:
            self._worker(pod).update({**pod, "apiVersion": "v1", "kind": "Pod"})
        return Done()

    def _worker(self, pod: Object) -> PodWorker:
        uid = meta.uid(pod)
        if (found := self._workers.get(uid)) is not None:
            return found
        worker = self._workers[uid] = PodWorker(
            {**pod, "apiVersion": "v1", "kind": "Pod"}, self._folder / uid, context=self._context, runtime=self._runtime,
            images=self._images, clock=self._clock, random=self._random, taken=self._taken, drain=self._drain,
            metrics=self._metrics,
        )  # fmt: skip
        self._tasks.spawn(self._live(worker), name=f"pod {meta.key(pod)}")
        return worker

    async def _live(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        finally:
            self._workers.pop(worker.uid, None)

    async def _end_orphan(self, folder: Path) -> None:
        log.info("ending a pod whose object is gone", uid=folder.name)
        await stop_pod(self._runtime, folder, ORPHAN_GRACE)
        await asyncio.to_thread(shutil.rmtree, folder, True)

    # the machine itself

    async def _register(self) -> None:
        sandbox = self._runtime.sandbox()
        wanted = registration.node_object(self.name, sandbox, self._machine)
        try:
            node = await self._client.create(NODE, wanted)
        except AlreadyExists:
            labels = {"metadata": {key: wanted["metadata"][key] for key in ("labels", "annotations")}}
            node = await self._client.patch(NODE, self.name, "", labels)
        status = registration.node_status(sandbox, self._machine, node.get("status"), self._clock.time())
        await self._client.patch(NODE, self.name, "", {"status": status}, subresource="status")

    async def _heartbeat(self) -> None:
        """Renews the Lease every ten seconds, and the Node's status should somebody have removed it."""
        while True:
            try:
                await self._renew()
            except (ApiError, TransportError) as error:
                log.warning("heartbeat not written", node=self.name, error=error)
            await self._clock.sleep(registration.HEARTBEAT)

    async def _renew(self) -> None:
        wanted = registration.lease(self.name, self._clock.time())
        try:
            await self._client.patch(LEASE, self.name, registration.LEASE_NAMESPACE, {"spec": wanted["spec"]})
            return
        except NotFound:
            log.debug("first lease", node=self.name)
        try:
            await self._client.create(LEASE, wanted)
        except NotFound:
            namespace = {"metadata": {"name": registration.LEASE_NAMESPACE}}
            await self._client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", **namespace})
            await self._client.create(LEASE, wanted)


def _bound_to(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")
