"""The FlowSchemas and PriorityLevelConfigurations that every server has, as Kubernetes v1.35 has them (k8s.io/apiserver,
`pkg/apis/flowcontrol/bootstrap`). Pure; written by `bootstrap`."""

from __future__ import annotations

from typing import Any

from styr.kinds import meta
from styr.kinds.resources import FLOW_SCHEMA, PRIORITY_LEVEL, Object

EXEMPT, CATCH_ALL = "exempt", "catch-all"
UPDATES = "apf.kubernetes.io/autoupdate-spec"
MANDATORY = (EXEMPT, CATCH_ALL)
"""Of both kinds: their spec is what it is."""

_LEVELS = (
    ("system", 30, 33, 64, 6),
    ("node-high", 40, 25, 64, 6),
    ("leader-election", 10, 0, 16, 4),
    ("workload-high", 40, 50, 128, 6),
    ("workload-low", 100, 90, 128, 6),
    ("global-default", 20, 50, 128, 6),
)
"""name, shares, lendable percent, queues, hand. Queues hold 50."""
_EVERYBODY = [("Group", "system:unauthenticated"), ("Group", "system:authenticated")]
_SYSTEM_ACCOUNTS = ("ServiceAccount", "*")
_MANAGER, _SCHEDULER = ("User", "system:kube-controller-manager"), ("User", "system:kube-scheduler")
_NODES = [("Group", "system:nodes")]
_LEASES = (["coordination.k8s.io"], ["leases"], False)
_SCHEMAS: tuple[tuple[str, str, int, str, list[tuple[str, str]], Any], ...] = (
    (EXEMPT, EXEMPT, 1, "", [("Group", "system:masters")], None),
    ("probes", EXEMPT, 2, "", _EVERYBODY, ["/healthz", "/readyz", "/livez"]),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        [_MANAGER, _SCHEDULER, _SYSTEM_ACCOUNTS],
        [(["get", "create", "update"], *_LEASES)],
    ),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        _NODES,
        [(["*"], [""], ["nodes", "nodes/status"], True), (["*"], *_LEASES)],
    ),
    ("system-nodes", "system", 500, "ByUser", _NODES, None),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", [_MANAGER], None),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", [_SCHEDULER], None),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", [_SYSTEM_ACCOUNTS], None),
    ("service-accounts", "workload-low", 9000, "ByUser", [("Group", "system:serviceaccounts")], None),
    ("global-default", "global-default", 9900, "ByUser", _EVERYBODY, None),
    (CATCH_ALL, CATCH_ALL, 10000, "ByUser", _EVERYBODY, None),
)
"""name, level, precedence, distinguisher, subjects, and what they ask for: None for anything, paths to get, or (verbs, groups,
resources, cluster scope)."""


def objects() -> list[Object]:
    """Levels first."""
    levels = [
        _level(name, _limited(shares, lendable, _queue(queues, hand)))
        for name, shares, lendable, queues, hand in _LEVELS
    ]
    exempt = {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}
    last = _limited(5, 0, {"type": "Reject"})
    return [_level(EXEMPT, exempt), _level(CATCH_ALL, last), *levels, *(_schema(*row) for row in _SCHEMAS)]


def _queue(queues: int, hand: int) -> Object:
    return {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50}}


def _limited(shares: int, lendable: int, response: Object) -> Object:
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response}
    return {"type": "Limited", "limited": limited}


def _level(name: str, spec: Object) -> Object:
    return _object(PRIORITY_LEVEL.api_version, PRIORITY_LEVEL.kind, name, spec)


def _schema(name: str, level: str, precedence: int, by: str, subjects: list[tuple[str, str]], asked: Any) -> Object:
    rule: Object = {"subjects": [_subject(*subject) for subject in subjects]}
    everything = [(["*"], ["*"], ["*"], True)]
    if asked is None or not isinstance(asked[0], str):
        rule["resourceRules"] = [
            {"verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": ["*"]}
            | ({"clusterScope": True} if cluster else {})
            for verbs, groups, resources, cluster in asked or everything
        ]
    if asked is None:
        rule["nonResourceRules"] = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    elif isinstance(asked[0], str):
        rule["nonResourceRules"] = [{"verbs": ["get"], "nonResourceURLs": asked}]
    spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rule]}
    if by:
        spec["distinguisherMethod"] = {"type": by}
    return _object(FLOW_SCHEMA.api_version, FLOW_SCHEMA.kind, name, spec)


def _subject(kind: str, name: str) -> Object:
    field = kind[0].lower() + kind[1:]
    more = {"namespace": "kube-system"} if kind == "ServiceAccount" else {}
    return {"kind": kind, field: {"name": name, **more}}


def _object(api_version: str, kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "annotations": {UPDATES: "true"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def mended(found: Object, wanted: Object) -> Object | None:
    """A default object with its own spec again; None when it has it, or when somebody keeps it."""
    # Of the level `exempt`, shares are the administrator's.
    mandatory = meta.name(found) in MANDATORY and (found.get("kind"), meta.name(found)) != (PRIORITY_LEVEL.kind, EXEMPT)
    if found.get("spec") == wanted["spec"] or (not mandatory and meta.annotations(found).get(UPDATES) != "true"):
        return None
    return {**found, "spec": wanted["spec"]}
