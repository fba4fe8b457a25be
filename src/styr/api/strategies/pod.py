"""Pod: shape, Kubernetes' defaults, what must be there, and what may still change once it exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from styr.api.strategies.base import BuiltinStrategy, forbidden, invalid, required
from styr.api.strategies.shapes import (
    BAG,
    COUNT,
    FLAG,
    INT_OR_TEXT,
    PORT,
    TEXT,
    WHOLE,
    Shape,
    default,
    fields,
    many,
    one_of,
    root,
    struct,
    table,
    whole,
)
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

_HTTP_GET = struct(
    ("port",),
    port=INT_OR_TEXT,
    path=default(TEXT, "/"),
    host=TEXT,
    scheme=one_of("HTTP", "HTTPS", default="HTTP"),
    httpHeaders=many(struct(("name", "value"), name=TEXT, value=TEXT)),
)
_ACTIONS = {
    "exec": struct(command=many(TEXT)),
    "httpGet": _HTTP_GET,
    "tcpSocket": struct(("port",), port=INT_OR_TEXT, host=TEXT),
}
_PROBE = struct(
    **_ACTIONS,
    grpc=struct(("port",), port=PORT, service=TEXT),
    initialDelaySeconds=COUNT,
    timeoutSeconds=whole(1, default=1),
    periodSeconds=whole(1, default=10),
    successThreshold=whole(1, default=1),
    failureThreshold=whole(1, default=3),
    terminationGracePeriodSeconds=whole(1),
)
_HOOK = struct(**_ACTIONS, sleep=struct(("seconds",), seconds=WHOLE))
_QUANTITIES = table(INT_OR_TEXT)
_KEY_REF = struct(("key",), key=TEXT, name=TEXT, optional=FLAG)
_ENV = struct(
    ("name",),
    name=TEXT,
    value=TEXT,
    valueFrom=struct(
        configMapKeyRef=_KEY_REF,
        secretKeyRef=_KEY_REF,
        fieldRef=struct(("fieldPath",), fieldPath=TEXT, apiVersion=default(TEXT, "v1")),
        resourceFieldRef=BAG,
        fileKeyRef=BAG,
    ),
)
_CONTAINER = struct(
    ("name",),
    name=TEXT,
    image=TEXT,
    command=many(TEXT),
    args=many(TEXT),
    workingDir=TEXT,
    ports=many(
        struct(
            ("containerPort",),
            containerPort=PORT,
            name=TEXT,
            protocol=one_of("TCP", "UDP", "SCTP", default="TCP"),
            hostPort=COUNT,
            hostIP=TEXT,
        )
    ),
    env=many(_ENV),
    envFrom=many(struct(prefix=TEXT, configMapRef=BAG, secretRef=BAG)),
    resources=default(struct(limits=_QUANTITIES, requests=_QUANTITIES, claims=many(BAG)), {}),
    volumeMounts=many(
        struct(
            ("name", "mountPath"),
            name=TEXT,
            mountPath=TEXT,
            readOnly=FLAG,
            subPath=TEXT,
            **fields("subPathExpr mountPropagation recursiveReadOnly"),
        )
    ),
    livenessProbe=_PROBE,
    readinessProbe=_PROBE,
    startupProbe=_PROBE,
    lifecycle=struct(postStart=_HOOK, preStop=_HOOK, stopSignal=TEXT),
    terminationMessagePath=default(TEXT, "/dev/termination-log"),
    terminationMessagePolicy=one_of("File", "FallbackToLogsOnError", default="File"),
    imagePullPolicy=one_of("Always", "IfNotPresent", "Never"),
    securityContext=BAG,
    stdin=FLAG,
    stdinOnce=FLAG,
    tty=FLAG,
    **fields("resizePolicy restartPolicyRules restartPolicy volumeDevices targetContainerName"),
)
_VOLUME: Shape = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": TEXT},
    "x-kubernetes-preserve-unknown-fields": True,
}
POD_SPEC = struct(
    ("containers",),
    containers=many(_CONTAINER),
    initContainers=many(_CONTAINER),
    ephemeralContainers=many(_CONTAINER),
    volumes=many(_VOLUME),
    restartPolicy=one_of("Always", "OnFailure", "Never", default="Always"),
    terminationGracePeriodSeconds=default(WHOLE, 30),
    activeDeadlineSeconds=whole(1),
    dnsPolicy=one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None", default="ClusterFirst"),
    nodeSelector=table(TEXT),
    serviceAccountName=TEXT,
    serviceAccount=TEXT,
    automountServiceAccountToken=FLAG,
    nodeName=TEXT,
    hostNetwork=FLAG,
    hostPID=FLAG,
    hostIPC=FLAG,
    hostUsers=FLAG,
    shareProcessNamespace=FLAG,
    securityContext=default(BAG, {}),
    imagePullSecrets=many(struct(name=TEXT)),
    hostname=TEXT,
    subdomain=TEXT,
    affinity=BAG,
    schedulerName=default(TEXT, "default-scheduler"),
    tolerations=many(BAG),
    hostAliases=many(BAG),
    priorityClassName=TEXT,
    priority=WHOLE,
    dnsConfig=BAG,
    readinessGates=many(BAG),
    runtimeClassName=TEXT,
    enableServiceLinks=default(FLAG, True),
    preemptionPolicy=TEXT,
    overhead=_QUANTITIES,
    topologySpreadConstraints=many(BAG),
    setHostnameAsFQDN=FLAG,
    os=BAG,
    schedulingGates=many(BAG),
    resourceClaims=many(BAG),
    **fields("resources hostnameOverride workloadRef"),
)

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ENV_NAME = re.compile(r"[^=\x00-\x1f\x7f]+")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


class PodStrategy(BuiltinStrategy):
    shape = root(spec=POD_SPEC, status=BAG)
    counts_generation = True

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}

    def default(self, obj: Object) -> None:
        default_pod_spec(obj["spec"])

    def validate(self, obj: Object) -> list[Cause]:
        if "spec" not in obj:
            return [required("spec")]
        return list(pod_spec_faults(obj["spec"], "spec"))

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        if _fixed(new["spec"]) == _fixed(old["spec"]) and _keeps(new["spec"], old["spec"], "tolerations"):
            return []
        return [
            forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,"
                "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
                "existing tolerations)",
            )
        ]


def default_pod_spec(spec: dict[str, Any]) -> None:
    """What the shape cannot say: defaults that depend on another field."""
    for container in _containers(spec):
        if "imagePullPolicy" not in container:
            container["imagePullPolicy"] = _pull_policy(container.get("image", ""))
        resources = container["resources"]
        if limits := resources.get("limits"):
            resources["requests"] = dict(limits) | resources.get("requests", {})
        if spec.get("hostNetwork"):
            for port in container.get("ports", ()):
                port.setdefault("hostPort", port["containerPort"])
    if "serviceAccountName" in spec:
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif "serviceAccount" in spec:
        spec["serviceAccountName"] = spec["serviceAccount"]


def pod_spec_faults(spec: dict[str, Any], path: str) -> Iterator[Cause]:
    """Faults that a shape cannot see. `path` stands before each field's name."""
    if not spec["containers"]:
        yield required(f"{path}.containers")
    if spec["terminationGracePeriodSeconds"] < 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", "Invalid value: must be greater than or equal to 0")
    volumes = [volume["name"] for volume in spec.get("volumes", ())]
    yield from _duplicates(volumes, f"{path}.volumes")
    seen: list[str] = []
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group, ())):
            where = f"{path}.{group}[{index}]"
            yield from _container_faults(container, where, volumes)
            if container["name"] in seen:
                yield invalid(f"{where}.name", f'Duplicate value: "{container["name"]}"', "FieldValueDuplicate")
            seen.append(container["name"])


