"""Objects for the tables of the plan functions, as a server would return them."""

from __future__ import annotations

from typing import Any

from styr.kinds.resources import Object
from styr.kit.clock import rfc3339

EPOCH = 1_800_000_000.0
LABELS = {"app": "web"}
_STATUS = ("phase", "podIP", "containerStatuses")
_SPEC = ("nodeName", "containers")


def stamp(seconds: float = 0) -> str:
    return rfc3339(EPOCH + seconds)


def template(version: str = "1", **labels: str) -> Object:
    container = {"name": "main", "image": "styr.dev/host", "env": [{"name": "VERSION", "value": version}]}
    return {"metadata": {"labels": {**LABELS, **labels}}, "spec": {"containers": [container]}}


def deployment(replicas: int = 3, version: str = "1", **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template(version), **spec},
    }


def replica_set(
    name: str, size: int, available: int | None = None, *, version: str = "1", born: float = 0, **fields: Any
) -> Object:
    """`available` replicas, of `size` when not told."""
    ready = size if available is None else available
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "generation": 1,
            "creationTimestamp": stamp(born),
            **fields,
        },
        "spec": {"replicas": size, "selector": {"matchLabels": LABELS}, "template": template(version)},
        "status": {"replicas": size, "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": 1},
    }


def pod(name: str, *, ready: bool = True, since: float = 0, born: float = 0, **fields: Any) -> Object:
    """Running; `fields` go into metadata, spec or status by their names."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": stamp(since)}]
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": LABELS, "creationTimestamp": stamp(born)}
    status: Object = {"phase": "Running", "podIP": "127.0.0.1", "conditions": conditions}
    spec: Object = {"nodeName": "n", "containers": [{"name": "main"}]}
    for key, value in fields.items():
        place = (
            status
            if key in ("phase", "podIP", "containerStatuses")
            else spec
            if key in ("nodeName", "containers")
            else metadata
        )
        place[key] = value
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def gone(name: str) -> Object:
    """Asked to go."""
    return pod(name, deletionTimestamp=stamp())


def failed(name: str, born: float = 0) -> Object:
    return pod(name, ready=False, phase="Failed", born=born)
