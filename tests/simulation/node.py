"""A node that runs no processes but behaves as if: pods start, become ready, crash, come back, and end when asked to.

Its machine (what runs) outlives the control plane; its agent is a controller like any other and is restarted with it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from styr.client.controller import After, Context, Controller, Done, Key, Outcome
from styr.kinds import conditions, meta, pods
from styr.kinds.errors import NotFound
from styr.kinds.resources import POD, Object

NAME = "sim"


@dataclass
class Process:
    """What runs for one pod. Times are the loop's; `ready_at` moves when it crashes, `ends_at` is set when told to end."""

    key: Key
    port: int
    ready_at: float
    restarts: int = 0
    ends_at: float | None = None


@dataclass
class Machine:
    """Survives every crash of the control plane."""

    random: Random
    troubled: bool = True
    processes: dict[str, Process] = field(default_factory=dict)
    started: int = 0
    _next_port: int = 20000

    def start(self, pod: Object) -> Process:
        self._next_port += 1
        self.started += 1
        now = asyncio.get_running_loop().time()
        process = Process(meta.key(pod), self._next_port, now + self.random.uniform(0.1, 3.0))
        self.processes[meta.uid(pod)] = process
        return process

    def maybe_crash(self, process: Process) -> None:
        """Called now and then: a running process sometimes dies and needs a while to come back."""
        now = asyncio.get_running_loop().time()
        if self.troubled and now > process.ready_at and self.random.random() < 0.02:
            process.restarts += 1
            process.ready_at = now + self.random.uniform(0.5, 8.0)

    def sweep(self, known: set[str]) -> None:
        """What belongs to no pod is ended."""
        for uid in [uid for uid in self.processes if uid not in known]:
            del self.processes[uid]


def node_object() -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME, "labels": {"kubernetes.io/hostname": NAME}}}


def node_status(now: str) -> dict[str, Any]:
    told = conditions.put((), "Ready", True, now=now, reason="KubeletReady")
    return {"conditions": told, "allocatable": {"cpu": "64", "memory": "64Gi", "pods": "500"}}


@dataclass
class Agent:
    """What a kubelet does, against the machine."""

    machine: Machine

    async def reconcile(self, ctx: Context, key: Key) -> Outcome:
        pod = ctx.get(POD, key)
        self.machine.sweep({meta.uid(found) for found in ctx.list(POD)})
        if pod is None:
            return Done()
        process = self.machine.processes.get(meta.uid(pod))
        if meta.deleting(pod):
            return await self._end(ctx, pod, process)
        if (pod.get("spec") or {}).get("nodeName") != NAME or pods.is_terminal(pod):
            return Done()
        if process is None:
            process = self.machine.start(pod)
        self.machine.maybe_crash(process)
        try:
            return await self._tell(ctx, pod, process)
        except NotFound:
            return Done()

    async def _end(self, ctx: Context, pod: Object, process: Process | None) -> Outcome:
        now = asyncio.get_running_loop().time()
        if process is not None:
            if process.ends_at is None:
                grace = float(meta.metadata(pod).get("deletionGracePeriodSeconds") or 0)
                process.ends_at = now + self.machine.random.uniform(0, min(5.0, grace))
            if now < process.ends_at:
                return After(process.ends_at - now)
            self.machine.processes.pop(meta.uid(pod), None)
        await ctx.delete(POD, pod, grace=0)
        return Done()

    async def _tell(self, ctx: Context, pod: Object, process: Process) -> Outcome:
        now = asyncio.get_running_loop().time()
        if pods.PORTS_ANNOTATION not in meta.annotations(pod):
            declared = [p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports") or ()]
            ports = json.dumps({str(port): process.port for port in declared})
            pod = await ctx.patch(POD, pod, {"metadata": {"annotations": {pods.PORTS_ANNOTATION: ports}}})
        ready = now >= process.ready_at
        status = pod.get("status") or {}
        told = conditions.put(status.get("conditions"), "Ready", ready, now=ctx.now(), reason="Simulated")
        wanted = {**status, "phase": "Running", "podIP": "127.0.0.1", "conditions": told}
        wanted["containerStatuses"] = [_container(pod, ready, process.restarts)]
        await ctx.set_status(POD, pod, wanted)
        return After(process.ready_at - now if not ready else 5.0)


def controller(machine: Machine) -> Controller:
    return Controller("sim-node", POD, Agent(machine).reconcile)


def _container(pod: Object, ready: bool, restarts: int) -> dict[str, Any]:
    spec = pod["spec"]["containers"][0]
    return {
        "name": spec["name"],
        "image": spec.get("image", ""),
        "imageID": "",
        "ready": ready,
        "restartCount": restarts,
        "state": {"running": {}},
    }
