"""A node that runs nothing: it does to the API what a kubelet does, at once. Pods bound to it are Running and Ready, have an
address, and go when they are told to. So a behaviour about objects and controllers needs no process, and one that does
need a process cannot pass by accident: there are no logs, no exec and no traffic here.
"""

from __future__ import annotations

import itertools
from typing import Any

from styr.client.client import Client
from styr.client.controller import Context, Controller, Done, Key, Outcome
from styr.kinds import conditions, meta, pods
from styr.kinds.errors import NotFound, Unavailable
from styr.kinds.resources import NODE, POD, Object

PREFIX = "hollow-"
NAMES = ("hollow-1", "hollow-2")
"""What is there from the start; a test may add nodes of its own with such a name."""
HOLD = "behaviour.styr.dev/hold"
"""A pod with this annotation stays as it is: "pending" never starts, "unready" runs without becoming ready."""

_addresses = itertools.count(1)


class Streams:
    """What the server asks for exec, attach and port-forward: a `kinds.seams.PodStreams` that has none of it."""

    async def exec(self, *_: Any) -> Any:
        raise Unavailable("nothing runs on a hollow node")

    attach = forward = address = exec

    async def about(self, *_: Any) -> None:
        return None


async def register(client: Client, now: str) -> None:
    for name in NAMES:
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        made = await client.create(
            NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        )
        room = {"cpu": "64", "memory": "64Gi", "pods": "1000", "ephemeral-storage": "1Ti"}
        told = conditions.put((), "Ready", True, now=now, reason="KubeletReady", message="hollow")
        status = {"conditions": told, "allocatable": room, "capacity": room}
        await client.update_status(NODE, {**made, "status": status})
        await client.patch(NODE, name, "", {"spec": {"taints": None}})  # a new node is tainted until it is ready


async def reconcile(ctx: Context, key: Key) -> Outcome:
    pod = ctx.get(POD, key)
    if pod is None or not str((pod.get("spec") or {}).get("nodeName") or "").startswith(PREFIX):
        return Done()
    hold = meta.annotations(pod).get(HOLD)
    try:
        if meta.deleting(pod):
            await ctx.delete(POD, pod, grace=0)
        elif hold != "pending" and not pods.is_terminal(pod):
            await ctx.set_status(POD, pod, running(pod, ready=hold != "unready", now=ctx.now()))
    except NotFound:
        pass
    return Done()


def running(pod: Object, *, ready: bool, now: str) -> dict[str, Any]:
    """The status of a pod that runs; what is there already stays."""
    status: dict[str, Any] = {**(pod.get("status") or {}), "phase": "Running", "hostIP": "127.0.0.1"}
    if "podIP" not in status:
        number = next(_addresses)
        status["podIP"] = f"10.99.{number >> 8}.{number & 255}"
        status["podIPs"] = [{"ip": status["podIP"]}]
        status["startTime"] = now
    told = status.get("conditions")
    for type, holds in (("Initialized", True), ("ContainersReady", ready), ("Ready", ready)):
        told = conditions.put(told, type, holds, now=now, reason="" if holds else "ContainersNotReady")
    status["conditions"] = told
    status["observedGeneration"] = meta.metadata(pod).get("generation")
    status["containerStatuses"] = [
        _container(container, ready, status["startTime"]) for container in pod["spec"]["containers"]
    ]
    return status


def _container(spec: Object, ready: bool, since: str) -> dict[str, Any]:
    return {
        "name": spec["name"],
        "image": spec.get("image", ""),
        "imageID": "",
        "resources": spec.get("resources") or {},
        "allocatedResources": (spec.get("resources") or {}).get("requests") or {},
        "ready": ready,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": since}},
    }


def controller() -> Controller:
    return Controller("hollow-node", POD, reconcile)
