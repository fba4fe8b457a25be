"""Objects that try every cell of every kind: (collection, object, status). Read by generate_tables.py, which writes what the
real server's Tables say of them."""

from __future__ import annotations

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Obj = dict[str, Any]
OBJECTS: list[tuple[str, Obj, Obj | None]] = []
LONG_AGO, LATER = "2020-01-02T03:04:05Z", "2020-01-02T05:14:05Z"


def add(
    api: str, plural: str, kind: str, *objects: Obj, namespaced: bool = True, status: Obj | None = None, **meta: Any
) -> None:
    """One object after another, named PLURAL-N unless they say otherwise."""
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    path = f"{root}/namespaces/default/{plural}" if namespaced else f"{root}/{plural}"
    for obj in objects:
        metadata = {"name": f"{plural}-{len(OBJECTS)}", **meta, **obj.pop("metadata", {})}
        OBJECTS.append((path, {"apiVersion": api, "kind": kind, "metadata": metadata, **obj}, status))


def labelled(**labels: str) -> Obj:
    return {"metadata": {"labels": labels}}


POD = {"containers": [{"name": "a", "image": "one:1"}, {"name": "b", "image": "two"}]}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": POD}
ONCE = {"metadata": {"labels": {"app": "web"}}, "spec": {**POD, "restartPolicy": "Never"}}
SELECTOR = {"matchLabels": {"app": "web"}}
MANY = {
    "matchLabels": {"tier": "x", "app": "web"},
    "matchExpressions": [
        {"key": "b", "operator": "In", "values": ["y", "x"]},
        {"key": "c", "operator": "NotIn", "values": ["z"]},
        {"key": "a", "operator": "Exists"},
        {"key": "d", "operator": "DoesNotExist"},
    ],
}
BUSY = {"metadata": {"labels": {"tier": "x", "app": "web", "a": "", "b": "x"}}, "spec": POD}


# --- pods ----------------------------------------------------------------------------------------------------------


def pod(spec: Obj | None = None, status: Obj | None = None, **meta: Any) -> None:
    add("v1", "pods", "Pod", {"spec": {**POD, **(spec or {})}}, status=status, **meta)


def container(name: str, state: Obj, *, ready: bool = False, restarts: int = 0, **more: Any) -> Obj:
    return {
        "name": name,
        "image": name,
        "imageID": "",
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        **more,
    }


def terminated(code: int, reason: str = "", **more: Any) -> Obj:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": LONG_AGO, "finishedAt": LATER, **more}}


def waiting(reason: str) -> Obj:
    return {"waiting": {"reason": reason}}


RUNNING = {"running": {"startedAt": LONG_AGO}}
READY = [{"type": "Ready", "status": "True"}]
pod()
pod(
    {"readinessGates": [{"conditionType": "x.io/a"}, {"conditionType": "x.io/b"}], "nodeName": "n1"},
    {
        "phase": "Running",
        "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
        "podIP": "10.0.0.1",
        "conditions": [{"type": "x.io/a", "status": "True"}, *READY],
        "containerStatuses": [
            container("a", RUNNING, ready=True, restarts=2, lastState=terminated(1, "Error")),
            container("b", RUNNING, ready=True),
        ],
    },
)
pod({}, {"phase": "Pending", "nominatedNodeName": "n2"})
for states in (
    [waiting("CrashLoopBackOff"), RUNNING],
    [terminated(0, "Completed"), terminated(3)],
    [terminated(0, "Completed"), terminated(137, signal=9)],
    [terminated(0, "Completed"), terminated(1, "OOMKilled")],
    [terminated(1, "Error"), terminated(0, "Completed")],
    [terminated(0, "Completed"), RUNNING],
    [waiting("ContainerCreating"), waiting("ContainerCreating")],
):
    pod(
        {},
        {
            "phase": "Running",
            "containerStatuses": [
                container(name, state, ready=state is RUNNING, restarts=1)
                for name, state in zip("ab", states, strict=True)
            ],
        },
    )
