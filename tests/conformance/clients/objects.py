"""The objects that cases make: small, and as people write them. Pure."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; echo ready; touch said; while :; do sleep 0.2; done"]
"""A program that says a word, stays, and ends when it is asked."""


def named(api_version: str, kind: str, name: str, labels: dict[str, str] | None = None, **rest: Any) -> Obj:
    metadata: Obj = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def config_map(name: str, labels: dict[str, str] | None = None, /, **data: str) -> Obj:
    return named("v1", "ConfigMap", name, labels, data=data)


def container(name: str = "main", command: list[str] | None = None, **rest: Any) -> Obj:
    return {"name": name, "image": "styr.dev/host", "command": command or SLEEP, **rest}


def pod(name: str, *containers: Obj, labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    spec = {"terminationGracePeriodSeconds": 5, "containers": list(containers) or [container()], **spec}
    return named("v1", "Pod", name, labels or {"app": name}, spec=spec)


def unborn(name: str, labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    """A pod that no node takes: it stays Pending and costs nothing."""
    return pod(name, labels=labels, nodeSelector={"none": "such"}, **spec)


def deployment(name: str, replicas: int = 1, **spec: Any) -> Obj:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [container()]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    return named("apps/v1", "Deployment", name, labels, spec=spec)


def service(name: str, port: int = 80, **spec: Any) -> Obj:
    return named(
        "v1", "Service", name, {"app": name}, spec={"selector": {"app": name}, "ports": [{"port": port}], **spec}
    )


def event(name: str, about: Obj, reason: str, kind: str = "Normal") -> Obj:
    reference = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": about["metadata"]["name"]}
    times = {"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1}
    involved = {**reference, "namespace": "{ns}"}
    source = {"component": "tests"}
    return named(
        "v1",
        "Event",
        name,
        involvedObject=involved,
        reason=reason,
        message=f"it is {reason}",
        type=kind,
        source=source,
        **times,
    )


def definition(group: str, kind: str = "Widget", scope: str = "Namespaced") -> Obj:
    """A CustomResourceDefinition with columns, a status, a scale and a short name of its own per group."""
    plural = kind.lower() + "s"
    size = {"type": "integer", "minimum": 1, "description": "How big it is."}
    properties = {
        "spec": {
            "type": "object",
            "description": "What is wanted.",
            "required": ["size"],
            "properties": {"size": size, "colour": {"type": "string", "default": "red"}},
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
        },
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "schema": {"openAPIV3Schema": {"type": "object", "description": f"A {kind}.", "properties": properties}},
    }
    names = {"plural": plural, "kind": kind, "singular": kind.lower(), "shortNames": ["wd"], "categories": ["toys"]}
    spec = {"group": group, "scope": scope, "names": names, "versions": [version]}
    return named("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{group}", spec=spec)


def widget(group: str, name: str, **spec: Any) -> Obj:
    return named(f"{group}/v1", "Widget", name, spec=spec)
