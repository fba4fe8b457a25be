"""What must hold after every single write, not only once all has settled. Fed by the store itself, so nothing slips by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from styr.api.store.records import Change
from styr.kinds import meta, pods
from styr.kinds.resources import DAEMON_SET, HTTP_ROUTE, POD, REPLICA_SET, REPLICATION_CONTROLLER, Object

_OWNERS = tuple(kind.group_resource for kind in (REPLICA_SET, REPLICATION_CONTROLLER, DAEMON_SET))


@dataclass
class Monitor:
    violations: list[str] = field(default_factory=list)
    _largest: dict[str, int] = field(default_factory=dict)
    """The largest size that each owner of pods ever had, by uid: a DaemonSet's is the one node, and one more while it
    surges."""
    _active: dict[str, set[str]] = field(default_factory=dict)
    """Names of the active pods of each owner, by its uid."""
    _revision: int = 0

    def see(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.revision <= self._revision:
                self.violations.append(f"revision {change.revision} came after {self._revision}")
            self._revision = change.revision
            if change.key.resource in _OWNERS and change.new is not None:
                owner = change.new.decode()
                self._largest[meta.uid(owner)] = max(_size(owner), self._largest.get(meta.uid(owner), 0))
            elif change.key.resource == HTTP_ROUTE.group_resource and change.new is not None:
                self._route(change.new.decode())
            elif change.key.resource == POD.group_resource:
                self._pod(change)

    def _route(self, route: Object) -> None:
        for rule in route["spec"].get("rules") or ():
            weights = {ref["name"]: ref.get("weight", 1) for ref in rule.get("backendRefs") or ()}
            if sum(weights.values()) != 100:
                self.violations.append(f"the weights of route {meta.key(route)} are {weights}")

    def _pod(self, change: Change) -> None:
        old = change.old.decode() if change.old is not None else None
        new = change.new.decode() if change.new is not None else None
        for pod in (old, new):
            if pod is not None and (owner := _owner(pod)):
                active = self._active.setdefault(owner, set())
                if pod is new and pods.is_active(pod):
                    active.add(meta.name(pod))
                else:
                    active.discard(meta.name(pod))
                if len(active) > self._largest.get(owner, 0):
                    self.violations.append(
                        f"{meta.key(pod)} is one too many: {len(active)} active pods of an owner that was never "
                        f"larger than {self._largest.get(owner, 0)}"
                    )
        if old is not None and new is not None:
            before, after = (old["spec"].get("nodeName"), new["spec"].get("nodeName"))
            if before and before != after:
                self.violations.append(f"{meta.key(new)} moved from {before} to {after}")


def _size(owner: Object) -> int:
    if owner["kind"] != DAEMON_SET.kind:
        return int(owner["spec"]["replicas"])
    rolling = (owner["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return 2 if rolling.get("maxSurge") else 1


def _owner(pod: Object) -> str:
    return str((meta.controller_of(pod) or {}).get("uid", ""))
