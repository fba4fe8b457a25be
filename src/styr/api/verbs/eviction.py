"""POST of pods/NAME/eviction: the pod goes, if its disruption budget lets it. One transaction looks at the budget, takes one
from what it allows, and deletes the pod. Messages, causes and order of the checks are Kubernetes' own."""

from __future__ import annotations

from typing import Any

import msgspec

from styr.api import unstored
from styr.api.call import Call, respond
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey, Record
from styr.api.verbs import admit, delete
from styr.api.verbs.delete import Options
from styr.kinds import conditions, meta, pods, selectors
from styr.kinds.errors import BadRequest, Forbidden, InternalError, TooManyRequests
from styr.kinds.resources import POD_DISRUPTION_BUDGET, Object
from styr.kinds.transport import Response

MAX_DISRUPTED = 2000
"""Evicted pods that a budget may still wait for."""
_VERSIONS = ("policy/v1", "policy/v1beta1")


async def evict(call: Call) -> Response:
    """201 with a Status of success; 429 when the budget allows no disruption now."""
    body, options = _read(call)

    def run(txn: Txn) -> None:
        admit.admit(call, txn, "CREATE", call.fresh(body), None, dry_run=options.dry_run)
        old = txn.get(call.key)
        if old is None:
            raise call.not_found()
        _take(call, txn, old, options)

    await admit.write(call, run)
    done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return respond(call, msgspec.json.encode(done), 201)


def _read(call: Call) -> tuple[Object, Options]:
    """The Eviction and its DeleteOptions; a dry run may be asked for there or in the query."""
    body = unstored.read(call.request, call.body, _VERSIONS, "Eviction", call.warnings)
    metadata = body["metadata"]
    if metadata.get("name", "") != call.name:
        raise BadRequest("name in URL does not match name in Eviction object")
    if metadata.setdefault("namespace", call.namespace) != call.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    given = body.get("deleteOptions")
    if given is not None and not isinstance(given, dict):
        raise BadRequest("deleteOptions must be DeleteOptions")
    return body, delete.parse_options(call, given or {})


def _take(call: Call, txn: Txn, old: Record, options: Options) -> None:
    pod = old.decode()
    delete.check_preconditions(call, pod["metadata"], options)
    if not _beyond_budgets(pod):
        budget = _budget(call, txn, pod)
        if budget is not None and not _unhealthy_may_go(pod, budget[1]):
            _spend(call, txn, *budget, dry_run=options.dry_run)
    if not options.dry_run:
        status = pod.setdefault("status", {})
        status["conditions"] = conditions.put(
            status.get("conditions"),
            "DisruptionTarget",
            True,
            now=call.core.now(),
            reason="EvictionByEvictionAPI",
            message="Eviction API: evicting",
        )
        old = txn.put(call.key, pod)
    kept = Options(options.grace, options.uid, "", options.propagation, options.dry_run)
    delete.perform(call, txn, call.key, old, kept, admitted=True)


def _beyond_budgets(pod: Object) -> bool:
    """Its end disrupts nothing: it is over, has not begun, or is going already."""
    return meta.deleting(pod) or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Pending")


def _budget(call: Call, txn: Txn, pod: Object) -> tuple[ObjectKey, Object] | None:
    labels = meta.labels(pod)
    found: list[tuple[ObjectKey, Object]] = []
    for key, record in txn.list(POD_DISRUPTION_BUDGET.group_resource, call.namespace):
        budget = record.decode()
        selector = budget["spec"].get("selector")
        if selector is not None and selectors.matches(selectors.from_object(selector), labels):
            found.append((key, budget))
    if len(found) > 1:
        raise InternalError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    return found[0] if found else None


def _unhealthy_may_go(pod: Object, budget: Object) -> bool:
    """A pod that is not ready does not count, so its end takes nothing from what the budget allows."""
    if pods.is_ready(pod):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    wanted = status.get("desiredHealthy", 0)
    return bool(status.get("currentHealthy", 0) >= wanted > 0)


def _spend(call: Call, txn: Txn, key: ObjectKey, budget: Object, *, dry_run: bool) -> None:
    """Takes one disruption. Raises TooManyRequests when there is none."""
    name, status = key.name, budget.get("status") or {}
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", 10)
    allowed = status.get("disruptionsAllowed", 0)
    disrupted = status.get("disruptedPods") or {}
    if allowed < 0:
        raise _forbidden(name, "pdb disruptions allowed is negative")
    if len(disrupted) > MAX_DISRUPTED:
        raise _forbidden(name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if allowed == 0:
        raise _refused(_why(name, status), 0)
    if dry_run:
        return
    status = {
        **status,
        "disruptionsAllowed": allowed - 1,
        "disruptedPods": {**disrupted, call.name: call.core.now()},
    }
    if allowed == 1:
        status["conditions"] = conditions.put(
            status.get("conditions"),
            "DisruptionAllowed",
            False,
            now=call.core.now(),
            reason="InsufficientPods",
            generation=status.get("observedGeneration", 0),
        )
    txn.put(key, {**budget, "status": status})


def _why(name: str, status: Object) -> str:
    condition = conditions.find(status.get("conditions"), "DisruptionAllowed") or {}
    told = condition.get("message") if condition.get("status") == "False" else ""
    refused = f"The disruption budget {name} does not allow evicting pods currently"
    if told and condition.get("reason") == "SyncFailed":
        return f"{refused} because it failed sync: {told}"
    healthy, wanted = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    if healthy <= wanted:
        return f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently"
    return f"{refused} ({condition.get('reason')}): {told}" if told else refused


def _refused(why: str, seconds: int) -> TooManyRequests:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if seconds:
        details["retryAfterSeconds"] = seconds
    return TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", details=details)


def _forbidden(name: str, why: str) -> Forbidden:
    return Forbidden(
        f'poddisruptionbudget.policy "{name}" is forbidden: {why}',
        details={"name": name, "group": "policy", "kind": "poddisruptionbudget"},
    )
