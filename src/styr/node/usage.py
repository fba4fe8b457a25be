"""What the node and its containers use, for metrics.k8s.io: read from /proc when somebody asks, never before.

Made by `agent`. A container is its launcher and all that descends from it; processor time of children that have ended counts
with the parent that waited for them. Memory is the proportional share (PSS): pages that two
containers share count once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from styr.kinds.seams import NodeUsage, Usage
from styr.kit.clock import Clock
from styr.node.record import PodRecord
from styr.node.runtimes.base import Handle

FIRST_WINDOW = 0.5
"""Seconds between two looks when the last one is too long ago."""
LONGEST_WINDOW = 120.0
KEPT = 10.0
"""Seconds after which a look replaces the one that later ones are compared with."""
FRESH = 1.0
"""Seconds for which an answer stands."""

_TICKS = os.sysconf("SC_CLK_TCK")
Place = tuple[str, str, str]
"""(namespace, pod, container)"""


@dataclass(frozen=True, slots=True)
class Look:
    """`busy` is processor seconds of the whole machine since its start, `cpu` those of each container, by handle."""

    at: float
    moment: float
    busy: float
    memory: int
    cpu: Mapping[Place, tuple[Handle, float]]
    held: Mapping[Place, int]


class Usages:
    """`records` are those of the pods that this node runs."""

    def __init__(self, node: str, records: Callable[[], Iterable[PodRecord]], clock: Clock, proc: Path = Path("/proc")):
        self._node = node
        self._records = records
        self._clock = clock
        self._proc = proc
        self._before: Look | None = None
        self._last: NodeUsage | None = None
        self._one = asyncio.Lock()

    async def __call__(self) -> NodeUsage:
        async with self._one:
            now = self._clock.time()
            if self._last is None or not 0 <= now - self._last.at < FRESH:
                self._last = await self._measure()
            return self._last

    async def _measure(self) -> NodeUsage:
        look, before = await self._look(), self._before
        if before is None or not FRESH <= look.moment - before.moment <= LONGEST_WINDOW:
            self._before = before = look
            await self._clock.sleep(FIRST_WINDOW)
            look = await self._look()
        found = compare(self._node, before, look)
        if look.moment - before.moment >= KEPT:
            self._before = look
        return found

    async def _look(self) -> Look:
        running = {
            (record.namespace, record.name, container.name): container.handle
            for record in self._records()
            for container in record.containers.values()
            if container.phase == "running" and container.handle is not None
        }
        at, moment = self._clock.time(), self._clock.monotonic()
        return await asyncio.to_thread(read, self._proc, running, at, moment)


def compare(node: str, before: Look, after: Look) -> NodeUsage:
    window = max(after.moment - before.moment, 1e-3)
    pods: dict[tuple[str, str], dict[str, Usage]] = {}
    for place, (handle, seconds) in after.cpu.items():
        known = before.cpu.get(place)
        # A container that was started meanwhile has used all that it has within the window.
        earlier = known[1] if known is not None and known[0] == handle else 0.0
        usage = Usage(max(0.0, seconds - earlier) / window, after.held[place])
        pods.setdefault(place[:2], {})[place[2]] = usage
    whole = Usage(max(0.0, after.busy - before.busy) / window, after.memory)
    return NodeUsage(node, after.at, window, whole, pods)


def read(proc: Path, running: Mapping[Place, Handle], at: float, moment: float) -> Look:
    """Blocks for some milliseconds. Processes that end meanwhile are left out."""
    times, children, started = _processes(proc)
    cpu: dict[Place, tuple[Handle, float]] = {}
    held: dict[Place, int] = {}
    for place, handle in running.items():
        if started.get(handle.pid) != handle.started:
            continue
        family = _family(handle.pid, children)
        cpu[place] = (handle, sum(times[pid] for pid in family) / _TICKS)
        held[place] = sum(_memory(proc, pid) for pid in family)
    return Look(at, moment, _busy(proc), _used(proc), cpu, held)


def _processes(proc: Path) -> tuple[dict[int, int], dict[int, list[int]], dict[int, int]]:
    """Ticks, children and start of every process. Format: proc(5), /proc/PID/stat."""
    times: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    started: dict[int, int] = {}
    for entry in os.listdir(proc):
        if not entry.isdigit():
            continue
        try:
            fields = (proc / entry / "stat").read_bytes().rpartition(b")")[2].split()
            pid, parent = int(entry), int(fields[1])
            times[pid] = sum(int(fields[index]) for index in (11, 12, 13, 14))
            started[pid] = int(fields[19])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(pid)
    return times, children, started


def _family(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], ())
    return found


def _memory(proc: Path, pid: int) -> int:
    """Bytes: the proportional share where the kernel tells it, else what is resident."""
    try:
        for line in (proc / str(pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return int((proc / str(pid) / "statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _busy(proc: Path) -> float:
    """Seconds that all processors were not idle."""
    fields = [int(field) for field in (proc / "stat").read_bytes().split(b"\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


def _used(proc: Path) -> int:
    """Bytes that are not available to new programs."""
    known = {}
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        known[name] = int(rest.split()[0]) * 1024
    return known["MemTotal"] - known.get("MemAvailable", known["MemFree"])
