"""The status of a Pod from what the node remembers, as kubectl expects it. Pure; called by `pod.py`.

Phases and conditions: Kubernetes' "Pod Lifecycle".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from styr.kinds import conditions, meta
from styr.kinds.resources import Object
from styr.kit.clock import rfc3339
from styr.node.record import ContainerRecord, PodRecord

POD_IP = "127.0.0.1"


def phase_of(pod: Object, record: PodRecord) -> str:
    """Pending, Running, Succeeded or Failed."""
    if record.failed:
        return "Failed"
    spec = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    inits = [record.container(c["name"]) for c in spec.get("initContainers") or ()]
    if policy == "Never" and any(failed(init) for init in inits):
        return "Failed"
    mains = [record.container(c["name"]) for c in spec["containers"]]
    if not all(done(init) for init in inits) and not any(main.attempted for main in mains):
        return "Pending"
    if all(main.phase == "terminated" for main in mains):
        good = all(main.exit_code == 0 for main in mains)
        if policy == "Never" or record.stopped:
            return "Succeeded" if good else "Failed"
        if policy == "OnFailure" and good:
            return "Succeeded"
    return "Running" if any(main.attempted for main in mains) else "Pending"


def done(record: ContainerRecord) -> bool:
    return record.phase == "terminated" and record.exit_code == 0


def failed(record: ContainerRecord) -> bool:
    return record.phase == "terminated" and record.exit_code != 0


def build(pod: Object, record: PodRecord, now: float) -> dict[str, Any]:
    """The whole status. Keys that must go are None, for a merge patch."""
    spec, old = pod["spec"], pod.get("status") or {}
    phase = phase_of(pod, record)
    reason, message = record.failed or (None, None)
    mains = [c["name"] for c in spec["containers"]]
    inits = [c["name"] for c in spec.get("initContainers") or ()]
    visitors = [c["name"] for c in spec.get("ephemeralContainers") or ()]
    return {
        "phase": phase,
        "reason": reason,
        "message": message,
        "conditions": _conditions(pod, record, phase, mains, inits, now),
        "hostIP": POD_IP,
        "hostIPs": [{"ip": POD_IP}],
        "podIP": POD_IP,
        "podIPs": [{"ip": POD_IP}],
        "qosClass": old.get("qosClass") or qos_class(spec),
        "startTime": rfc3339(record.started_at),
        "initContainerStatuses": [_container(spec, "initContainers", name, record) for name in inits] or None,
        "ephemeralContainerStatuses": [_container(spec, "ephemeralContainers", name, record) for name in visitors]
        or None,
        "containerStatuses": [_container(spec, "containers", name, record) for name in mains],
    }


def _conditions(
    pod: Object, record: PodRecord, phase: str, mains: list[str], inits: list[str], now: float
) -> list[dict[str, Any]]:
    stamp = rfc3339(now)
    found: Any = (pod.get("status") or {}).get("conditions")
    over = phase in ("Succeeded", "Failed")
    initialized = all(done(record.container(name)) for name in inits) or phase == "Succeeded"
    unready = [name for name in mains if not record.container(name).ready]
    stopping = meta.deleting(pod)
    if over:
        ready, why, text = False, "PodCompleted" if phase == "Succeeded" else "PodFailed", ""
    elif stopping:
        ready, why, text = False, "PodTerminating", "the pod is being deleted"
    elif unready:
        ready, why, text = False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
        text += "".join(f"; {name}: {t}" for name in unready if (t := record.container(name).why_not_ready))
    else:
        ready, why, text = True, "", ""
    if not conditions.find(found, "PodScheduled"):
        found = conditions.put(found, "PodScheduled", True, now=stamp, reason="")
    waiting = [name for name in inits if not done(record.container(name))]
    missing = "" if initialized else f"containers with incomplete status: [{' '.join(waiting)}]"
    found = conditions.put(
        found, "Initialized", initialized, now=stamp, reason="" if initialized else "ContainersNotInitialized",
        message=missing,
    )  # fmt: skip
    found = conditions.put(found, "ContainersReady", ready, now=stamp, reason=why, message=text)
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    closed = [gate for gate in gates if (conditions.find(found, gate) or {}).get("status") != "True"]
    if ready and closed:
        ready, why, text = False, "ReadinessGatesNotReady", f"readiness gates not True: [{' '.join(closed)}]"
    return conditions.put(found, "Ready", ready, now=stamp, reason=why, message=text)


def _container(spec: Mapping[str, Any], kind: str, name: str, record: PodRecord) -> dict[str, Any]:
    container = record.container(name)
    image = next(str(c.get("image", "")) for c in spec[kind] if c["name"] == name)
    return {
        "name": name,
        "image": image,
        "imageID": container.image_id,
        "containerID": container_id(record, container) if container.attempted else "",
        "state": state_of(container, record),
        "lastState": {"terminated": container.last} if container.last else {},
        "ready": container.ready if kind == "containers" else kind == "initContainers" and done(container),
        "started": container.started and container.phase == "running",
        "restartCount": container.restarts,
    }


def container_id(record: PodRecord, container: ContainerRecord) -> str:
    return f"styr://{record.uid}/{container.name}/{container.restarts}"


def state_of(container: ContainerRecord, record: PodRecord) -> dict[str, Any]:
    if container.phase == "running":
        return {"running": {"startedAt": rfc3339(container.started_at)}}
    if container.phase == "terminated":
        return {"terminated": terminated(container, record)}
    waiting = {"reason": container.reason}
    return {"waiting": waiting | ({"message": container.message} if container.message else {})}


def terminated(container: ContainerRecord, record: PodRecord) -> dict[str, Any]:
    state: dict[str, Any] = {
        "exitCode": container.exit_code,
        "reason": container.reason,
        "startedAt": rfc3339(container.started_at) if container.started_at else None,
        "finishedAt": rfc3339(container.finished_at),
        "containerID": container_id(record, container),
    }
    extra = {"signal": container.signal or None, "message": container.message or None}
    return {key: value for key, value in (state | extra).items() if value is not None}


def qos_class(spec: Mapping[str, Any]) -> str:
    resources: Iterable[Mapping[str, Any]] = [c.get("resources") or {} for c in spec["containers"]]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    for r in resources:
        limits, requests = r.get("limits") or {}, r.get("requests") or {}
        if not {"cpu", "memory"} <= set(limits) or any(requests.get(k, v) != v for k, v in limits.items()):
            return "Burstable"
    return "Guaranteed"
