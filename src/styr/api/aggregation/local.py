"""The APIServices of what this server serves itself: one for each group and version, without a Service. Pure.

Called by `availability`, which keeps them. Priorities are those of a real server (pkg/controlplane/apiserver).
"""

from __future__ import annotations

from collections.abc import Iterable

from styr.kinds.resources import API_SERVICE, Object

AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
ON_START, ALWAYS = "onstart", "true"
"""Of a built-in group, and of one that comes and goes with its CustomResourceDefinition."""
REASON, MESSAGE = "Local", "Local APIServices are always available"
_CUSTOM = (1000, 100)
_PRIORITIES = {
    "": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
    "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
    "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500,
    "node.k8s.io": 16300, "discovery.k8s.io": 16200, "resource.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100,
}  # fmt: skip
_VERSIONS = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("resource.k8s.io", "v1"): 21,
}


def name_of(group: str, version: str) -> str:
    return f"{version}.{group}"


def api_service(group: str, version: str, *, custom: bool) -> Object:
    group_minimum, number = _CUSTOM if custom else (_PRIORITIES.get(group, 15000), _VERSIONS.get((group, version), 15))
    return {
        "apiVersion": API_SERVICE.api_version,
        "kind": API_SERVICE.kind,
        "metadata": {"name": name_of(group, version), "labels": {AUTOMANAGED: ALWAYS if custom else ON_START}},
        "spec": {
            **({"group": group} if group else {}),
            "version": version,
            "groupPriorityMinimum": group_minimum,
            "versionPriority": number,
        },
    }


def surplus(known: Iterable[Object], wanted: set[str]) -> list[str]:
    """Names of automanaged ones whose group and version are served no more."""
    return [
        obj["metadata"]["name"]
        for obj in known
        if (obj["metadata"].get("labels") or {}).get(AUTOMANAGED) == ALWAYS and obj["metadata"]["name"] not in wanted
    ]
