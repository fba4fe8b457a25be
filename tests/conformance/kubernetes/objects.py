"""Objects that behaviours begin with. Nothing here is clever: kind, name, and the least that is valid."""

from __future__ import annotations

import copy
from typing import Any

from tests.conformance.kubernetes.client import Kube, Object, eventually, unique

IMAGE = "registry.k8s.io/pause:3.10"


def metadata(name: str, labels: dict[str, str] | None = None, **more: Any) -> Object:
    return {"name": name, **({"labels": labels} if labels else {}), **more}


def namespace_object(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(name, labels)}


def config_map(
    name: str, data: dict[str, str] | None = None, labels: dict[str, str] | None = None, **more: Any
) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name, labels), "data": data or {}, **more}


def secret(name: str, data: dict[str, str] | None = None, labels: dict[str, str] | None = None, **more: Any) -> Object:
    """`data` is base64."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name, labels), "data": data or {}, **more}


def pod_spec(**more: Any) -> Object:
    return {"containers": [{"name": "main", "image": IMAGE}], **more}


def pod(name: str, labels: dict[str, str] | None = None, spec: Object | None = None, **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, labels, **more), "spec": spec or pod_spec()}


def template(labels: dict[str, str], spec: Object | None = None, **more: Any) -> Object:
    return {"metadata": {"labels": labels, **more}, "spec": spec or pod_spec()}


def workload(kind: str, name: str, labels: dict[str, str], replicas: int | None = 1, **spec: Any) -> Object:
    """A Deployment, ReplicaSet, StatefulSet or (`replicas` None) DaemonSet of pods with these labels."""
    body: Object = {"selector": {"matchLabels": labels}, "template": template(labels), **spec}
    if replicas is not None:
        body["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata(name, labels), "spec": body}


def deployment(name: str, labels: dict[str, str], replicas: int = 1, **spec: Any) -> Object:
    return workload("Deployment", name, labels, replicas, **spec)


def replica_set(name: str, labels: dict[str, str], replicas: int = 1, **spec: Any) -> Object:
    return workload("ReplicaSet", name, labels, replicas, **spec)


def replication_controller(name: str, labels: dict[str, str], replicas: int = 1, **spec: Any) -> Object:
    body = {"replicas": replicas, "selector": labels, "template": template(labels), **spec}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": metadata(name, labels), "spec": body}


def service(
    name: str, selector: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> Object:
    body = {"ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80}], **spec}
    if selector:
        body["selector"] = selector
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name, labels), "spec": body}


def owner(obj: Object, **more: Any) -> Object:
    """A reference to `obj`, for a dependent."""
    named = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": obj["metadata"]["name"]}
    return {**named, "uid": obj["metadata"]["uid"], **more}


ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def version(
    name: str = "v1", schema: Object | None = None, *, served: bool = True, storage: bool = True, **more: Any
) -> Object:
    shape = copy.deepcopy(schema or ANYTHING)
    return {"name": name, "served": served, "storage": storage, "schema": {"openAPIV3Schema": shape}, **more}


def definition(
    *versions: Object, group: str = "", scope: str = "Namespaced", labels: dict[str, str] | None = None, **spec: Any
) -> Object:
    """A CustomResourceDefinition of a kind that no other test has. Its group ends in example.com."""
    group = group or f"{unique('group')}.example.com"
    singular = unique("thing").replace("-", "")
    names = {
        "plural": f"{singular}s",
        "singular": singular,
        "kind": singular.title(),
        "listKind": f"{singular.title()}List",
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata(f"{names['plural']}.{group}", labels),
        "spec": {"group": group, "scope": scope, "names": names, "versions": list(versions or [version()]), **spec},
    }


def established(crd: Object) -> bool:
    told = {each["type"]: each["status"] for each in (crd.get("status") or {}).get("conditions") or ()}
    return told.get("Established") == "True"


async def define(kube: Kube, crd: Object) -> Object:
    """Creates the definition and waits until its resources are served."""
    crds = kube.of("apiextensions.k8s.io/v1", "customresourcedefinitions")
    await crds.create(crd)
    made = await crds.until(crd["metadata"]["name"], established, "established")

    async def served() -> bool:
        spec = crd["spec"]
        response = await kube.send(
            "GET", f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        )
        return response.status == 200

    await eventually(served, f"{crd['metadata']['name']} served")
    return made


def custom(crd: Object, name: str, version: str = "", **fields: Any) -> Object:
    """An object of the definition's kind, in its first version or the one named."""
    spec = crd["spec"]
    api_version = f"{spec['group']}/{version or spec['versions'][0]['name']}"
    return {"apiVersion": api_version, "kind": spec["names"]["kind"], "metadata": metadata(name), **fields}


def running(pod: Object) -> bool:
    return pod["status"].get("phase") == "Running"


def ready_replicas(count: int) -> Any:
    """Whether a workload says of itself that so many replicas are ready, and that it has seen its own spec."""

    def holds(obj: Object) -> bool:
        status = obj.get("status") or {}
        seen = status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
        return seen and status.get("readyReplicas", 0) == count and status.get("replicas", 0) == count

    return holds
