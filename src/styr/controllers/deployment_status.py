"""What a Deployment's status says. Pure; `deployment.py` calls it and writes it.

Conditions are Kubernetes': Available, ReplicaFailure, and Progressing with the reasons that `kubectl rollout status`
reads: NewReplicaSetCreated, ReplicaSetUpdated, NewReplicaSetAvailable, ProgressDeadlineExceeded, DeploymentPaused.
"""

from __future__ import annotations

from typing import Any

from styr.controllers import rollout
from styr.controllers.naming import without_zeros
from styr.kinds import conditions, meta
from styr.kinds.resources import Object
from styr.kit.clock import parse_rfc3339, rfc3339

Status = dict[str, Any]


def plan(deployment: Object, new: Object | None, sets: list[Object], now: float) -> tuple[Status, float]:
    """The status, and the seconds until the progress deadline could change it, 0 for never."""
    old = deployment.get("status") or {}
    status: Status = {**_counts(deployment, new, sets)}
    if old.get("collisionCount"):
        status["collisionCount"] = old["collisionCount"]
    found = list(old.get("conditions") or ())
    found = _available(deployment, status, found, now)
    found, wait = _progressing(deployment, new, old, status, found, now)
    status["conditions"] = _failure(sets, found, now)
    return status, wait


def complete(deployment: Object, status: Status | None = None) -> bool:
    """Every replica is of the present template and available, and no old one is left."""
    status = (deployment.get("status") or {}) if status is None else status
    wanted = rollout.replicas(deployment)
    counts = [int(status.get(name) or 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
    generation = int(meta.metadata(deployment).get("generation") or 0)
    return counts == [wanted] * 3 and int(status.get("observedGeneration") or 0) >= generation


def _counts(deployment: Object, new: Object | None, sets: list[Object]) -> dict[str, int]:
    def total(name: str) -> int:
        return sum(int((rs.get("status") or {}).get(name) or 0) for rs in sets)

    counts = {
        "observedGeneration": int(meta.metadata(deployment).get("generation") or 0),
        "replicas": total("replicas"),
        "updatedReplicas": int(((new or {}).get("status") or {}).get("replicas") or 0),
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": total("availableReplicas"),
        "unavailableReplicas": max(
            0, max(total("replicas"), rollout.replicas(deployment)) - total("availableReplicas")
        ),
        "terminatingReplicas": total("terminatingReplicas"),
    }
    return without_zeros(counts)


def _available(deployment: Object, status: Status, found: list[Any], now: float) -> list[Any]:
    enough = int(status.get("availableReplicas") or 0) >= rollout.replicas(deployment) - rollout.unavailable(deployment)
    reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
    word = "has" if enough else "does not have"
    return _put(found, "Available", enough, reason, f"Deployment {word} minimum availability.", now)


def _progressing(
    deployment: Object, new: Object | None, old: Status, status: Status, found: list[Any], now: float
) -> tuple[list[Any], float]:
    before = conditions.find(found, "Progressing")
    name = f'ReplicaSet "{meta.name(new)}"' if new is not None else f'Deployment "{meta.name(deployment)}"'
    if rollout.paused(deployment):
        return _put(found, "Progressing", None, "DeploymentPaused", "Deployment is paused", now), 0
    if complete(deployment, status):
        return _put(
            found, "Progressing", True, "NewReplicaSetAvailable", f"{name} has successfully progressed.", now
        ), 0
    moved = _moved(old, status) or old.get("observedGeneration") != status.get("observedGeneration")
    resumed = before is None or before.get("reason") in ("DeploymentPaused", "NewReplicaSetAvailable")
    if resumed or moved:
        reason = "NewReplicaSetCreated" if before is None else "ReplicaSetUpdated"
        word = (
            f"Created new replica set {name[11:]}" if before is None and new is not None else f"{name} is progressing."
        )
        found = _put(found, "Progressing", True, reason, word, now, touch=True)
        before = conditions.find(found, "Progressing")
    assert before is not None
    limit = float(deployment["spec"].get("progressDeadlineSeconds") or 600)
    left = parse_rfc3339(before["lastUpdateTime"]) + limit - now
    if left > 0:
        return found, left
    message = f"{name} has timed out progressing."
    return _put(found, "Progressing", False, "ProgressDeadlineExceeded", message, now), 0


def _moved(old: Status, new: Status) -> bool:
    """More of the new, fewer of the old, or more that serve."""

    def count(status: Status, name: str) -> int:
        return int(status.get(name) or 0)

    def outdated(status: Status) -> int:
        return count(status, "replicas") - count(status, "updatedReplicas")

    rising = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return outdated(new) < outdated(old) or any(count(new, name) > count(old, name) for name in rising)


def _failure(sets: list[Object], found: list[Any], now: float) -> list[Any]:
    """Passed on from whichever ReplicaSet cannot create pods."""
    for rs in sets:
        condition = conditions.find((rs.get("status") or {}).get("conditions"), "ReplicaFailure")
        if condition is not None and condition.get("status") == "True":
            return _put(found, "ReplicaFailure", True, condition.get("reason", ""), condition.get("message", ""), now)
    return [condition for condition in found if condition.get("type") != "ReplicaFailure"]


def _put(
    found: list[Any], kind: str, status: bool | None, reason: str, message: str, now: float, *, touch: bool = False
) -> list[Any]:
    """Deployments' conditions also carry when they last changed in any way (`lastUpdateTime`); `touch` moves it."""
    old = conditions.find(found, kind)
    stamp = rfc3339(now)
    result = conditions.put(found, kind, status, now=stamp, reason=reason, message=message)
    entry = next(condition for condition in result if condition["type"] == kind)
    same = old is not None and all(old.get(name) == entry[name] for name in ("status", "reason", "message"))
    entry["lastUpdateTime"] = (old or {}).get("lastUpdateTime", stamp) if same and not touch else stamp
    return result
