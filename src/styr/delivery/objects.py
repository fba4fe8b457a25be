"""What a release consists of in Kubernetes' own kinds. Called by `release` and `rollout`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from styr.delivery.kinds import APP_LABEL, RELEASE_LABEL
from styr.kinds import conditions, meta
from styr.kinds.resources import CONFIG_MAP, DEPLOYMENT, HTTP_ROUTE, SERVICE, Object

GATEWAY = ("styr-system", "styr")
PORT = 8080
SERVICE_LABEL = "kubernetes.io/service-name"
START_DEADLINE = 60
"""Seconds a new release has to listen."""


def host(app: str) -> str:
    """The name under which an app answers."""
    return f"{app}.localhost"


def _labels(release: Mapping[str, Any]) -> dict[str, str]:
    return {APP_LABEL: str(release["spec"]["app"]), RELEASE_LABEL: meta.name(release)}


def deployment(release: Mapping[str, Any], replicas: int) -> Object:
    spec, labels = release["spec"], _labels(release)
    container: Object = {
        "name": "app",
        "image": spec["image"],
        "env": [{"name": one["name"], "value": one.get("value", "")} for one in spec.get("env") or ()],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1, "failureThreshold": 3},
    }
    if spec.get("command"):
        container["command"] = ["sh", "-c", spec["command"]]
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": meta.name(release), "labels": labels},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": START_DEADLINE,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 30,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "containers": [container],
                },
            },
        },
    }


def service(release: Mapping[str, Any]) -> Object:
    labels = _labels(release)
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {"name": meta.name(release), "labels": labels},
        "spec": {
            "selector": labels,
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}],
        },
    }


def config_map(release: Mapping[str, Any], data: Mapping[str, str]) -> Object:
    """The record's home."""
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": record_name(meta.name(release)), "labels": _labels(release)},
        "data": dict(data),
    }


def record_name(release: str) -> str:
    return f"{release}-record"


def route(app: Mapping[str, Any], weights: Sequence[tuple[str, int]]) -> Object:
    """`weights` are (Service, percent); they add up to 100, and an arm with 0 is still known to the proxy."""
    namespace, name = GATEWAY
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {"name": meta.name(app), "labels": {APP_LABEL: meta.name(app)}},
        "spec": {
            "parentRefs": [
                {"group": HTTP_ROUTE.group, "kind": "Gateway", "namespace": namespace, "name": name},
            ],
            "hostnames": [host(meta.name(app))],
            "rules": [{"backendRefs": [{"name": arm, "port": 80, "weight": weight} for arm, weight in weights]}],
        },
    }


def weights(route: Mapping[str, Any] | None) -> dict[str, int]:
    """The arms of the app's route as it stands."""
    rules = ((route or {}).get("spec") or {}).get("rules") or ()
    return {str(ref["name"]): int(ref.get("weight", 1)) for rule in rules for ref in rule.get("backendRefs") or ()}


def in_force(route: Mapping[str, Any] | None) -> bool:
    """Has the gateway acknowledged this very generation? `Programmed` counts where the gateway tells it, else `Accepted`."""
    if route is None:
        return False
    generation = int(meta.metadata(route).get("generation", 0))
    parents = [parent.get("conditions") for parent in (route.get("status") or {}).get("parents") or ()]
    for kind in ("Programmed", "Accepted"):
        found = [one for one in (conditions.find(each, kind) for each in parents) if one]
        if found:
            return any(one["status"] == "True" and int(one.get("observedGeneration", 0)) >= generation for one in found)
    return False


def available(deployment: Mapping[str, Any] | None, replicas: int) -> bool:
    """Do that many pods of the present generation serve?"""
    if deployment is None or meta.deleting(deployment):
        return False
    status = deployment.get("status") or {}
    current = int(status.get("observedGeneration", 0)) >= int(meta.metadata(deployment).get("generation", 0))
    return current and int(status.get("availableReplicas", 0)) >= max(1, replicas)


def reachable(slices: Sequence[Mapping[str, Any]]) -> bool:
    """Does an EndpointSlice of its Service name a ready endpoint? Only then may a route give it a request."""
    return any(
        endpoint.get("addresses") and (endpoint.get("conditions") or {}).get("ready") is not False
        for one in slices
        for endpoint in one.get("endpoints") or ()
    )


_CANNOT_START = {
    "CrashLoopBackOff": "it ends at once, again and again",
    "CreateContainerConfigError": "its container cannot be made",
    "CreateContainerError": "its container cannot be made",
    "ErrImageNeverPull": "its image is not known here",
    "ErrImagePull": "its image cannot be had",
    "ImagePullBackOff": "its image cannot be had",
    "InvalidImageName": "its image has no valid name",
    "RunContainerError": "its command cannot be run",
}


def cannot_start(pods: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """(reason in words, name of the pod) when waiting on is of no use; ("", "") otherwise."""
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            waiting = (status.get("state") or {}).get("waiting") or {}
            words = _CANNOT_START.get(str(waiting.get("reason")))
            if words:
                ended = (status.get("lastState") or {}).get("terminated") or {}
                code = f" (exit code {ended['exitCode']})" if "exitCode" in ended else ""
                return f"{words}{code}", meta.name(pod)
    return "", ""
