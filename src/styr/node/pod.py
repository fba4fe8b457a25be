"""The life of one pod on this node, from its binding to the removal of its last file. Made by `agent.py`, one task a pod.

Level-triggered: each pass reads the newest Pod, what is recorded on disk and the time, lets `plan.py` decide, acts, and
writes the status. Every step is recorded before the next, so a node killed at any line goes on where it was.

    deletion: status not Ready ─▶ drain (traffic moves away) ─▶ preStop ─▶ SIGTERM ─▶ grace ─▶ SIGKILL ─▶ object and folder go
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from styr.client.context import Context
from styr.client.transport import TransportError
from styr.kinds import meta
from styr.kinds.errors import ApiError, Conflict, NotFound
from styr.kinds.pods import PORTS_ANNOTATION, is_terminal
from styr.kinds.resources import POD, Object
from styr.kinds.seams import ImageStore
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.node import status
from styr.node.containers import Containers
from styr.node.metrics import NodeMetrics
from styr.node.plan import plan
from styr.node.record import PodRecord, load, save
from styr.node.refusals import Identity, Refusal, refusals, refusals_of, unenforced
from styr.node.runtimes.base import EXEC_FAILED, Runtime

log = Log("styr.node.pod")

DRAIN = 1.0
"""Seconds between "not Ready" and SIGTERM for a pod that had users: time for the proxies to hear of it."""
RETRY = 1.0
"""Seconds after which a failed write to the API is tried again."""
FORCED_GRACE = 1.0
"""Seconds that the processes of a pod get whose object is already gone."""


class PodWorker:
    """`folder` is DIR/node/pods/UID. `taken` holds the ports given out on this node."""

    def __init__(
        self, pod: Object, folder: Path, *, context: Context, runtime: Runtime, images: ImageStore | None,
        clock: Clock, random: Random, taken: set[int], metrics: NodeMetrics, drain: float = DRAIN,
    ) -> None:  # fmt: skip
        self.pod, self.folder = pod, folder
        self._context, self._clock, self._random, self._runtime = context, clock, random, runtime
        self._taken, self._drain = taken, drain
        self._wake, self._gone = asyncio.Event(), False
        self._written: dict[str, Any] | None = None
        found = load(folder / "state.json")
        self._new = found is None
        self._checked = False
        self._foreign = self._new and is_terminal(pod)
        self.record = found or PodRecord(meta.uid(pod), meta.namespace(pod), meta.name(pod), started_at=clock.time())
        taken.update(self.record.ports.values())
        self.containers = Containers(
            pod, self.record, folder, context=context, runtime=runtime, images=images, clock=clock,
            save=self._save, changed=self._wake.set, metrics=metrics,
        )  # fmt: skip

    @property
    def uid(self) -> str:
        return self.record.uid

    def update(self, pod: Object) -> None:
        """The Pod has changed."""
        self.pod = self.containers.pod = pod
        self._wake.set()

    def vanish(self) -> None:
        """The Pod is gone from the API, or bound elsewhere: end the processes, write nothing."""
        self._gone = True
        self._wake.set()

    async def run(self) -> None:
        """Until the pod and its folder are gone. Cancelled when the node stops: the processes then go on."""
        try:
            if self._foreign:
                await self._await_deletion()
            else:
                while (again := await self._guarded(self._begin)) is not None and not self._gone:
                    await self._pause(again)
                while not (self._gone or meta.deleting(self.pod)):
                    await self._pause(await self._guarded(self._pass))
            await self._leave()
        finally:
            await self.containers.close()

    async def _await_deletion(self) -> None:
        while not (self._gone or meta.deleting(self.pod)):
            await self._pause(None)

    # beginning

    async def _begin(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._new:
            await self._runtime.sweep(self.folder)  # a damaged record must not leave processes nobody knows
        self._save()
        for spec in self._specs():
            if self.record.container(spec["name"]).phase == "running":
                self.containers.watch(spec)

    async def _check(self) -> None:
        """Once, before anything starts: refuses what cannot be honoured."""
        if self._checked:
            return
        self._checked = True
        try:
            bad = refusals(self.pod, Identity(os.getuid(), os.getgid()), self.containers.known_image)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            bad = [Refusal("spec", f"malformed ({type(error).__name__}: {error})")]
        if bad:
            message = "; ".join(map(str, bad))
            self.record.failed = ("UnsupportedPodSpec", message)
            self._save()
            await self._context.event(self.pod, "Warning", "UnsupportedPodSpec", message)
            return
        if limits := unenforced(self.pod):
            message = f"not enforced by the runtime process: {', '.join(limits)}"
            await self._context.event(self.pod, "Warning", "LimitsNotEnforced", message)

    async def _give_ports(self) -> None:
        """Recorded first, told second, used third; a restart of a container keeps them."""
        own = bool(self.pod["spec"].get("hostNetwork"))
        for spec in self._specs():
            for port in spec.get("ports") or ():
                number = str(port["containerPort"])
                if number not in self.record.ports:
                    self.record.ports[number] = int(number) if own else free_port(self._random, self._taken)
        self._save()
        table = json.dumps(self.record.ports, sort_keys=True)
        if self.record.ports and meta.annotations(self.pod).get(PORTS_ANNOTATION) != table:
            patch = {"metadata": {"uid": self.uid, "annotations": {PORTS_ANNOTATION: table}}}
            self.update(await self._context.patch(POD, self.pod, patch))

    async def _keep_ports(self, spec: Mapping[str, Any]) -> None:
        """A restart keeps its ports, unless another program has taken one meanwhile: then the app could never listen."""
        if not self.record.container(spec["name"]).attempted or self.pod["spec"].get("hostNetwork"):
            return
        for port in spec.get("ports") or ():
            number = str(port["containerPort"])
            old = self.record.ports.get(number)
            if old is not None and port.get("protocol", "TCP") == "TCP" and not can_listen(old):
                del self.record.ports[number]
                message = f"port {old} of containerPort {number} is taken by another program; the pod gets a new one"
                await self._context.event(self.pod, "Warning", "PortTaken", message)
        await self._give_ports()

    # living

    async def _pass(self) -> float | None:
        """One look: what has to be done, done. Returns seconds until the next, None for "when something happens"."""
        record = self.record
        if not any(c.attempted for c in record.containers.values()) and not record.failed:
            await self._check()
            if not record.failed:
                await self._give_ports()
        now = self._clock.time()
        todo = plan(self.pod, record, now)
        if todo.too_late:
            record.failed = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            self._save()
            await self._context.event(self.pod, "Normal", "DeadlineExceeded", record.failed[1])
            await self._stop_all(self._grace())
            return 0.0
        for spec in todo.start:
            if not await self._refused(spec):
                await self._keep_ports(spec)
                await self.containers.start(spec)
        if todo.over:
            await self._stop_all(self._grace())
            await asyncio.to_thread(self._free_disk)
        self._save()
        await self._write_status()
        if todo.start:
            return 0.0
        return max(0.0, todo.wake - now) if todo.wake is not None else None

    def _free_disk(self) -> None:
        """An ended pod keeps its logs alone."""
        for name in ("work", "tmp"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    async def _write_status(self) -> None:
        wanted = status.build(self.pod, self.record, self._clock.time())
        current = self.pod.get("status") or {}
        if all(current.get(key) == value for key, value in wanted.items()):
            return
        patch = {"metadata": {"uid": self.uid}, "status": wanted}
        answer = await self._context.patch(POD, self.pod, patch, subresource="status")
        if not self._gone and not (meta.deleting(self.pod) and not meta.deleting(answer)):
            self.pod = self.containers.pod = answer

    async def _guarded(self, work: Callable[[], Any]) -> float | None:
        """Runs it; a failing API or disk is tried again, and never ends a pod."""
        try:
            result: float | None = await work()
            return result
        except (NotFound, Conflict) as error:
            log.info("pod changed meanwhile", pod=meta.key(self.pod), error=error)  # the watch tells what became of it
        except (ApiError, TransportError, OSError) as error:
            log.warning("pod has to wait", pod=meta.key(self.pod), error=error)
        return RETRY

    async def _pause(self, seconds: float | None) -> None:
        """Until something happens, or that time has passed."""
        if seconds == 0.0:
            return
        woken = asyncio.ensure_future(self._wake.wait())
        waits: set[asyncio.Future[Any]] = {woken}
        if seconds is not None:
            waits.add(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._wake.clear()

    # leaving

    async def _leave(self) -> None:
        """Ends everything of the pod, then the object, then the folder. Any part may have been done before a crash."""
        if not (self._gone or self._foreign):
            await self._guarded(self._write_status)
            await self._drain_users()
        await self._stop_all(FORCED_GRACE if self._gone else self._grace())
        self.record.stopped = True
        self._try_save()
        await self._runtime.sweep(self.folder)
        while not self._gone:
            try:
                if not self._foreign:
                    await self._write_status()
                await self._context.delete(POD, self.pod, grace=0)
                break
            except (NotFound, Conflict):
                break
            except (ApiError, TransportError) as error:
                log.warning("pod cannot be removed from the API", pod=meta.key(self.pod), error=error)
                await self._pause(RETRY)
        await asyncio.to_thread(shutil.rmtree, self.folder, True)
        self._taken.difference_update(self.record.ports.values())

    async def _drain_users(self) -> None:
        record = self.record
        if record.drained or not record.ports or not any(c.ready for c in record.running()):
            return
        until = self._clock.monotonic() + self._drain
        while not self._gone and (left := until - self._clock.monotonic()) > 0:
            await self._pause(left)
        record.drained = True
        self._try_save()

    async def _stop_all(self, grace: float) -> None:
        running = [spec for spec in self._specs() if self.record.container(spec["name"]).phase == "running"]
        if not running:
            return
        names = ", ".join(spec["name"] for spec in running)
        stops = asyncio.gather(*(self.containers.stop(spec, grace) for spec in running))
        if not self._gone:
            await self._context.event(self.pod, "Normal", "Killing", f"Stopping container {names}")
        while not stops.done():
            forced = self._gone or meta.metadata(self.pod).get("deletionGracePeriodSeconds") == 0
            if forced and grace > FORCED_GRACE:
                for container in self.record.running():
                    if container.handle is not None:
                        await self._runtime.kill(container.handle, self.folder)
            woken = asyncio.ensure_future(self._wake.wait())
            waits: set[asyncio.Future[Any]] = {stops, woken}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            woken.cancel()
            self._wake.clear()
        await stops
        self._wake.set()

    def _grace(self) -> float:
        for value in (
            meta.metadata(self.pod).get("deletionGracePeriodSeconds"),
            self.pod["spec"].get("terminationGracePeriodSeconds"),
        ):
            if value is not None:
                return float(value)
        return 30.0

    def _specs(self) -> list[Mapping[str, Any]]:
        spec = self.pod["spec"]
        return [*(spec.get("initContainers") or ()), *spec["containers"], *(spec.get("ephemeralContainers") or ())]

    async def _refused(self, spec: Mapping[str, Any]) -> bool:
        """A container that joined later (`kubectl debug`) is looked at when its turn comes."""
        joined = [c["name"] for c in self.pod["spec"].get("ephemeralContainers") or ()]
        if spec["name"] not in joined:
            return False
        path = f"spec.ephemeralContainers[{joined.index(spec['name'])}]"
        me = Identity(os.getuid(), os.getgid())
        bad = refusals_of(self.pod, spec, path, me, self.containers.known_image)
        if bad:
            container = self.record.container(spec["name"])
            container.phase, container.reason, container.exit_code = "terminated", "UnsupportedPodSpec", EXEC_FAILED
            container.message, container.finished_at = "; ".join(map(str, bad)), self._clock.time()
            await self._context.event(self.pod, "Warning", "UnsupportedPodSpec", container.message)
        return bool(bad)

    def _save(self) -> None:
        save(self.folder / "state.json", self.record)

    def _try_save(self) -> None:
        """On the way out a full disk must not keep a pod alive: a step that is not recorded is done twice."""
        try:
            self._save()
        except OSError as error:
            log.warning("step not recorded", pod=meta.key(self.pod), error=error)


def free_port(random: Random, taken: set[int]) -> int:
    """A TCP port of 127.0.0.1 that nobody has, added to `taken`. Below the range of outgoing connections where there is
    room: one of those must not sit on the port while its app restarts. Raises OSError."""
    low = _ephemeral_low()
    for _ in range(100):
        candidate = random.randrange(20000, low) if low > 21000 else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            number = int(probe.getsockname()[1])
        if number not in taken:
            taken.add(number)
            return number
    raise OSError("no free port on 127.0.0.1 after 100 tries; `ss -tln` shows who has them")


def can_listen(number: int) -> bool:
    """Nobody else listens there (connections that only linger are no hindrance)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
        return True


def _ephemeral_low() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