pod(
    {},
    {
        "phase": "Running",
        "conditions": READY,
        "containerStatuses": [container("a", terminated(0, "Completed")), container("b", RUNNING, ready=True)],
    },
)
pod({}, {"phase": "Succeeded", "containerStatuses": [container(n, terminated(0, "Completed")) for n in "ab"]})
pod({}, {"phase": "Failed", "reason": "Evicted", "message": "full"})
pod(
    {"schedulingGates": [{"name": "x.io/wait"}]},
    {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
)
INIT = [
    {"name": "i", "image": "i"},
    {"name": "j", "image": "j", "restartPolicy": "Always"},
    {"name": "k", "image": "k"},
]
for inits, more in (
    ([container("i", RUNNING)], {}),
    ([container("i", terminated(2))], {}),
    ([container("i", terminated(2, signal=15))], {}),
    ([container("i", terminated(2, "Error"), restarts=4, lastState=terminated(2, "Error"))], {}),
    ([container("i", waiting("ImagePullBackOff"))], {}),
    ([container("i", waiting("PodInitializing"))], {}),
    (
        [
            container("i", terminated(0, "Completed")),
            container("j", RUNNING, ready=True, started=True, restarts=3, lastState=terminated(1, "Error")),
            container("k", RUNNING),
        ],
        {},
    ),
    (
        [
            container("i", terminated(0, "Completed")),
            container("j", RUNNING, ready=True, started=True, restarts=3, lastState=terminated(1, "Error")),
            container("k", terminated(0, "Completed")),
        ],
        {"conditions": READY, "containerStatuses": [container(n, RUNNING, ready=True, restarts=1) for n in "ab"]},
    ),
    (
        [container("i", waiting("Odd"))],
        {
            "conditions": [{"type": "Initialized", "status": "True"}, *READY],
            "containerStatuses": [container("a", RUNNING, ready=True)],
        },
    ),
):
    pod({"initContainers": INIT}, {"phase": "Pending", "initContainerStatuses": inits, **more})
pod({"nodeName": "n"}, {"phase": "Running"}, finalizers=["x.io/keep"])
pod({"nodeName": "n"}, {"phase": "Running", "reason": "NodeLost"}, finalizers=["x.io/keep"])
pod({"nodeName": "n"}, {"phase": "Failed"}, finalizers=["x.io/keep"])
add("v1", "podtemplates", "PodTemplate", {"template": TEMPLATE}, {"template": {**TEMPLATE, "metadata": {}}})

# --- workloads -----------------------------------------------------------------------------------------------------

COUNTS = {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 1}
for status in (None, COUNTS):
    add(
        "apps/v1",
        "deployments",
        "Deployment",
        {"spec": {"selector": SELECTOR, "template": TEMPLATE, "replicas": 3}},
        {"spec": {"selector": MANY, "template": BUSY, "replicas": 3}},
        status=status,
    )
few = {key: COUNTS[key] for key in ("replicas", "readyReplicas", "availableReplicas")}
for status in (None, few):
    add(
        "apps/v1",
        "replicasets",
        "ReplicaSet",
        {"spec": {"selector": SELECTOR, "template": TEMPLATE, "replicas": 3}},
        {"spec": {"selector": MANY, "template": BUSY}},
        status=status,
    )
    add(
        "v1",
        "replicationcontrollers",
        "ReplicationController",
        {"spec": {"selector": {"app": "web"}, "template": TEMPLATE, "replicas": 3}},
        status=status,
    )
add(
    "apps/v1",
    "statefulsets",
    "StatefulSet",
    {"spec": {"selector": SELECTOR, "template": TEMPLATE, "replicas": 3, "serviceName": "s"}},
    status=COUNTS,
)
add(
    "apps/v1", "statefulsets", "StatefulSet", {"spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "s"}}
)
DAEMON = {"selector": SELECTOR, "template": {**TEMPLATE, "spec": {**POD, "nodeSelector": {"b": "2", "a": "1"}}}}
add(
    "apps/v1",
    "daemonsets",
    "DaemonSet",
    {"spec": DAEMON},
    status={
        "desiredNumberScheduled": 5,
        "currentNumberScheduled": 4,
        "numberReady": 3,
        "updatedNumberScheduled": 2,
        "numberAvailable": 1,
        "numberMisscheduled": 0,
    },
)
add("apps/v1", "daemonsets", "DaemonSet", {"spec": {"selector": MANY, "template": BUSY}})
add(
    "apps/v1",
    "controllerrevisions",
    "ControllerRevision",
    {"revision": 3, "data": {}},
    {
        "revision": 4,
        "data": {},
        "metadata": {
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "u", "controller": True}
            ]
        },
    },
    {
        "revision": 5,
        "data": {},
        "metadata": {
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}]
        },
    },
)
for spec, status in (
    ({}, None),
    ({"parallelism": 3}, {"startTime": LONG_AGO, "active": 1, "ready": 0, "uncountedTerminatedPods": {}}),
    ({"completions": 5, "parallelism": 2}, None),
    ({"suspend": True}, {"conditions": [{"type": "Suspended", "status": "True"}], "uncountedTerminatedPods": {}}),
    (
        {},
        {
            "startTime": LONG_AGO,
            "completionTime": LATER,
            "succeeded": 1,
            "uncountedTerminatedPods": {},
            "conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}],
        },
    ),
    (
        {},
        {
            "startTime": LONG_AGO,
            "failed": 1,
            "uncountedTerminatedPods": {},
            "conditions": [{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}],
        },
    ),
    (
        {},
        {
            "startTime": LONG_AGO,
            "uncountedTerminatedPods": {},
            "conditions": [{"type": "FailureTarget", "status": "True"}],
        },
    ),
    (
        {},
        {
            "startTime": LONG_AGO,
            "uncountedTerminatedPods": {},
            "conditions": [{"type": "SuccessCriteriaMet", "status": "True"}],
        },
    ),
):
    add("batch/v1", "jobs", "Job", {"spec": {"template": ONCE, **spec}}, status=status)
