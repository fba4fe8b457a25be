"""The cells of nodes, events, rights, admission and the rest of what keeps a cluster. Called by `printers`."""

from __future__ import annotations

from typing import Any

from styr.api.builtin.forms import FORMS
from styr.api.columns.words import NONE, UNKNOWN, UNSET, at, born, condition, name, number
from styr.api.durations import age, human_duration
from styr.kinds.resources import Object

_ROLE = "node-role.kubernetes.io/"


def node(obj: Object, now: float) -> list[Any]:
    ready = condition(obj, "Ready")
    words = [("Ready" if ready == "True" else "NotReady") if ready else "Unknown"]
    words += ["SchedulingDisabled"] if at(obj, "spec.unschedulable", False) else []
    info = at(obj, "status.nodeInfo", {})
    cells = [name(obj), ",".join(words), _roles(obj), born(obj, now), at(info, "kubeletVersion")]
    cells += [_address(obj, kind) for kind in ("InternalIP", "ExternalIP")]
    return [*cells, *(at(info, key) or UNKNOWN for key in ("osImage", "kernelVersion", "containerRuntimeVersion"))]


def _roles(obj: Object) -> str:
    found = at(obj, "metadata.labels", {})
    roles = {key.removeprefix(_ROLE) for key in found if key.startswith(_ROLE)} | {found.get("kubernetes.io/role", "")}
    return ",".join(sorted(roles - {""})) or NONE


def _address(obj: Object, kind: str) -> str:
    return next((each["address"] for each in at(obj, "status.addresses", ()) if each.get("type") == kind), NONE)


def event(obj: Object, now: float) -> list[Any]:
    first = age(at(obj, "firstTimestamp", None) or at(obj, "eventTime", None), now)
    last, count = at(obj, "lastTimestamp", None), number(obj, "count")
    shown, series = age(last, now) if last else first, at(obj, "series", None)
    if series is not None:
        shown, count = age(at(series, "lastObservedTime", None), now), number(series, "count")
    about = at(obj, "involvedObject", {})
    target = "/".join(word for word in (str(at(about, "kind")).lower(), at(about, "name")) if word)
    if not at(about, "name"):
        target = str(at(about, "kind")).lower()
    component = at(obj, "source.component") or at(obj, "reportingComponent")
    host = at(obj, "source.host") or at(obj, "reportingInstance")
    origin = f"{component}, {host}" if host else component
    cells = [shown, at(obj, "type"), at(obj, "reason"), target, at(about, "fieldPath"), origin]
    return [*cells, str(at(obj, "message")).strip(), first, count if series is not None else count or 1, name(obj)]


def new_event(obj: Object, now: float) -> list[Any]:
    """An Event of events.k8s.io, whose fields have other names."""
    return event(FORMS["events.k8s.io/v1", "events"].store(obj), now)


def binding(obj: Object, now: float) -> list[Any]:
    def named(kind: str) -> str:
        found = [each for each in at(obj, "subjects", ()) if each.get("kind") == kind]
        within = kind == "ServiceAccount"
        return ", ".join(
            f"{at(each, 'namespace')}/{at(each, 'name')}" if within else at(each, "name") for each in found
        )

    role = f"{at(obj, 'roleRef.kind')}/{at(obj, 'roleRef.name')}"
    return [name(obj), role, born(obj, now), named("User"), named("Group"), named("ServiceAccount")]


def created(obj: Object, now: float) -> list[Any]:
    return [name(obj), at(obj, "metadata.creationTimestamp", None)]


def quota(obj: Object, now: float) -> list[Any]:
    texts: dict[bool, list[str]] = {False: [], True: []}
    used = at(obj, "status.used", {})
    for resource, hard in sorted(at(obj, "status.hard", {}).items()):
        texts[resource.startswith("limits.")].append(f"{resource}: {used.get(resource, '0')}/{hard}")
    return [name(obj), ", ".join(texts[False]), ", ".join(texts[True]), born(obj, now)]