def _container_faults(container: dict[str, Any], path: str, volumes: list[str]) -> Iterator[Cause]:
    if not _LABEL.fullmatch(container["name"]):
        yield invalid(f"{path}.name", f'Invalid value: "{container["name"]}": must be a lowercase RFC 1123 label')
    if not container.get("image", "").strip():
        yield required(f"{path}.image")
    for index, variable in enumerate(container.get("env", ())):
        if not _ENV_NAME.fullmatch(variable["name"]):
            yield invalid(f"{path}.env[{index}].name", f"Invalid value: {variable['name']!r}: not a variable's name")
        elif variable.get("value") and variable.get("valueFrom"):
            yield invalid(f"{path}.env[{index}].valueFrom", "Invalid value: may not be set when `value` is not empty")
    ports = [port["name"] for port in container.get("ports", ()) if port.get("name")]
    yield from _duplicates(ports, f"{path}.ports")
    for index, mount in enumerate(container.get("volumeMounts", ())):
        if mount["name"] not in volumes:
            yield invalid(f"{path}.volumeMounts[{index}].name", f'Not found: "{mount["name"]}"', "FieldValueNotFound")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            yield from _probe_faults(container[probe], f"{path}.{probe}", probe)


def _probe_faults(probe: dict[str, Any], path: str, kind: str) -> Iterator[Cause]:
    handlers = [name for name in _HANDLERS if name in probe]
    if not handlers:
        yield required(path, "must specify a handler type")
    for extra in handlers[1:]:
        yield forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    for name in ("httpGet", "tcpSocket"):
        port = probe.get(name, {}).get("port", 1)
        if port == "" or (isinstance(port, int) and not 1 <= port <= 65535):
            yield invalid(f"{path}.{name}.port", f"Invalid value: {port!r}: must be between 1 and 65535, or a name")
    if kind != "readinessProbe" and probe["successThreshold"] != 1:
        yield invalid(f"{path}.successThreshold", f"Invalid value: {probe['successThreshold']}: must be 1")


def _duplicates(names: list[str], path: str) -> Iterator[Cause]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield invalid(f"{path}[{index}].name", f'Duplicate value: "{name}"', "FieldValueDuplicate")


def _containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(group, ())


def _pull_policy(image: str) -> str:
    last = image.rsplit("/", 1)[-1]
    if "@" in last:
        return "IfNotPresent"
    return "Always" if ":" not in last or last.endswith(":latest") else "IfNotPresent"


def _fixed(spec: dict[str, Any]) -> dict[str, Any]:
    """The part of a pod's spec that never changes."""
    kept = {key: value for key, value in spec.items() if key not in ("activeDeadlineSeconds", "tolerations")}
    for group in ("containers", "initContainers"):
        if group in kept:
            kept[group] = [{k: v for k, v in container.items() if k != "image"} for container in kept[group]]
    return kept


def _keeps(new: dict[str, Any], old: dict[str, Any], field: str) -> bool:
    return all(entry in new.get(field, ()) for entry in old.get(field, ()))
