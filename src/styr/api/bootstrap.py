"""What every server has from its first start on: namespaces, default roles and who holds them, priority classes. Called
by the server at each start.

Roles are Kubernetes' own (`roles.json`, made by `tests/api/generate_roles.py`), and Styr's for its own kinds and paths. As in
Kubernetes, a right or a subject that somebody took away from a default role or binding is back at the next start, what
somebody added stays, and the annotation `rbac.authorization.kubernetes.io/autoupdate: "false"` leaves an object alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import resources as files
from typing import Any

import msgspec

from styr.api import default_flows
from styr.api.admission.priority import system_classes
from styr.api.authz import escalation
from styr.api.authz.rules import read_rules
from styr.api.call import Call, Core
from styr.api.store.commit import Txn
from styr.api.verbs import change, create
from styr.kinds import meta, roles
from styr.kinds.resources import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    FLOW_SCHEMA,
    NAMESPACE,
    PRIORITY_CLASS,
    PRIORITY_LEVEL,
    ROLE,
    ROLE_BINDING,
    Object,
    Resource,
)
from styr.kinds.transport import Request, User

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease", "styr-system")
SERVER = User("system:apiserver", ("system:masters",))
UPDATES = "rbac.authorization.kubernetes.io/autoupdate"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGENT = {"user-agent": "styr"}
_KINDS: dict[str, Resource] = {
    resource.kind: resource
    for resource in (
        NAMESPACE,
        PRIORITY_CLASS,
        ROLE,
        CLUSTER_ROLE,
        ROLE_BINDING,
        CLUSTER_ROLE_BINDING,
        PRIORITY_LEVEL,
        FLOW_SCHEMA,
    )
}

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_OURS: list[tuple[str, list[str]]] = [
    ("gateway.networking.k8s.io", ["gateways", "httproutes"]),
    ("monitoring.coreos.com", ["servicemonitors", "podmonitors", "probes", "scrapeconfigs", "prometheusrules"]),
    ("styr.dev", ["apps", "releases"]),
]
"""Kinds that Styr brings along, which people of a namespace work with."""


def objects() -> list[Object]:
    """Roles first, then their bindings. Roles that gather others hold already what they will gather."""
    raw = files.files("styr.api").joinpath("roles.json").read_bytes()
    found: list[Object] = [*msgspec.json.decode(raw)["objects"], *_own()]
    for obj in found:
        obj["apiVersion"] = ROLE.api_version
        metadata = obj["metadata"]
        metadata["labels"] = {**_LABELS, **metadata.get("labels", {})}
        metadata["annotations"] = {UPDATES: "true"}
    for _ in range(3):  # admin gathers edit, which gathers view
        for obj in found:
            if "aggregationRule" in obj:
                obj["rules"] = roles.gathered(obj, found)
    return sorted(found, key=lambda obj: obj["kind"].endswith("Binding"))


def _own() -> Iterator[Object]:
    for name, verbs in (("view", _READ), ("edit", _WRITE)):
        rules = [{"apiGroups": [group], "resources": plurals, "verbs": verbs} for group, plurals in _OURS]
        if verbs is _READ:
            rules += [
                {"apiGroups": [group], "resources": [f"{plural}/status" for plural in plurals], "verbs": verbs}
                for group, plurals in _OURS
            ]
        labels = {f"rbac.authorization.k8s.io/aggregate-to-{name}": "true"}
        yield {
            "kind": "ClusterRole",
            "metadata": {"name": f"styr:aggregate-to-{name}", "labels": labels},
            "rules": rules,
        }
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rules = [{"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list"]}]
    yield {
        "kind": "ClusterRole",
        "metadata": {"name": "styr:aggregated-metrics-reader", "labels": labels},
        "rules": rules,
    }
    monitoring = "styr:monitoring"
    paths = {"nonResourceURLs": ["/metrics/*"], "verbs": ["get"]}
    yield {"kind": "ClusterRole", "metadata": {"name": monitoring}, "rules": [paths]}
    yield {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": monitoring},
        "roleRef": {"apiGroup": CLUSTER_ROLE.group, "kind": "ClusterRole", "name": monitoring},
        "subjects": [{"apiGroup": CLUSTER_ROLE.group, "kind": "Group", "name": "system:monitoring"}],
    }


def mended(found: Object, wanted: Object) -> Object | None:
    """A default object with what it lacks; None when it lacks nothing, or is to be left alone."""
    if meta.annotations(found).get(UPDATES) == "false":
        return None
    changes: dict[str, Any] = {}
    for key in ("labels", "annotations"):
        known = meta.metadata(found).get(key) or {}
        if missing := {name: value for name, value in wanted["metadata"][key].items() if name not in known}:
            changes[key] = {**known, **missing}
    made: Object = {**found, "metadata": {**found["metadata"], **changes}} if changes else found
    if wanted["kind"].endswith("Role"):
        if "aggregationRule" in wanted:
            if not found.get("aggregationRule"):
                made = {**made, "aggregationRule": wanted["aggregationRule"]}
        elif rules := _lacking(found.get("rules") or [], wanted.get("rules") or []):
            made = {**made, "rules": [*(found.get("rules") or ()), *rules]}
    elif found.get("roleRef") == wanted["roleRef"]:
        known_subjects: list[Object] = found.get("subjects") or []
        if missing_subjects := [
            one for one in wanted.get("subjects") or () if _subject(one) not in map(_subject, known_subjects)
        ]:
            made = {**made, "subjects": [*known_subjects, *missing_subjects]}
    return None if made is found else made


def _lacking(held: Sequence[Object], wanted: Sequence[Object]) -> list[Object]:
    rules = read_rules(list(held))
    return [rule for rule in wanted if any(True for _ in escalation.missing(rules, read_rules([rule])))]


def _subject(subject: Object) -> tuple[str, ...]:
    return tuple(str(subject.get(key) or "") for key in ("kind", "namespace", "name"))


_MENDED: dict[Resource, Callable[[Object, Object], Object | None]] = {
    FLOW_SCHEMA: default_flows.mended,
    PRIORITY_LEVEL: default_flows.mended,
}


def install(core: Core, txn: Txn) -> None:
    """In the write path, at a start."""
    for name in NAMESPACES:
        _ensure(core, txn, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in (*objects(), *default_flows.objects(), *system_classes()):
        _ensure(core, txn, obj)


def _ensure(core: Core, txn: Txn, obj: Object) -> None:
    resource = _KINDS[obj["kind"]]
    served = core.registry.find(resource.group, resource.version, resource.plural)
    assert served is not None
    namespace = meta.namespace(obj)
    request = Request("POST", resource.path(namespace), headers=_AGENT, user=SERVER)
    call = Call(core, served, request, namespace, meta.name(obj))
    record = txn.get(call.key)
    if record is None:
        create.prepare(call, obj)
        create.insert(call, txn, obj)
    elif (
        resource not in (NAMESPACE, PRIORITY_CLASS)
        and (made := _MENDED.get(resource, mended)(record.decode(), obj)) is not None
    ):
        change.revise(call, txn, call.key, record, made)
