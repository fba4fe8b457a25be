"""What the node remembers of a pod on disk, so that a crash at any line resumes: DIR/node/pods/UID/state.json.

Called by `pod.py` and `agent.py`. A record is written before the thing it announces happens (a port before it is told, a
launcher before its app may run) and after what it reports (an exit). Pure but for `load` and `save`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from styr.kit.files import write_atomic
from styr.node.runtimes.base import Handle

FORMAT = 1


@dataclass(slots=True)
class ContainerRecord:
    """One container of the pod. `phase` is waiting, running or terminated; times are seconds since 1970."""

    name: str
    phase: str = "waiting"
    reason: str = "ContainerCreating"
    message: str = ""
    restarts: int = 0
    handle: Handle | None = None
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    signal: int = 0
    image_id: str = ""
    last: dict[str, Any] | None = None
    """The status' lastState.terminated."""
    backoff: float = 0.0
    """Seconds of the next wait before a restart."""
    retry_at: float = 0.0
    started: bool = False
    ready: bool = False
    why_not_ready: str = ""
    token: str = ""
    """Whoever names it may attach; "" when nobody may."""

    @property
    def attempted(self) -> bool:
        return self.phase != "waiting" or self.last is not None


@dataclass(slots=True)
class PodRecord:
    """`failed` is (reason, message) of a pod that the node ended itself: refused, past its deadline, evicted."""

    uid: str
    namespace: str
    name: str
    ports: dict[str, int] = field(default_factory=dict)
    started_at: float = 0.0
    containers: dict[str, ContainerRecord] = field(default_factory=dict)
    failed: tuple[str, str] | None = None
    drained: bool = False
    stopped: bool = False

    def container(self, name: str) -> ContainerRecord:
        return self.containers.setdefault(name, ContainerRecord(name))

    def running(self) -> list[ContainerRecord]:
        return [record for record in self.containers.values() if record.phase == "running"]


def save(path: Path, record: PodRecord) -> None:
    """Not synced: what it describes does not survive a power cut either. Raises OSError."""
    content = {"format": FORMAT, **asdict(record)}
    write_atomic(path, json.dumps(content, separators=(",", ":")), durable=False)


def load(path: Path) -> PodRecord | None:
    """None when there is none, or none that can be read (cut off by a power failure, of another format)."""
    try:
        content = json.loads(path.read_bytes())
        if content.pop("format") != FORMAT:
            return None
        containers = {name: _container(value) for name, value in content.pop("containers").items()}
        failed = content.pop("failed")
        return PodRecord(**content, containers=containers, failed=(failed[0], failed[1]) if failed else None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None


def _container(value: dict[str, Any]) -> ContainerRecord:
    handle = value.pop("handle")
    return ContainerRecord(**value, handle=Handle(**handle) if handle else None)
