"""The spec of a pod, wherever it stands: in a Pod, or in the template of a workload. Called by the strategies; pure."""

from __future__ import annotations

import re
from typing import Any

from styr.api.faults import affinity, containers, names, resources, security
from styr.api.faults.addresses import legacy_ip
from styr.api.faults.causes import (
    Faults,
    duplicate,
    each,
    forbidden,
    get,
    invalid,
    not_found,
    required,
    too_long,
    unsupported,
)
from styr.api.faults.containers import PodOf, no_padding
from styr.api.faults.meta import annotation_faults, labels
from styr.api.faults.tolerations import tolerations
from styr.api.faults.volumes import volumes

_RESTARTS = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MOST = (1 << 31) - 1
_COST = "controller.kubernetes.io/pod-deletion-cost"
_MIRROR = "kubernetes.io/config.mirror"


def pod(obj: dict[str, Any]) -> Faults:
    """A whole new Pod, without its metadata's own rules."""
    spec, notes = obj["spec"], obj["metadata"].get("annotations") or {}
    yield from _annotations(notes, spec)
    yield from pod_spec(spec, "spec", name=obj["metadata"].get("name", ""), is_pod=True)
    if not spec.get("serviceAccountName"):
        for index, volume in enumerate(spec.get("volumes") or ()):
            for number, source in enumerate(get(volume, "projected", "sources") or ()):
                if "serviceAccountToken" in source:
                    place = f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken"
                    yield forbidden(place, "must not be specified when serviceAccountName is not set")
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            yield from no_padding(container, f"spec.{group}[{index}]")


def drop(spec: dict[str, Any], old: dict[str, Any]) -> None:
    """Takes away what this version knows but does not do unless it is told to, and the object does not have already."""
    if "workloadRef" not in old:
        spec.pop("workloadRef", None)
    if not any("stopSignal" in (container.get("lifecycle") or {}) for container, _ in each_container(old, "")):
        for container, _ in each_container(spec, ""):
            hooks = container.get("lifecycle")
            if hooks is not None:
                hooks.pop("stopSignal", None)
                if not hooks:
                    del container["lifecycle"]
    for kind in ("clusterTrustBundle", "podCertificate"):
        if not any(kind in source for source in _projections(old)):
            for source in _projections(spec):
                source.pop(kind, None)


def _projections(spec: dict[str, Any]) -> Any:
    for volume in spec.get("volumes") or ():
        yield from get(volume, "projected", "sources") or ()


def new_pod(obj: dict[str, Any]) -> Faults:
    spec = obj["spec"]
    yield from pod(obj)
    if spec.get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("nodeName") and spec.get("schedulingGates"):
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def _annotations(notes: dict[str, str], spec: dict[str, Any]) -> Faults:
    path = "metadata.annotations"
    if _MIRROR in notes and not spec.get("nodeName"):
        yield invalid(f"{path}[{_MIRROR}]", notes[_MIRROR], "must set spec.nodeName if mirror pod annotation is set")
    cost = notes.get(_COST)
    if cost is not None and not (
        re.fullmatch(r"-?(0|[1-9][0-9]{0,9})", cost) and -_MOST - 1 <= int(cost) <= _MOST and cost != "-0"
    ):
        yield invalid(f"{path}[{_COST}]", cost, "must be a 32bit integer")


