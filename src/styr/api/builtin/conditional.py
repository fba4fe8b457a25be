"""Defaults that depend on more than their own field being empty: what `defaults.json` cannot say.

Called by `types.fill`, structure by structure, after the table's defaults of that structure and before those below it. Each
function changes its structure in place and may be run twice. Source: what Kubernetes' own code answers, held by
tests/builtin; `FIELDS` are left out of the table.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

from styr.api.builtin import pod_resources, quantity

Struct = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"

_IMAGE = re.compile(r"([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9._/-]*[a-z0-9](:[A-Za-z0-9_.-]+)?(@[A-Za-z0-9:+._-]+)?")
FIELDS: dict[str, tuple[str, ...]] = {
    "apps/v1.DaemonSetUpdateStrategy": ("rollingUpdate",),
    "apps/v1.DeploymentStrategy": ("rollingUpdate",),
    "apps/v1.RollingUpdateDaemonSet": ("maxUnavailable", "maxSurge"),
    "apps/v1.RollingUpdateDeployment": ("maxUnavailable", "maxSurge"),
    "apps/v1.RollingUpdateStatefulSetStrategy": ("partition", "maxUnavailable"),
    "apps/v1.StatefulSetUpdateStrategy": ("rollingUpdate", "type"),
    "batch/v1.JobSpec": ("parallelism", "completions", "backoffLimit", "podReplacementPolicy"),
    "networking.k8s.io/v1.NetworkPolicySpec": ("policyTypes",),
    "resource.k8s.io/v1.DeviceSubRequest": ("count",),
    "resource.k8s.io/v1.ExactDeviceRequest": ("count",),
    "resource.k8s.io/v1.DeviceTaint": ("timeAdded",),
    "v1.Container": ("imagePullPolicy",),
    "v1.EphemeralContainer": ("imagePullPolicy",),
    "v1.ImageVolumeSource": ("pullPolicy",),
    "v1.ServicePort": ("targetPort",),
    "v1.ServiceSpec": ("externalTrafficPolicy", "internalTrafficPolicy"),
    "v1.Volume": ("emptyDir",),
}


def pull_policy(image: str) -> str:
    """`Always` for the tag `latest`, named or not, of a name that can be read."""
    if not _IMAGE.fullmatch(image):
        return "IfNotPresent"
    last = image.rsplit("/", 1)[-1]
    if "@" in last:
        return "IfNotPresent"
    return "Always" if (":" not in last and last) or last.endswith(":latest") else "IfNotPresent"


def _container(value: Struct) -> None:
    if "imagePullPolicy" not in value:
        value["imagePullPolicy"] = pull_policy(value.get("image", ""))


def _image_volume(value: Struct) -> None:
    if "pullPolicy" not in value:
        value["pullPolicy"] = pull_policy(value.get("reference", ""))


def _volume(value: Struct) -> None:
    if value.keys() <= {"name"}:
        value["emptyDir"] = {}


def _pod_spec(value: Struct) -> None:
    """One account under two names, the old one following the new one."""
    name = value.get("serviceAccountName") or value.get("serviceAccount")
    if name:
        value["serviceAccountName"] = value["serviceAccount"] = name


def _pod(value: Struct) -> None:
    spec = value["spec"]
    for container in _containers(spec):
        resources = container.get("resources") or {}
        if limits := resources.get("limits"):
            resources["requests"] = dict(limits) | (resources.get("requests") or {})
    pod_resources.default(spec)
    if spec.get("hostNetwork"):
        for container in _containers(spec):
            for port in container.get("ports") or ():
                if not port.get("hostPort") and port.get("containerPort"):
                    port["hostPort"] = port["containerPort"]
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1


def _containers(spec: Struct) -> Iterator[Struct]:
    yield from spec.get("containers") or ()
    yield from spec.get("initContainers") or ()


def _resources(*fields: str) -> Callable[[Struct], None]:
    """Amounts of resources are whole thousandths, rounded up."""

    def round_up(value: Struct) -> None:
        for field in fields:
            amounts = value.get(field) or {}
            for name, amount in amounts.items():
                if amount[-1:] in "nu" or "." in amount or "e" in amount or "E" in amount:
                    amounts[name] = quantity.rounded(amount)

    return round_up


def _limit_range_item(value: Struct) -> None:
    if value.get("type") == "Container":
        for field, sources in (("default", ("max",)), ("defaultRequest", ("default", "min"))):
            for source in sources:
                known = value.get(field) or {}
                if merged := dict(value.get(source) or {}) | known:
                    value[field] = merged
    _resources("default", "defaultRequest", "max", "min", "maxLimitRequestRatio")(value)


def _node_status(value: Struct) -> None:
    if "allocatable" not in value and "capacity" in value:
        value["allocatable"] = dict(value["capacity"])
    _resources("allocatable", "capacity")(value)


def _service(value: Struct) -> None:
    spec = value["spec"]
    kind = spec.get("type") or "ClusterIP"
    if spec.get("sessionAffinity", "None") == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = spec.get("sessionAffinityConfig") or {}
        if "timeoutSeconds" not in (config.get("clientIP") or {}):
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    outside = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if outside and "externalTrafficPolicy" not in spec:
        spec["externalTrafficPolicy"] = "Cluster"
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for entry in ((value.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if entry.get("ip"):
                entry.setdefault("ipMode", "VIP")


def _service_port(value: Struct) -> None:
    if value.get("targetPort") in (None, 0, ""):
        value["targetPort"] = value.get("port", 0)


def _node_spec(value: Struct) -> None:
    """The first of `podCIDRs` under its older name."""
    first = value.get("podCIDR")
    if first and (value.get("podCIDRs") or [""])[0] != first:
        value["podCIDRs"] = [first]
    if value.get("podCIDRs"):
        value["podCIDR"] = value["podCIDRs"][0]


def _namespace(value: Struct) -> None:
    if name := value["metadata"].get("name"):
        labels = value["metadata"].get("labels") or {}
        value["metadata"]["labels"] = labels | {"kubernetes.io/metadata.name": name}


def _secret(value: Struct) -> None:
    """`stringData` is write-only: it is folded into `data`."""
    plain = value.pop("stringData", None)
    if plain:
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        value["data"] = (value.get("data") or {}) | coded


def _replication_controller(value: Struct) -> None:
    labels = ((value["spec"].get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        value["spec"].setdefault("selector", dict(labels))
        value["metadata"].setdefault("labels", dict(labels))


def _deployment_strategy(value: Struct) -> None:
    if value.get("type") == "RollingUpdate":
        value["rollingUpdate"] = {"maxUnavailable": "25%", "maxSurge": "25%"} | (value.get("rollingUpdate") or {})


def _daemon_set_strategy(value: Struct) -> None:
    if value.get("type") == "RollingUpdate":
        value["rollingUpdate"] = {"maxUnavailable": 1, "maxSurge": 0} | (value.get("rollingUpdate") or {})
    elif "rollingUpdate" in value:
        value["rollingUpdate"] = {"maxUnavailable": 0, "maxSurge": 0} | value["rollingUpdate"]


def _stateful_set_strategy(value: Struct) -> None:
    if "type" not in value:
        value["type"] = "RollingUpdate"
        value.setdefault("rollingUpdate", {})
    if value["type"] == "RollingUpdate" and "rollingUpdate" in value:
        value["rollingUpdate"] = {"partition": 0, "maxUnavailable": 1} | value["rollingUpdate"]


def _stateful_set(value: Struct) -> None:
    """Claims in a template say their type, and start as every claim does."""
    for claim in value["spec"].get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("status", {}).setdefault("phase", "Pending")


def _job(value: Struct) -> None:
    spec = value["spec"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", (1 << 31) - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        value["metadata"].setdefault("labels", dict(labels))


def _network_policy_spec(value: Struct) -> None:
    if "policyTypes" not in value:
        value["policyTypes"] = ["Ingress", "Egress"] if value.get("egress") else ["Ingress"]


def _subject(value: Struct) -> None:
    if not value.get("apiGroup") and value.get("kind") in ("User", "Group"):
        value["apiGroup"] = RBAC


def _device_request(value: Struct) -> None:
    if value.get("allocationMode") == "ExactCount" and not value.get("count"):
        value["count"] = 1


HOOKS: dict[str, Callable[[Struct], None]] = {
    "apps/v1.DaemonSetUpdateStrategy": _daemon_set_strategy,
    "apps/v1.DeploymentStrategy": _deployment_strategy,
    "apps/v1.StatefulSet": _stateful_set,
    "apps/v1.StatefulSetUpdateStrategy": _stateful_set_strategy,
    "batch/v1.Job": _job,
    "networking.k8s.io/v1.NetworkPolicySpec": _network_policy_spec,
    "rbac.authorization.k8s.io/v1.Subject": _subject,
    "resource.k8s.io/v1.DeviceSubRequest": _device_request,
    "resource.k8s.io/v1.ExactDeviceRequest": _device_request,
    "v1.Container": _container,
    "v1.EphemeralContainer": _container,
    "v1.ImageVolumeSource": _image_volume,
    "v1.LimitRangeItem": _limit_range_item,
    "v1.Namespace": _namespace,
    "v1.NodeSpec": _node_spec,
    "v1.NodeStatus": _node_status,
    "v1.PersistentVolumeClaimStatus": _resources("capacity", "allocatedResources"),
    "v1.PersistentVolumeSpec": _resources("capacity"),
    "v1.Pod": _pod,
    "v1.PodSpec": _pod_spec,
    "v1.ReplicationController": _replication_controller,
    "v1.ResourceQuotaSpec": _resources("hard"),
    "v1.ResourceQuotaStatus": _resources("hard", "used"),
    "v1.ResourceRequirements": _resources("limits", "requests"),
    "v1.Secret": _secret,
    "v1.Service": _service,
    "v1.ServicePort": _service_port,
    "v1.Volume": _volume,
    "v1.VolumeResourceRequirements": _resources("limits", "requests"),
}
