"""What a pod needs next: which containers to start, when to look again, whether it is over. Pure; called by `pod.py`.

Restart rules and backoff: Kubernetes' "Pod Lifecycle". The first restart is immediate, the next ones wait 10 s, 20 s ...
300 s; ten minutes of running forget earlier crashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from styr.kinds.resources import Object
from styr.node.record import ContainerRecord, PodRecord
from styr.node.runtimes.base import EXEC_FAILED, Exit
from styr.node.status import done, phase_of, terminated

BACKOFF_FIRST = 10.0
BACKOFF_MOST = 300.0
FORGIVEN_AFTER = 600.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`wake` is a time in seconds since 1970, None when only an event can bring news."""

    start: tuple[Mapping[str, Any], ...] = ()
    wake: float | None = None
    over: bool = False
    too_late: bool = False


def plan(pod: Object, record: PodRecord, now: float) -> Plan:
    if phase_of(pod, record) in ("Succeeded", "Failed"):
        return Plan(over=True)
    spec = pod["spec"]
    limit = spec.get("activeDeadlineSeconds")
    deadline = record.started_at + limit if limit is not None else None
    if deadline is not None and now >= deadline:
        return Plan(too_late=True)
    candidates = _candidates(spec, record)
    start = tuple(c for c in candidates if _due(record.container(c["name"]), now))
    times = [record.container(c["name"]).retry_at for c in candidates if c not in start]
    wake = min([*times, *([deadline] if deadline is not None else [])], default=None)
    return Plan(start, wake)


def _due(container: ContainerRecord, now: float) -> bool:
    """No wait is longer than the longest: one that seems so was counted by a clock that has been set back since."""
    return not 0 < container.retry_at - now <= BACKOFF_MOST


def _candidates(spec: Mapping[str, Any], record: PodRecord) -> list[Mapping[str, Any]]:
    """Containers that wait for a start, now or later: the first unfinished init container, or all the others."""
    for container in spec.get("initContainers") or ():
        state = record.container(container["name"])
        if not done(state):
            return [container] if state.phase == "waiting" else []
    later = (*spec["containers"], *(spec.get("ephemeralContainers") or ()))
    return [c for c in later if record.container(c["name"]).phase == "waiting"]


def ended(pod: Object, record: PodRecord, container: ContainerRecord, exit: Exit, message: str = "") -> None:
    """Writes down an end, and whether and when there is a next start."""
    container.phase, container.exit_code, container.signal = "terminated", exit.code, exit.signal
    container.finished_at, container.handle = exit.finished, None
    container.ready = container.started = False
    container.why_not_ready = ""
    container.reason, container.message = _reason(exit), exit.error or message
    container.last = terminated(container, record) if _again(pod, record, container) else container.last
    if not _again(pod, record, container):
        return
    if exit.finished - container.started_at >= FORGIVEN_AFTER:
        container.backoff = 0.0
    delay = container.backoff
    container.backoff = min(BACKOFF_MOST, max(BACKOFF_FIRST, delay * 2))
    container.retry_at = exit.finished + delay
    container.phase, container.reason = "waiting", "CrashLoopBackOff"
    whose = f"container={container.name} pod={record.name}_{record.namespace}({record.uid})"
    container.message = f"back-off {delay:.0f}s restarting failed {whose}"


def _reason(exit: Exit) -> str:
    if not exit.known:
        return "ContainerStatusUnknown"
    if exit.error and exit.code == EXEC_FAILED:
        return "StartError"
    return "Completed" if exit.code == 0 else "Error"


def _again(pod: Object, record: PodRecord, container: ContainerRecord) -> bool:
    if record.stopped or record.failed or "deletionTimestamp" in pod["metadata"]:
        return False
    policy = pod["spec"].get("restartPolicy", "Always")
    if any(c["name"] == container.name for c in pod["spec"].get("ephemeralContainers") or ()):
        return False
    is_init = any(c["name"] == container.name for c in pod["spec"].get("initContainers") or ())
    if container.exit_code == 0:
        return bool(policy == "Always" and not is_init)
    return bool(policy != "Never")