def template(found: dict[str, Any] | None, path: str) -> Faults:
    """A pod template: labels, annotations, spec."""
    found = found or {}
    meta = found.get("metadata") or {}
    yield from annotation_faults(meta.get("annotations"), f"{path}.annotations")
    yield from labels(meta.get("labels"), f"{path}.labels")
    yield from _template_annotations(meta.get("annotations") or {}, found.get("spec") or {}, f"{path}.annotations")
    spec = found.get("spec") or {}
    yield from pod_spec(spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        yield forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def _template_annotations(notes: dict[str, str], spec: dict[str, Any], path: str) -> Faults:
    for fault in _annotations(notes, spec):
        yield {**fault, "field": fault["field"].replace("metadata.annotations", path)}


def pod_spec(spec: dict[str, Any], path: str, *, name: str = "", is_pod: bool = False) -> Faults:
    """`name` is the pod's, where it has one already."""
    if spec.get("terminationGracePeriodSeconds") is None:
        yield required(f"{path}.terminationGracePeriodSeconds")
    wrong, sound = volumes(spec, name, f"{path}.volumes", is_pod=is_pod)
    yield from wrong
    claims = {claim["name"] for claim in spec.get("resourceClaims") or () if claim.get("name")}
    yield from _claims(spec.get("resourceClaims") or [], f"{path}.resourceClaims")
    around = PodOf(spec, sound, claims)
    yield from containers.regular(around, f"{path}.containers")
    yield from containers.initial(around, f"{path}.initContainers")
    yield from containers.ephemeral(around, f"{path}.ephemeralContainers")
    yield from resources.of_pod(spec, path, claims)
    yield from _host_network(spec, path, is_pod)
    for field, options in (("restartPolicy", _RESTARTS), ("dnsPolicy", _DNS)):
        if not spec.get(field):
            yield required(f"{path}.{field}")
        elif spec[field] not in options:
            yield unsupported(f"{path}.{field}", spec[field], options)
    yield from labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    yield from security.of_pod(spec, path)
    yield from affinity.affinity(spec.get("affinity") or {}, f"{path}.affinity")
    yield from _dns(spec, f"{path}.dnsConfig")
    yield from _gates(spec, path)
    yield from affinity.spread(spec.get("topologySpreadConstraints") or [], f"{path}.topologySpreadConstraints")
    yield from _host_users(spec, path)
    yield from _host_processes(spec, path)
    yield from _names(spec, path)
    yield from _numbers(spec, path)
    yield from tolerations(spec.get("tolerations") or [], f"{path}.tolerations")
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        yield from legacy_ip(f"{path}.hostAliases[{index}].ip", alias.get("ip", ""))
        for number, host in enumerate(alias.get("hostnames") or ()):
            yield from each(f"{path}.hostAliases[{index}].hostnames[{number}]", host, names.dns_subdomain(host))
    if "overhead" in spec:
        yield from resources.requirements({"limits": spec["overhead"]}, f"{path}.overhead", set())
    yield from _system(spec, path)
    yield from _file_keys(spec, path)


def each_container(spec: dict[str, Any], path: str) -> Any:
    """Containers with their paths, in the order in which Kubernetes visits them."""
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            yield container, f"{path}.{group}[{index}]"


def _claims(found: list[dict[str, Any]], path: str) -> Faults:
    seen: set[str] = set()
    for index, claim in enumerate(found):
        place, name = f"{path}[{index}]", claim.get("name", "")
        given = [field for field in ("resourceClaimName", "resourceClaimTemplateName") if field in claim]
        if not name:
            yield required(f"{place}.name")
        elif name in seen:
            yield duplicate(f"{place}.name", name)
        else:
            yield from each(f"{place}.name", name, names.dns_label(name))
            seen.add(name)
        if len(given) > 1:
            message = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            yield invalid(place, claim, message)
        elif not given:
            yield invalid(place, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
        for field in given:
            yield from each(f"{place}.{field}", claim[field], names.dns_subdomain(claim[field]))


def _host_network(spec: dict[str, Any], path: str, is_pod: bool) -> Faults:
    if not spec.get("hostNetwork"):
        return
    for index, container in enumerate(spec.get("containers") or ()):
        for number, port in enumerate(container.get("ports") or ()):
            host, own = port.get("hostPort", 0), port.get("containerPort", 0)
            if (is_pod or host) and host != own:
                place = f"{path}.containers[{index}].ports[{number}].hostPort"
                yield invalid(place, host, "must match `containerPort` when `hostNetwork` is true")


def _dns(spec: dict[str, Any], path: str) -> Faults:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config.get("nameservers"):
            message = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{path}.nameservers", message)
            return
    config = config or {}
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > 3:
        yield invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers")
    for index, server in enumerate(servers):
        yield from legacy_ip(f"{path}.nameservers[{index}]", server)
    if len(searches) > 32:
        yield invalid(f"{path}.searches", searches, "must not have more than 32 search paths")
    if len(" ".join(searches)) > 2048:
        message = "must not have more than 2048 characters (including spaces) in the search list"
        yield invalid(f"{path}.searches", searches, message)
    for index, search in enumerate(searches):
        if search != ".":
            search = search.removesuffix(".")
            yield from each(f"{path}.searches[{index}]", search, names.dns_subdomain_underscore(search))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            yield required(f"{path}.options[{index}]", "must not be empty")


def _gates(spec: dict[str, Any], path: str) -> Faults:
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType", "")
        yield from each(f"{path}.readinessGates[{index}].conditionType", kind, names.qualified(kind))
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        place, name = f"{path}.schedulingGates[{index}]", gate.get("name", "")
        yield from each(place, name, names.qualified(name))
        if name in seen:
            yield duplicate(place, name)
        seen.add(name)


def _host_users(spec: dict[str, Any], path: str) -> Faults:
    if spec.get("hostUsers") is not False:
        return
    for field, place in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(field):
            yield forbidden(f"{path}.{place}", "when `hostUsers` is false")
    for container, place in each_container(spec, path):
        if container.get("volumeDevices"):
            yield forbidden(f"{place}.volumeDevices", "when `hostUsers` is false")


def _host_processes(spec: dict[str, Any], path: str) -> Faults:
    """Windows containers that are processes of the node: all of a pod, or none."""
    whole = get(spec, "securityContext", "windowsOptions", "hostProcess")
    own = []
    for container, place in each_container(spec, path):
        said = get(container, "securityContext", "windowsOptions", "hostProcess")
        if whole is not None and said is not None and said != whole:
            message = f"pod hostProcess value must be identical if both are specified, was {str(whole).lower()}"
            yield invalid(f"{place}.securityContext.windowsOptions.hostProcess", said, message)
        own.append(whole if said is None else said)
    if any(own):
        if not all(own):
            message = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
            yield invalid(path, "", message)
        if not spec.get("hostNetwork"):
            message = "hostNetwork must be true if pod contains any hostProcess containers"
            yield invalid(f"{path}.hostNetwork", False, message)


def _names(spec: dict[str, Any], path: str) -> Faults:
    other = spec.get("hostnameOverride")
    if other is not None:
        if spec.get("setHostnameAsFQDN"):
            yield forbidden(f"{path}.hostnameOverride", "may not be specified when setHostnameAsFQDN is true")
        if spec.get("hostNetwork"):
            yield forbidden(f"{path}.hostnameOverride", "may not be specified when hostNetwork is true")
        if len(other) > 64:
            yield too_long(f"{path}.hostnameOverride", 64)
        yield from each(f"{path}.hostnameOverride", other, names.dns_subdomain(other))
    for field, check in (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
        ("priorityClassName", names.dns_subdomain),
    ):
        if text := spec.get(field):
            yield from each(f"{path}.{field}", text, check(text))
    if (text := spec.get("runtimeClassName")) is not None:
        yield from each(f"{path}.runtimeClassName", text, names.dns_subdomain(text))


def _numbers(spec: dict[str, Any], path: str) -> Faults:
    deadline, preemption = spec.get("activeDeadlineSeconds"), spec.get("preemptionPolicy")
    if deadline is not None and not 1 <= deadline <= _MOST:
        yield invalid(f"{path}.activeDeadlineSeconds", deadline, names.in_range(1, _MOST))
    if preemption == "":
        yield required(f"{path}.preemptionPolicy")
    elif preemption not in (None, "PreemptLowerPriority", "Never"):
        yield unsupported(f"{path}.preemptionPolicy", preemption, ("PreemptLowerPriority", "Never"))


def _system(spec: dict[str, Any], path: str) -> Faults:
    if "os" not in spec:
        return
    name = spec["os"].get("name", "")
    if not name:
        yield required(f"{path}.os.name")
    elif name not in ("linux", "windows"):
        yield unsupported(f"{path}.os", name, ("linux", "windows"))
    elif name == "linux":
        words = "windows options cannot be set for a linux pod"
        if get(spec, "securityContext", "windowsOptions") is not None:
            yield forbidden(f"{path}.securityContext.windowsOptions", words)
        for container, place in each_container(spec, path):
            if get(container, "securityContext", "windowsOptions") is not None:
                yield forbidden(f"{place}.securityContext.windowsOptions", words)


def _file_keys(spec: dict[str, Any], path: str) -> Faults:
    known = {volume.get("name", ""): volume for volume in spec.get("volumes") or ()}
    for container, place in each_container(spec, path):
        for index, variable in enumerate(container.get("env") or ()):
            found = get(variable, "valueFrom", "fileKeyRef")
            if found is None:
                continue
            name, where = found.get("volumeName", ""), f"{place}.env[{index}].valueFrom.fileKeyRef.volumeName"
            if name not in known:
                yield not_found(where, name)
            elif "emptyDir" not in known[name]:
                yield invalid(where, name, "referenced volume must be of type emptyDir")
