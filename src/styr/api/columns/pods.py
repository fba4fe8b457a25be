"""The cells of a Pod, by the rules of Kubernetes' pod printer: READY, STATUS, RESTARTS and the rest. Called by `printers`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from styr.api.columns.words import NONE, at, born, condition, name, number
from styr.api.durations import age
from styr.kinds import meta
from styr.kinds.resources import Object


def pod(obj: Object, now: float) -> list[Any]:
    ready, total, reason, restarts, last = _state(obj)
    again = f"{restarts} ({age(last, now)} ago)" if restarts and last else str(restarts)
    ips = at(obj, "status.podIPs", ())
    wide = [ips[0].get("ip") if ips else at(obj, "status.podIP")]
    wide += [at(obj, "spec.nodeName"), at(obj, "status.nominatedNodeName"), _gates(obj)]
    return [name(obj), f"{ready}/{total}", reason, again, born(obj, now), *(cell or NONE for cell in wide)]


def pod_status(obj: Object) -> str:
    """The STATUS column: the phase, unless a container has something more telling to say."""
    return str(_state(obj)[2])


def finished(obj: Object) -> list[Object]:
    """The conditions of a row: kubectl can leave out pods that are done."""
    phase = at(obj, "status.phase")
    said = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    if phase not in said:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": said[phase]}]


def _state(obj: Object) -> tuple[int, int, str, int, str]:
    """(containers that are ready, containers that run on, STATUS, restarts, when it last restarted)."""
    reason = at(obj, "status.reason") or at(obj, "status.phase")
    if any(each.get("reason") == "SchedulingGated" for each in _conditions(obj, "PodScheduled")):
        reason = "SchedulingGated"
    lasting = {each["name"] for each in at(obj, "spec.initContainers", ()) if each.get("restartPolicy") == "Always"}
    total = len(at(obj, "spec.containers", ())) + len(lasting)
    inits = at(obj, "status.initContainerStatuses", ())
    ready, stuck = _initializing(obj, inits, lasting)
    if stuck and condition(obj, "Initialized") != "True":
        return ready, total, _ended(obj, stuck), *_restarts(inits)
    statuses = at(obj, "status.containerStatuses", ())
    running, found = _running(obj, statuses, stuck or reason)
    again = [each for each in inits if each.get("name") in lasting]
    return ready + running, total, _ended(obj, found), *_restarts([*again, *statuses])


def _initializing(obj: Object, statuses: list[Object], lasting: set[str]) -> tuple[int, str]:
    """How many lasting init containers are ready, and what is said of the first that holds the others up."""
    ready = 0
    for index, entry in enumerate(statuses):
        terminated, waiting = at(entry, "state.terminated", None), at(entry, "state.waiting.reason")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if entry.get("name") in lasting and entry.get("started"):
            ready += bool(entry.get("ready"))
            continue
        if terminated is not None:
            return ready, f"Init:{_why(terminated)}"
        if waiting and waiting != "PodInitializing":
            return ready, f"Init:{waiting}"
        return ready, f"Init:{index}/{len(at(obj, 'spec.initContainers', ()))}"
    return ready, ""


def _running(obj: Object, statuses: list[Object], reason: str) -> tuple[int, str]:
    """How many containers are ready, and the most telling reason of any."""
    ready, failed = 0, ""
    for entry in reversed(statuses):
        terminated = at(entry, "state.terminated", None)
        if waiting := at(entry, "state.waiting.reason"):
            reason = waiting
        elif terminated is not None:
            reason = _why(terminated)
            failed = reason if terminated.get("exitCode") else failed
        elif entry.get("ready") and at(entry, "state.running", None) is not None:
            ready += 1
    if reason == "Completed":
        if ready and condition(obj, "Ready") == "True":
            return ready, "Running"
        return ready, failed or ("NotReady" if ready else reason)
    return ready, reason


def _why(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _ended(obj: Object, reason: str) -> str:
    if not meta.deleting(obj):
        return reason
    if at(obj, "status.reason") == "NodeLost":
        return "Unknown"
    return reason if at(obj, "status.phase") in ("Succeeded", "Failed") else "Terminating"


def _restarts(statuses: list[Object]) -> tuple[int, str]:
    ends = [str(at(entry, "lastState.terminated.finishedAt")) for entry in statuses]
    return sum(number(entry, "restartCount") for entry in statuses), max(ends, default="")


def _conditions(obj: Object, kind: str) -> Iterator[Object]:
    return (each for each in at(obj, "status.conditions", ()) if each.get("type") == kind)


def _gates(obj: Object) -> str:
    gates = at(obj, "spec.readinessGates", ())
    true = sum(condition(obj, gate.get("conditionType")) == "True" for gate in gates)
    return f"{true}/{len(gates)}" if gates else NONE
