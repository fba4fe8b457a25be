"""Objects as an API server shows them, for the tests of discovery."""

from __future__ import annotations

import json
from typing import Any

from styr.kinds.pods import PORTS_ANNOTATION
from styr.kinds.resources import Object


def pod(name: str = "web-1", ip: str = "10.0.0.7", *, real: dict[int, int] | None = None, **more: Any) -> Object:
    annotations = {**more.pop("annotations", {})}
    if real:
        annotations[PORTS_ANNOTATION] = json.dumps({str(key): value for key, value in real.items()})
    ports = more.pop("ports", [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"containerPort": 9100}])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "labels": {"app": "web", **more.pop("labels", {})},
            "annotations": annotations,
            "ownerReferences": [
                {"kind": "ReplicaSet", "name": "web-abc", "apiVersion": "apps/v1", "uid": "u", "controller": True}
            ],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "main", "image": "web:1", "ports": ports}],
            **more.pop("spec", {}),
        },
        "status": {
            "podIP": ip,
            "hostIP": "10.0.0.1",
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "main", "containerID": "process://42"}],
            **more,
        },
    }


def service(name: str = "web", **more: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web", "tier.x/y": "a"}, **more},
        "spec": {"clusterIP": "10.96.0.5", "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }


def slice(name: str = "web-x", pods: tuple[str, ...] = ("web-1",), port: int = 8080, **more: Any) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": ["10.0.0.7"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": "n1",
                "targetRef": {"kind": "Pod", "namespace": "default", "name": each},
            }
            for each in pods
        ],
        **more,
    }


def node(name: str = "n1", **more: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"zone": "a"}},
        "spec": {"providerID": "styr://n1"},
        "status": {
            "addresses": [{"type": "Hostname", "address": "host"}, {"type": "InternalIP", "address": "127.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            **more,
        },
    }
