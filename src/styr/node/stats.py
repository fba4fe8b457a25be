"""What the node tells of itself and its pods, under the kubelet's paths: /healthz, /pods, /stats/summary.

Called by `streams.py` for the `proxy` subresource of nodes, in a thread: it reads /proc. Format of the summary:
k8s.io/kubelet/pkg/apis/stats/v1alpha1, with what is known of processes: processor time and resident memory.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from styr.kit.clock import rfc3339
from styr.node.pod import PodWorker
from styr.node.record import ContainerRecord

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def answer(node: str, path: str, workers: Iterable[PodWorker]) -> tuple[str, bytes] | None:
    """Content type and body; None for a path that is not served."""
    plain = path.rstrip("/")
    if plain == "/healthz":
        return "text/plain; charset=utf-8", b"ok"
    if plain in ("/pods", "/runningpods"):
        pods = [worker.pod for worker in workers]
        return "application/json", _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
    if plain == "/stats/summary":
        return "application/json", _json(summary(node, workers))
    return None


def summary(node: str, workers: Iterable[PodWorker]) -> dict[str, Any]:
    now = rfc3339(time.time())
    pods = [_pod(worker, now) for worker in workers]
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(memory[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    cpu = Path("/proc/stat").read_text().splitlines()[0].split()
    busy = sum(int(cpu[place]) for place in (1, 2, 3, 6, 7))
    used = {"time": now, "availableBytes": free, "usageBytes": total - free, "workingSetBytes": total - free}
    return {"node": {"nodeName": node, "cpu": _cpu(now, busy), "memory": used}, "pods": pods}


def _pod(worker: PodWorker, now: str) -> dict[str, Any]:
    record = worker.record
    return {
        "podRef": {"name": record.name, "namespace": record.namespace, "uid": record.uid},
        "startTime": rfc3339(record.started_at),
        "containers": [_container(container, now) for container in record.running()],
    }


def _container(container: ContainerRecord, now: str) -> dict[str, Any]:
    """Of all its processes but the launcher, which is ours."""
    ticks = pages = 0
    for pid in _below(container.handle.pid) if container.handle else ():
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        ticks += sum(int(fields[place]) for place in (11, 12, 13, 14))
        pages += int(fields[21])
    memory = {"time": now, "rssBytes": pages * _PAGE, "workingSetBytes": pages * _PAGE}
    return {
        "name": container.name,
        "startTime": rfc3339(container.started_at),
        "cpu": _cpu(now, ticks),
        "memory": memory,
    }


def _cpu(now: str, ticks: int) -> dict[str, Any]:
    return {"time": now, "usageCoreNanoSeconds": ticks * (1_000_000_000 // _TICK)}


def _below(pid: int) -> Iterator[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield child
        yield from _below(child)


def _json(obj: dict[str, Any]) -> bytes:
    return json.dumps(obj, separators=(",", ":")).encode()