def priority_class(obj: Object, now: float) -> list[Any]:
    cells = [name(obj), number(obj, "value"), at(obj, "globalDefault", False), born(obj, now)]
    return [*cells, at(obj, "preemptionPolicy")]


def signing_request(obj: Object, now: float) -> list[Any]:
    kinds = {each.get("type") for each in at(obj, "status.conditions", ())}
    status = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    status += ",Failed" if "Failed" in kinds else ""
    status += ",Issued" if at(obj, "status.certificate") else ""
    wanted = at(obj, "spec.expirationSeconds", None)
    lasts = NONE if wanted is None else human_duration(wanted)
    return [name(obj), born(obj, now), at(obj, "spec.signerName") or NONE, at(obj, "spec.username"), lasts, status]


def component(obj: Object, now: float) -> list[Any]:
    found = next((each for each in at(obj, "conditions", ()) if each.get("type") == "Healthy"), None)
    if found is None:
        return [name(obj), "Unknown", "", ""]
    status = "Healthy" if found.get("status") == "True" else "Unhealthy"
    return [name(obj), status, at(found, "message"), at(found, "error")]


def policy(field: str) -> Any:
    """Of an admission policy, whose rules are in `field`."""

    def cells(obj: Object, now: float) -> list[Any]:
        kind = at(obj, "spec.paramKind", None)
        shown = f"{at(kind, 'apiVersion')}/{at(kind, 'kind')}" if kind else UNSET
        return [name(obj), len(at(obj, f"spec.{field}", ())), shown, born(obj, now)]

    return cells


def policy_binding(obj: Object, now: float) -> list[Any]:
    parameters, shown = at(obj, "spec.paramRef", None), UNSET
    if parameters and at(parameters, "name"):
        shown = f"{at(parameters, 'namespace') or '*'}/{at(parameters, 'name')}"
    elif parameters and at(parameters, "selector", None) is not None:
        shown = _go_selector(parameters["selector"])
    return [name(obj), at(obj, "spec.policyName"), shown, born(obj, now)]


def _go_selector(selector: Object) -> str:
    """As Go prints the structure: Kubernetes shows it so."""
    found = "".join(f"{key}: {value}," for key, value in sorted(at(selector, "matchLabels", {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{each['key']},Operator:{each['operator']},"
        f"Values:[{' '.join(each.get('values') or ())}],}},"
        for each in at(selector, "matchExpressions", ())
    )
    labels = f"map[string]string{{{found}}}"
    return f"&LabelSelector{{MatchLabels:{labels},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"


def flow_schema(obj: Object, now: float) -> list[Any]:
    cells = [name(obj), at(obj, "spec.priorityLevelConfiguration.name"), number(obj, "spec.matchingPrecedence")]
    return [*cells, at(obj, "spec.distinguisherMethod.type", NONE), born(obj, now), condition(obj, "Dangling") or "?"]


def flow_order(obj: Object) -> tuple[int, str]:
    """Flow schemas are listed by precedence."""
    return number(obj, "spec.matchingPrecedence"), name(obj)


def priority_level(obj: Object, now: float) -> list[Any]:
    shares = at(obj, "spec.limited.nominalConcurrencyShares", NONE)
    queues = at(obj, "spec.limited.limitResponse.queuing", None)
    counts = [NONE if queues is None else number(queues, key) for key in ("queues", "handSize", "queueLengthLimit")]
    return [name(obj), at(obj, "spec.type"), shares, *counts, born(obj, now)]


def api_service(obj: Object, now: float) -> list[Any]:
    service = at(obj, "spec.service", None)
    shown = f"{at(service, 'namespace')}/{at(service, 'name')}" if service else "Local"
    found = next((each for each in at(obj, "status.conditions", ()) if each.get("type") == "Available"), None)
    available = "Unknown" if found is None else str(at(found, "status"))
    if found is not None and available != "True":
        available = f"{available} ({at(found, 'reason')})"
    return [name(obj), shown, available, born(obj, now)]
