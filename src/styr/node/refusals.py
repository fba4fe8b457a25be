"""Which fields of a Pod this runtime cannot honour. Pure; called by `pod.py` before anything starts.

A field is honoured, or refused by name with the way out; never ignored. One thing is left out that nobody wrote: the volume
with the ServiceAccount's token that admission adds to every pod. Who asks for it by name is refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from styr.kinds.pods import HOST_IMAGE, is_token_volume

Spec = Mapping[str, Any]


class Refusal(NamedTuple):
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Identity(NamedTuple):
    """Who the processes run as: the user of Styr itself."""

    uid: int
    gid: int


def refusals(pod: Mapping[str, Any], me: Identity, known_image: Callable[[str], bool]) -> list[Refusal]:
    spec = pod.get("spec") or {}
    found = [*_pod_fields(spec), *_security(spec.get("securityContext") or {}, "spec.securityContext", me)]
    volumes = {str(volume.get("name")): volume for volume in spec.get("volumes") or ()}
    found += _volumes(spec)
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            found += _one(container, f"spec.{kind}[{index}]", volumes, spec, me, known_image)
    return found


def refusals_of(
    pod: Mapping[str, Any], container: Spec, path: str, me: Identity, known_image: Callable[[str], bool]
) -> list[Refusal]:
    """Of one container that joins a running pod."""
    spec = pod["spec"]
    volumes = {str(volume.get("name")): volume for volume in spec.get("volumes") or ()}
    return list(_one(container, path, volumes, spec, me, known_image))


def _one(
    container: Spec,
    path: str,
    volumes: Mapping[str, Spec],
    spec: Spec,
    me: Identity,
    known_image: Callable[[str], bool],
) -> Iterator[Refusal]:
    yield from _container(container, path, volumes, spec)
    yield from _security(container.get("securityContext") or {}, f"{path}.securityContext", me)
    image = str(container.get("image") or "")
    if image != HOST_IMAGE and not known_image(image):
        yield Refusal(f"{path}.image", f"no image {image!r} here: use {HOST_IMAGE}, or push the app")


_POD_UNKNOWN = {
    "runtimeClassName": "there is one runtime, process",
    "hostAliases": "processes use the machine's own names",
    "hostname": "processes have the machine's host name",
    "subdomain": "processes have the machine's host name",
    "setHostnameAsFQDN": "processes have the machine's host name",
    "shareProcessNamespace": "containers have no process namespace to share",
    "resourceClaims": "no devices are handed out",
    "overhead": "the runtime has none",
    "dnsConfig": "processes use the machine's resolver",
}


def _pod_fields(spec: Spec) -> Iterator[Refusal]:
    for name, why in _POD_UNKNOWN.items():
        if spec.get(name):
            yield Refusal(f"spec.{name}", why)
    if spec.get("automountServiceAccountToken"):
        why = "nothing can be mounted; leave it out, and hand the program a token by its environment"
        yield Refusal("spec.automountServiceAccountToken", why)
    if spec.get("dnsPolicy") == "None":
        yield Refusal("spec.dnsPolicy", "processes use the machine's resolver")
    if (spec.get("os") or {}).get("name", "linux") != "linux":
        yield Refusal("spec.os.name", "this node runs linux")
    if spec.get("hostUsers") is False:
        yield Refusal("spec.hostUsers", "processes run as the user of Styr, without a user namespace")


def _security(context: Spec, path: str, me: Identity) -> Iterator[Refusal]:
    for name, mine in (("runAsUser", me.uid), ("runAsGroup", me.gid), ("fsGroup", me.gid)):
        if context.get(name) not in (None, mine):
            yield Refusal(f"{path}.{name}", f"processes run as the user of Styr ({name} {mine}); leave it out")
    if context.get("runAsNonRoot") and me.uid == 0:
        yield Refusal(f"{path}.runAsNonRoot", "Styr itself runs as root here; start it as an ordinary user")
    if context.get("privileged"):
        yield Refusal(f"{path}.privileged", "a process gets no privileges")
    if context.get("allowPrivilegeEscalation"):
        yield Refusal(f"{path}.allowPrivilegeEscalation", "no_new_privs is always set; leave it out or false")
    yield from _kernel(context, path, me)


def _kernel(context: Spec, path: str, me: Identity) -> Iterator[Refusal]:
    capabilities = context.get("capabilities") or {}
    if capabilities.get("add"):
        yield Refusal(f"{path}.capabilities.add", "an ordinary user has none to give")
    if capabilities.get("drop") and me.uid == 0:
        yield Refusal(
            f"{path}.capabilities.drop", "Styr runs as root here and keeps its capabilities; use an ordinary user"
        )
    if context.get("procMount") not in (None, "Default"):
        yield Refusal(f"{path}.procMount", "processes see the machine's own /proc")
    for name in ("seLinuxOptions", "windowsOptions", "sysctls", "supplementalGroups"):
        if context.get(name):
            yield Refusal(f"{path}.{name}", "cannot be set by an ordinary user")
    for name, allowed in (("seccompProfile", "RuntimeDefault"), ("appArmorProfile", "Unconfined")):
        if (context.get(name) or {}).get("type") not in (None, allowed):
            yield Refusal(f"{path}.{name}.type", f"only {allowed} is possible")


def _volumes(spec: Spec) -> Iterator[Refusal]:
    for index, volume in enumerate(spec.get("volumes") or ()):
        if is_token_volume(volume):
            continue
        kinds = sorted(set(volume) - {"name"})
        if kinds != ["hostPath"]:
            kind = kinds[0] if kinds else "emptyDir"
            why = "nothing can be mounted without containers; write below $HOME or $TMPDIR, or use hostPath"
            yield Refusal(f"spec.volumes[{index}].{kind}", why)
        elif not _absolute(str((volume["hostPath"] or {}).get("path") or "")):
            yield Refusal(f"spec.volumes[{index}].hostPath.path", "must be an absolute path without '..'")


def _absolute(path: str) -> bool:
    return path.startswith("/") and ".." not in path.split("/") and "\0" not in path


_CONTAINER_UNKNOWN = {
    "volumeDevices": "no block devices are handed out",
    "restartPolicy": "sidecar init containers are not supported; list it under spec.containers",
}


def _container(container: Spec, path: str, volumes: Mapping[str, Spec], spec: Spec) -> Iterator[Refusal]:
    for name, why in _CONTAINER_UNKNOWN.items():
        if container.get(name):
            yield Refusal(f"{path}.{name}", why)
    folder = container.get("workingDir") or "/"
    if not _absolute(str(folder)):
        yield Refusal(f"{path}.workingDir", "must be an absolute path without '..'")
    if container.get("terminationMessagePath") not in (None, "/dev/termination-log"):
        yield Refusal(f"{path}.terminationMessagePath", "nothing can be mounted; use the log")
    yield from _ports(container, path, bool(spec.get("hostNetwork")))
    yield from _mounts(container, path, volumes)
    for hook in ("postStart", "preStop"):
        if (lifecycle := container.get("lifecycle") or {}).get(hook, {}).get("tcpSocket"):
            yield Refusal(f"{path}.lifecycle.{hook}.tcpSocket", "use exec or httpGet")
        if lifecycle.get("stopSignal"):
            yield Refusal(f"{path}.lifecycle.stopSignal", "processes are stopped with SIGTERM")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (container.get(probe) or {}).get("grpc"):
            yield Refusal(f"{path}.{probe}.grpc", "use httpGet, tcpSocket or exec")


def _ports(container: Spec, path: str, host_network: bool) -> Iterator[Refusal]:
    for index, port in enumerate(container.get("ports") or ()):
        field = f"{path}.ports[{index}]"
        number, host = port.get("containerPort"), port.get("hostPort")
        if host and not (host_network and host == number):
            yield Refusal(
                f"{field}.hostPort", "use a Service and an HTTPRoute, or hostNetwork with hostPort = containerPort"
            )
        if port.get("hostIP"):
            yield Refusal(f"{field}.hostIP", "processes choose their own address; tell it to them")
        if port.get("protocol", "TCP") not in ("TCP", "UDP"):
            yield Refusal(f"{field}.protocol", "only TCP and UDP")


def _mounts(container: Spec, path: str, volumes: Mapping[str, Spec]) -> Iterator[Refusal]:
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        field = f"{path}.volumeMounts[{index}]"
        volume = volumes.get(str(mount.get("name")))
        if volume is None:
            yield Refusal(f"{field}.name", f"no volume {mount.get('name')!r} in spec.volumes")
            continue
        if is_token_volume(volume):
            continue
        source = str((volume.get("hostPath") or {}).get("path") or "")
        if source and posixpath.normpath(str(mount.get("mountPath"))) != posixpath.normpath(source):
            yield Refusal(f"{field}.mountPath", f"nothing can be mounted elsewhere; must equal the hostPath {source}")
        for name in ("subPath", "subPathExpr"):
            if mount.get(name):
                yield Refusal(f"{field}.{name}", "nothing can be mounted; declare the folder itself as hostPath")
        if mount.get("mountPropagation") not in (None, "None"):
            yield Refusal(f"{field}.mountPropagation", "nothing is mounted")


def unenforced(pod: Mapping[str, Any]) -> list[str]:
    """Limits that are taken note of, not enforced: told once by an event."""
    return [
        f"spec.containers[{index}].resources.limits.{name}"
        for index, container in enumerate((pod.get("spec") or {}).get("containers") or ())
        for name in ((container.get("resources") or {}).get("limits") or {})
    ]