add("batch/v1", "jobs", "Job", {"spec": {"template": ONCE}}, finalizers=["x.io/keep"])
JOBS = {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": ONCE}}}
add("batch/v1", "cronjobs", "CronJob", {"spec": JOBS}, {"spec": {**JOBS, "suspend": True, "timeZone": "Europe/Berlin"}})
add(
    "batch/v1",
    "cronjobs",
    "CronJob",
    {"spec": JOBS},
    status={"lastScheduleTime": LONG_AGO, "active": [{"kind": "Job", "name": "a"}, {"kind": "Job", "name": "b"}]},
)
add(
    "policy/v1",
    "poddisruptionbudgets",
    "PodDisruptionBudget",
    {"spec": {"minAvailable": 2, "selector": SELECTOR}},
    {"spec": {"maxUnavailable": "25%", "selector": SELECTOR}},
    status={"disruptionsAllowed": 3, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1},
)

# --- autoscaling ---------------------------------------------------------------------------------------------------

REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def resource(kind: str, target: Obj, **more: Any) -> Obj:
    field = kind[0].lower() + kind[1:]
    return {"type": kind, field: {"name": "cpu", "target": target, **more}}


def current(kind: str, found: Obj, **more: Any) -> Obj:
    field = kind[0].lower() + kind[1:]
    return {"type": kind, field: {"name": "cpu", "current": found, **more}}


PERCENT = {"type": "Utilization", "averageUtilization": 80}
AVERAGE = {"type": "AverageValue", "averageValue": "1500m"}
VALUE = {"type": "Value", "value": "10k"}
DESCRIBED = {"describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "m"}}


def other(kind: str, target: Obj, **more: Any) -> Obj:
    return {"type": kind, kind.lower(): {"metric": {"name": "m"}, "target": target, **more}}


def seen(kind: str, found: Obj, **more: Any) -> Obj:
    return {"type": kind, kind.lower(): {"metric": {"name": "m"}, "current": found, **more}}


ABOUT = {"describedObject": {"kind": "Service", "name": "s"}}
for metrics, found in (
    ([], []),
    ([resource("Resource", PERCENT)], []),
    ([resource("Resource", PERCENT)], [current("Resource", {"averageUtilization": 35, "averageValue": "35m"})]),
    ([resource("Resource", AVERAGE)], []),
    ([resource("Resource", AVERAGE)], [current("Resource", {"averageValue": "700m"})]),
    (
        [resource("ContainerResource", PERCENT, container="a")],
        [current("ContainerResource", {"averageUtilization": 5, "averageValue": "1"}, container="a")],
    ),
    ([resource("ContainerResource", AVERAGE, container="a")], []),
    ([other("Pods", AVERAGE)], []),
    ([other("Pods", AVERAGE)], [seen("Pods", {"averageValue": "2"})]),
    ([other("Object", VALUE, **ABOUT)], []),
    ([other("Object", VALUE, **ABOUT)], [seen("Object", {"value": "5k"}, **ABOUT)]),
    ([other("Object", AVERAGE, **ABOUT)], [seen("Object", {"value": "0", "averageValue": "1"}, **ABOUT)]),
    ([other("External", VALUE)], [seen("External", {"value": "7"})]),
    ([other("External", AVERAGE)], [seen("External", {"averageValue": "3"})]),
    ([other("External", AVERAGE)], []),
    ([resource("Resource", PERCENT), other("Pods", AVERAGE), other("External", VALUE), other("External", AVERAGE)], []),
):
    spec = {"scaleTargetRef": REF, "maxReplicas": 9, "metrics": metrics}
    add(
        "autoscaling/v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        {"spec": spec},
        status={"currentMetrics": found, "currentReplicas": 4, "desiredReplicas": 4, "conditions": []}
        if found
        else None,
    )
add(
    "autoscaling/v1",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    {"spec": {"scaleTargetRef": REF, "maxReplicas": 9, "minReplicas": 2, "targetCPUUtilizationPercentage": 50}},
    status={"currentReplicas": 3, "desiredReplicas": 3, "currentCPUUtilizationPercentage": 7},
)
add(
    "autoscaling/v1",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    {"spec": {"scaleTargetRef": REF, "maxReplicas": 9, "targetCPUUtilizationPercentage": 50}},
)

# --- network -------------------------------------------------------------------------------------------------------

PORTS = [{"name": "a", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}]
ADDRESSES = {
    "loadBalancer": {
        "ingress": [
            {"ip": "192.0.2.9", "ipMode": "VIP"},
            {"hostname": "lb.example.com"},
            {"hostname": "a-name-that-is-longer.example.com"},
        ]
    }
}
add(
    "v1",
    "services",
    "Service",
    {"spec": {"ports": PORTS, "selector": {"b": "2", "a": "1"}}},
    {"spec": {"clusterIP": "None", "selector": {"a": "1"}}},
    {"spec": {"ports": PORTS, "externalIPs": ["192.0.2.1", "192.0.2.2"]}},
    {"spec": {"type": "ExternalName", "externalName": "example.com"}},
    {"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30123}]}},
    {"spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30124}]}},
)
for index, ips in enumerate(([], ["192.0.2.1"])):
    add(
        "v1",
        "services",
        "Service",
        {"spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30125 + index}], "externalIPs": ips}},
        status=ADDRESSES,
    )
BACKEND = {"service": {"name": "s", "port": {"number": 80}}}


def rule(host: str = "") -> Obj:
    path = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
    return {"http": {"paths": [path]}, **({"host": host} if host else {})}


for rules in (
    [rule()],
    [rule("a.io")],
    [rule(f"{name}.io") for name in "abc"],
    [rule(f"{name}.io") for name in "abcde"],
    [rule(), rule("a.io"), rule("b.io"), rule("c.io")],
):
    add("networking.k8s.io/v1", "ingresses", "Ingress", {"spec": {"rules": rules}})
add(
    "networking.k8s.io/v1",
    "ingresses",
    "Ingress",
    {"spec": {"ingressClassName": "nginx", "defaultBackend": BACKEND, "tls": [{"hosts": ["a.io"]}]}},
    status={"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "b.example.com"}, {"ip": "192.0.2.3"}]}},
)
add(
    "networking.k8s.io/v1",
    "ingressclasses",
    "IngressClass",
    {"spec": {"controller": "x.io/c"}},
    {
        "spec": {
            "controller": "x.io/c",
            "parameters": {"apiGroup": "k.io", "kind": "P", "name": "n", "scope": "Cluster"},
        }
    },
    {"spec": {"controller": "x.io/c", "parameters": {"kind": "ConfigMap", "name": "n", "scope": "Cluster"}}},
    namespaced=False,
)
add(
    "networking.k8s.io/v1",
    "networkpolicies",
    "NetworkPolicy",
    {"spec": {"podSelector": {}}},
    {"spec": {"podSelector": MANY}},
)
add(
    "networking.k8s.io/v1",
    "servicecidrs",
    "ServiceCIDR",
    {"spec": {"cidrs": ["10.1.0.0/16", "fd00:1::/112"]}},
    namespaced=False,
)
for number, parent in (
    (1, {"resource": "services", "namespace": "default", "name": "s"}),
    (2, {"group": "gateway.networking.k8s.io", "resource": "Gateways", "name": "g"}),
):
    add(
        "networking.k8s.io/v1",
        "ipaddresses",
        "IPAddress",
        {"metadata": {"name": f"10.1.0.{number}"}, "spec": {"parentRef": parent}},
        namespaced=False,
    )
ENDS = {"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}
add(
    "v1",
    "endpoints",
    "Endpoints",
    {},
    {"subsets": [{**ENDS, "ports": [{"port": 80}]}]},
    {"subsets": [ENDS]},
    {"subsets": [{**ENDS, "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}]},
    {"subsets": [{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}]},
)
add(
    "discovery.k8s.io/v1",
    "endpointslices",
    "EndpointSlice",
    {"addressType": "IPv4", "endpoints": [], "ports": []},
    {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [f"10.0.0.{n}"]} for n in range(1, 6)],
        "ports": [
            {"name": "a", "port": 80},
            {"name": "b"},
            {"name": ""},
            {"name": "c", "port": 1},
            {"name": "d", "port": 2},
        ],
    },
    {"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1"]}], "ports": [{"name": "x", "port": 443}]},
)

# --- storage -------------------------------------------------------------------------------------------------------

MODES = ["ReadWriteMany", "ReadWriteOnce", "ReadOnlyMany"]
VOLUME = {"capacity": {"storage": "10Gi"}, "hostPath": {"path": "/x"}}
add(
    "v1",
    "persistentvolumes",
    "PersistentVolume",
    {"spec": {**VOLUME, "accessModes": MODES}},
    {
        "spec": {
            **VOLUME,
            "accessModes": ["ReadWriteOncePod"],
            "storageClassName": "fast",
            "volumeMode": "Block",
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": "default", "name": "c"},
        },
        "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
    },
    namespaced=False,
)
add(
    "v1",
    "persistentvolumes",
    "PersistentVolume",
    {"spec": {**VOLUME, "accessModes": MODES}},
    namespaced=False,
    status={"phase": "Failed", "reason": "Broken"},
    finalizers=["x.io/keep"],
)
CLAIM = {"accessModes": MODES, "resources": {"requests": {"storage": "1Gi"}}}
add(
    "v1",
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    {"spec": CLAIM},
    {"spec": {**CLAIM, "storageClassName": "", "volumeMode": "Block"}},
)
add(
    "v1",
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    {"spec": {**CLAIM, "volumeName": "v", "storageClassName": "fast"}},
    {"spec": {**CLAIM, "volumeName": "v", "volumeAttributesClassName": "gold"}},
    status={"phase": "Bound", "accessModes": ["ReadOnlyMany"], "capacity": {"storage": "2048Mi"}},
)
add(
    "storage.k8s.io/v1",
    "storageclasses",
    "StorageClass",
    {"provisioner": "x.io/p"},
    {
        "provisioner": "x.io/p",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
        "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    },
    namespaced=False,
)
add(
    "storage.k8s.io/v1",
    "volumeattributesclasses",
    "VolumeAttributesClass",
    {"driverName": "x.io", "parameters": {"iops": "1"}},
    namespaced=False,
)
add(
    "storage.k8s.io/v1",
    "volumeattachments",
    "VolumeAttachment",
    {"spec": {"attacher": "x.io", "nodeName": "n", "source": {"persistentVolumeName": "v"}}},
    status={"attached": True},
    namespaced=False,
)
add(
    "storage.k8s.io/v1",
    "csidrivers",
    "CSIDriver",
    {"spec": {}, "metadata": {"name": "a.x.io"}},
    {
        "metadata": {"name": "b.x.io"},
        "spec": {
            "attachRequired": False,
            "podInfoOnMount": True,
            "storageCapacity": True,
            "requiresRepublish": True,
            "tokenRequests": [{"audience": "a"}, {"audience": ""}],
            "volumeLifecycleModes": ["Persistent", "Ephemeral"],
        },
    },
    namespaced=False,
)
add(
    "storage.k8s.io/v1",
    "csinodes",
    "CSINode",
    {"spec": {"drivers": []}},
    {"spec": {"drivers": [{"name": "x.io", "nodeID": "n"}]}},
    namespaced=False,
)
add(
    "storage.k8s.io/v1",
    "csistoragecapacities",
    "CSIStorageCapacity",
    {"storageClassName": "fast"},
    {"storageClassName": "fast", "capacity": "5Gi"},
)
add("resource.k8s.io/v1", "deviceclasses", "DeviceClass", {"spec": {}}, namespaced=False)
DEVICES = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}}
add("resource.k8s.io/v1", "resourceclaims", "ResourceClaim", {"spec": DEVICES})
ALLOCATED = {"allocation": {"devices": {"results": [{"request": "r", "driver": "x.io", "pool": "p", "device": "d"}]}}}
add("resource.k8s.io/v1", "resourceclaims", "ResourceClaim", {"spec": DEVICES}, status=ALLOCATED)
add(
    "resource.k8s.io/v1",
    "resourceclaims",
    "ResourceClaim",
    {"spec": DEVICES},
    status={**ALLOCATED, "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]},
    finalizers=["x.io/keep"],
)
add("resource.k8s.io/v1", "resourceclaims", "ResourceClaim", {"spec": DEVICES}, finalizers=["x.io/keep"])
add("resource.k8s.io/v1", "resourceclaimtemplates", "ResourceClaimTemplate", {"spec": {"spec": DEVICES}})
SLICE = {"driver": "x.io", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}
add(
    "resource.k8s.io/v1",
    "resourceslices",
    "ResourceSlice",
    {"spec": {**SLICE, "nodeName": "n"}},
    {"spec": {**SLICE, "allNodes": True}},
    namespaced=False,
)

# --- the cluster ---------------------------------------------------------------------------------------------------

add("v1", "configmaps", "ConfigMap", {}, {"data": {"a": "1"}, "binaryData": {"b": "AA==", "c": "AA=="}})
add("v1", "secrets", "Secret", {}, {"type": "x.io/kind", "stringData": {"a": "1", "b": "2"}})
add("v1", "serviceaccounts", "ServiceAccount", {})
add("v1", "limitranges", "LimitRange", {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}})
add("v1", "namespaces", "Namespace", {}, namespaced=False)
add("v1", "namespaces", "Namespace", {}, namespaced=False, finalizers=["x.io/keep"])
add("v1", "resourcequotas", "ResourceQuota", {"spec": {"hard": {"pods": "5"}}})
add(
    "v1",
    "resourcequotas",
    "ResourceQuota",
    {"spec": {"hard": {"pods": "5"}}},
    status={
        "hard": {"pods": "5", "limits.cpu": "4", "requests.cpu": "2", "limits.memory": "1Gi"},
        "used": {"pods": "1", "limits.cpu": "500m"},
    },
)
NODE = {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/b": "x", "kubernetes.io/role": "a"}}
INFO = {
    "machineID": "",
    "systemUUID": "",
    "bootID": "",
    "kernelVersion": "6.1",
    "osImage": "Debian",
    "architecture": "amd64",
    "containerRuntimeVersion": "x://1",
    "kubeletVersion": "v1.35.3",
    "kubeProxyVersion": "",
    "operatingSystem": "linux",
}
add("v1", "nodes", "Node", {}, namespaced=False)
for ready in ("True", "False", "Unknown"):
    add(
        "v1",
        "nodes",
        "Node",
        {"spec": {"unschedulable": ready == "False"}, "metadata": NODE},
        namespaced=False,
        status={
            "nodeInfo": INFO,
            "conditions": [{"type": "Ready", "status": ready}],
            "addresses": [
                {"type": "Hostname", "address": "h"},
                {"type": "InternalIP", "address": "10.0.0.9"},
                {"type": "ExternalIP", "address": "192.0.2.4"},
                {"type": "InternalIP", "address": "fd00::9"},
            ],
        },
    )
OLD = {
    "firstTimestamp": LONG_AGO,
    "lastTimestamp": LATER,
    "count": 4,
    "type": "Normal",
    "reason": "Made",
    "message": " said \n",
}
add(
    "v1",
    "events",
    "Event",
    {
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default", "fieldPath": "spec.x"},
        **OLD,
        "source": {"component": "kubelet", "host": "n"},
    },
    {"involvedObject": {"kind": "Node", "namespace": "default"}, "reason": "Bare", "message": "m"},
    {
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "eventTime": "2020-01-02T03:04:05.000000Z",
        "series": {"count": 7, "lastObservedTime": "2021-01-02T03:04:05.000000Z"},
        "reportingComponent": "c.io/x",
        "reportingInstance": "i",
        "action": "a",
        "type": "Warning",
        "reason": "R",
        "message": "m",
    },
)
add(
    "events.k8s.io/v1",
    "events",
    "Event",
    {
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "eventTime": "2020-01-02T03:04:05.000000Z",
        "reportingController": "c.io/x",
        "reportingInstance": "i",
        "action": "a",
        "type": "Normal",
        "reason": "R",
        "note": "n",
    },
)
RULES = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
add("rbac.authorization.k8s.io/v1", "roles", "Role", RULES)
add("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", RULES, namespaced=False)
SUBJECTS = [
    {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"},
    {"kind": "User", "name": "v", "apiGroup": "rbac.authorization.k8s.io"},
    {"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io"},
    {"kind": "ServiceAccount", "name": "s", "namespace": "default"},
]
BOUND = {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}}
add("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", {**BOUND, "subjects": SUBJECTS}, BOUND)
add(
    "rbac.authorization.k8s.io/v1",
    "clusterrolebindings",
    "ClusterRoleBinding",
    {**BOUND, "subjects": SUBJECTS},
    namespaced=False,
)
add("coordination.k8s.io/v1", "leases", "Lease", {"spec": {}}, {"spec": {"holderIdentity": "me"}})
add(
    "scheduling.k8s.io/v1",
    "priorityclasses",
    "PriorityClass",
    {"value": 5},
    {"value": -7, "preemptionPolicy": "Never"},
    namespaced=False,
)
add("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", {"handler": "h"}, namespaced=False)
_KEY = ec.derive_private_key(7, ec.SECP256R1())
_CSR = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]))
PEM = base64.b64encode(_CSR.sign(_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)).decode()
REQUEST = {"request": PEM, "signerName": "x.io/signer", "usages": ["client auth"]}
add(
    "certificates.k8s.io/v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    {"spec": REQUEST},
    {"spec": {**REQUEST, "expirationSeconds": 7200}},
    namespaced=False,
)
for kinds in (["Approved"], ["Denied"], ["Approved", "Failed"]):
    add(
        "certificates.k8s.io/v1",
        "certificatesigningrequests",
        "CertificateSigningRequest",
        {"spec": REQUEST},
        namespaced=False,
        status={"conditions": [{"type": kind, "status": "True", "reason": "r"} for kind in kinds]},
    )
HOOK = {
    "name": "a.x.io",
    "clientConfig": {"url": "https://127.0.0.1:1/"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "failurePolicy": "Ignore",
    "rules": [],
    "matchConditions": [],
}
ADMISSION = "admissionregistration.k8s.io"
for kind in ("Mutating", "Validating"):
    add(
        f"{ADMISSION}/v1",
        f"{kind.lower()}webhookconfigurations",
        f"{kind}WebhookConfiguration",
        {},
        {"webhooks": [HOOK, {**HOOK, "name": "b.x.io"}]},
        namespaced=False,
    )
MATCH = {
    "resourceRules": [{"apiGroups": ["none.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["x"]}]
}
PARAM = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
CHECKS = {"matchConstraints": MATCH, "validations": [{"expression": "true"}, {"expression": "true"}]}
add(
    f"{ADMISSION}/v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    {"spec": CHECKS},
    {"spec": {**CHECKS, **PARAM}},
    namespaced=False,
)
CHANGES = {
    "matchConstraints": MATCH,
    "reinvocationPolicy": "Never",
    "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}],
}
add(
    f"{ADMISSION}/v1beta1",
    "mutatingadmissionpolicies",
    "MutatingAdmissionPolicy",
    {"spec": CHANGES},
    {"spec": {**CHANGES, **PARAM}},
    namespaced=False,
)
for api, kind, more in (("v1", "Validating", {"validationActions": ["Deny"]}), ("v1beta1", "Mutating", {})):
    add(
        f"{ADMISSION}/{api}",
        f"{kind.lower()}admissionpolicybindings",
        f"{kind}AdmissionPolicyBinding",
        *(
            {
                "spec": {
                    "policyName": "p",
                    **more,
                    **({"paramRef": {**ref, "parameterNotFoundAction": "Allow"}} if ref else {}),
                }
            }
            for ref in (
                {},
                {"name": "n"},
                {"name": "n", "namespace": "m"},
                {"selector": {"matchLabels": {"b": "2", "a": "1"}}},
                {"selector": {}},
                {"selector": MANY},
            )
        ),
        namespaced=False,
    )
FLOW = "flowcontrol.apiserver.k8s.io/v1"
add(
    FLOW,
    "flowschemas",
    "FlowSchema",
    {"spec": {"priorityLevelConfiguration": {"name": "l"}, "matchingPrecedence": 12}},
    {"spec": {"priorityLevelConfiguration": {"name": "exempt"}, "distinguisherMethod": {"type": "ByUser"}}},
    namespaced=False,
)
add(
    FLOW,
    "prioritylevelconfigurations",
    "PriorityLevelConfiguration",
    {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}, "nominalConcurrencyShares": 5}}},
    {
        "spec": {
            "type": "Limited",
            "limited": {
                "limitResponse": {"type": "Queue", "queuing": {"queues": 16, "handSize": 4, "queueLengthLimit": 10}}
            },
        }
    },
    namespaced=False,
)
add(
    "apiregistration.k8s.io/v1",
    "apiservices",
    "APIService",
    {
        "metadata": {"name": "v1.none.io"},
        "spec": {
            "group": "none.io",
            "version": "v1",
            "groupPriorityMinimum": 1,
            "versionPriority": 1,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "default", "name": "none"},
        },
    },
    namespaced=False,
)

# --- custom kinds --------------------------------------------------------------------------------------------------


def definition(plural: str, columns: list[Obj]) -> Obj:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {
        "plural": plural,
        "kind": plural.capitalize(),
        "singular": plural,
        "listKind": f"{plural.capitalize()}List",
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.tables.styr.dev"},
        "spec": {
            "group": "tables.styr.dev",
            "scope": "Cluster",
            "names": names,
            "versions": [version | ({"additionalPrinterColumns": columns} if columns else {})],
        },
    }


COLUMNS = [
    {"name": f"{kind}-{path}", "type": kind, "jsonPath": f".spec.{path}"}
    for kind in ("string", "integer", "number", "boolean", "date")
    for path in ("text", "whole", "part", "flag", "time", "list", "map", "null", "gone")
]
COLUMNS += [
    {"name": "Filter", "type": "string", "jsonPath": '.spec.rows[?(@.k=="b")].v', "description": "told", "priority": 1},
    {"name": "All", "type": "string", "jsonPath": ".spec.rows[*].v", "format": "password"},
    {"name": "First", "type": "string", "jsonPath": ".spec.rows[0].v"},
]
CUSTOM = {"plain": definition("plains", []), "columns": definition("columns", COLUMNS)}
add(
    "tables.styr.dev/v1",
    "columns",
    "Columns",
    {
        "spec": {
            "text": "x",
            "whole": 5,
            "part": 2.5,
            "flag": True,
            "time": LONG_AGO,
            "list": [1, "a"],
            "map": {"b": 1, "a": None},
            "null": None,
            "rows": [{"k": "a", "v": "1"}, {"k": "b", "v": "2"}],
        }
    },
    {"spec": {"part": 1000000.0, "time": "soon", "rows": []}},
    namespaced=False,
)
