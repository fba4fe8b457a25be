"""Containers of a pod: names, images, ports, environment, mounts, probes, hooks. Called by `pods`; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from styr.api.faults import names, resources, security
from styr.api.faults.causes import (
    Faults,
    duplicate,
    each,
    forbidden,
    get,
    invalid,
    not_found,
    not_negative,
    required,
    unsupported,
)
from styr.api.faults.fields import env_value
from styr.api.faults.paths import descending, no_backsteps

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_TERMINATION = ("File", "FallbackToLogsOnError")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_ONLY_SIDECARS = "may not be set for init containers without restartPolicy=Always"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


@dataclass(slots=True)
class PodOf:
    """What the rules of a container need to know of its pod."""

    spec: dict[str, Any]
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: set[str] = field(default_factory=set)

    @property
    def grace(self) -> int | None:
        return self.spec.get("terminationGracePeriodSeconds")

    @property
    def host_users(self) -> bool:
        return self.spec.get("hostUsers") is not False


def regular(pod: PodOf, path: str) -> Faults:
    found = pod.spec.get("containers") or []
    if not found:
        yield required(path)
        return
    seen: set[str] = set()
    for index, container in enumerate(found):
        place, name = f"{path}[{index}]", container.get("name", "")
        yield from _common(container, pod, place)
        if name in seen:
            yield duplicate(f"{place}.name", name)
        seen.add(name)
        yield from _running(container, pod, place)
        yield from _restarts(container, place)
    yield from _host_ports(found, path)


def initial(pod: PodOf, path: str) -> Faults:
    seen = {container.get("name", "") for container in pod.spec.get("containers") or ()}
    for index, container in enumerate(pod.spec.get("initContainers") or ()):
        place, name = f"{path}[{index}]", container.get("name", "")
        yield from _common(container, pod, place)
        sidecar = container.get("restartPolicy") == "Always"
        if sidecar and container.get("restartPolicyRules"):
            message = "restartPolicyRules are not allowed for init containers with restart policy Always"
            yield forbidden(f"{place}.restartPolicyRules", message)
        elif not sidecar and "restartPolicy" in container:
            yield from _restarts(container, place)
        elif not sidecar and container.get("restartPolicyRules"):
            yield required(f"{place}.restartPolicy", "must specify restartPolicy when restart rules are used")
        if name in seen:
            yield duplicate(f"{place}.name", name)
        elif name:
            seen.add(name)
        yield from _host_ports([container], path)
        if sidecar:
            yield from _running(container, pod, place)
            continue
        for item in ("lifecycle", *_PROBES):
            if item in container:
                yield forbidden(f"{place}.{item}", _ONLY_SIDECARS)


def ephemeral(pod: PodOf, path: str) -> Faults:
    groups = ("containers", "initContainers")
    others = {container.get("name", "") for group in groups for container in pod.spec.get(group) or ()}
    seen = set(others)
    for index, container in enumerate(pod.spec.get("ephemeralContainers") or ()):
        place, name = f"{path}[{index}]", container.get("name", "")
        yield from _common(container, pod, place)
        yield from no_padding(container, place)
        if name in seen:
            yield duplicate(f"{place}.name", name)
        seen.add(name)
        if (target := container.get("targetContainerName")) and target not in others:
            yield not_found(f"{place}.targetContainerName", target)
        for item in (
            "ports",
            "resources",
            *_PROBES,
            "lifecycle",
            "resizePolicy",
            "restartPolicy",
            "restartPolicyRules",
        ):
            if container.get(item) or (item == "lifecycle" and item in container):
                yield forbidden(f"{place}.{item}", "cannot be set for an Ephemeral Container")
        for number, mount in enumerate(container.get("volumeMounts") or ()):
            for item in ("subPath", "subPathExpr"):
                if mount.get(item):
                    yield forbidden(
                        f"{place}.volumeMounts[{number}].{item}", "cannot be set for an Ephemeral Container"
                    )


def no_padding(container: dict[str, Any], path: str) -> Faults:
    image = container.get("image", "")
    if image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


def _common(container: dict[str, Any], pod: PodOf, path: str) -> Faults:
    name = container.get("name", "")
    if not name:
        yield required(f"{path}.name")
    else:
        yield from each(f"{path}.name", name, names.dns_label(name))
    if not container.get("image"):
        yield required(f"{path}.image")
    policy = container.get("terminationMessagePolicy", "")
    if not policy:
        yield required(f"{path}.terminationMessagePolicy")
    elif policy not in _TERMINATION:
        yield unsupported(f"{path}.terminationMessagePolicy", policy, _TERMINATION)
    yield from _ports(container.get("ports") or [], f"{path}.ports")
    yield from _environment(container, path)
    yield from _mounts(container, pod, f"{path}.volumeMounts")
    yield from _devices(container, pod, f"{path}.volumeDevices")
    yield from pull_policy(container.get("imagePullPolicy", ""), f"{path}.imagePullPolicy")
    yield from resources.requirements(container.get("resources") or {}, f"{path}.resources", pod.claims)
    yield from _resizes(container, pod, f"{path}.resizePolicy")
    yield from security.of_container(
        container.get("securityContext"), f"{path}.securityContext", host_users=pod.host_users
    )


def pull_policy(policy: str, path: str) -> Faults:
    if not policy:
        yield required(path)
    elif policy not in PULL_POLICIES:
        yield unsupported(path, policy, PULL_POLICIES)


def _ports(found: list[dict[str, Any]], path: str) -> Faults:
    seen: set[str] = set()
    for index, port in enumerate(found):
        place, name, number = f"{path}[{index}]", port.get("name", ""), port.get("containerPort", 0)
        if name:
            bad = names.port_name(name)
            yield from each(f"{place}.name", name, bad)
            if not bad and name in seen:
                yield duplicate(f"{place}.name", name)
            if not bad:
                seen.add(name)
        if not number:
            yield required(f"{place}.containerPort")
        else:
            yield from each(f"{place}.containerPort", number, names.port_number(number))
        if host := port.get("hostPort"):
            yield from each(f"{place}.hostPort", host, names.port_number(host))
        protocol = port.get("protocol", "")
        if not protocol:
            yield required(f"{place}.protocol")
        elif protocol not in PROTOCOLS:
            yield unsupported(f"{place}.protocol", protocol, PROTOCOLS)


def _host_ports(found: list[dict[str, Any]], path: str) -> Faults:
    seen: set[str] = set()
    for index, container in enumerate(found):
        for number, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if key in seen:
                yield duplicate(f"{path}[{index}].ports[{number}].hostPort", key)
            seen.add(key)


def _environment(container: dict[str, Any], path: str) -> Faults:
    for index, variable in enumerate(container.get("env") or ()):
        place, name = f"{path}.env[{index}]", variable.get("name", "")
        if not name:
            yield required(f"{place}.name")
        else:
            yield from each(f"{place}.name", name, names.env_var_name(name))
        if "valueFrom" in variable:
            yield from env_value(variable, f"{place}.valueFrom")
    for index, source in enumerate(container.get("envFrom") or ()):
        place = f"{path}.envFrom[{index}]"
        if prefix := source.get("prefix"):
            yield from each(f"{place}.prefix", prefix, names.env_var_name(prefix))
        given = [item for item in ("configMapRef", "secretRef") if item in source]
        for item in given:
            name = source[item].get("name", "")
            if not name:
                yield required(f"{place}.{item}.name")
            else:
                yield from each(f"{place}.{item}.name", name, names.dns_subdomain(_masked(name)))
        if not given:
            yield invalid(f"{path}.envFrom", "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            yield invalid(f"{path}.envFrom", "", "may not have more than one field specified at a time")


def _masked(name: str) -> str:
    return f"{name[:-2]}a" if len(name) > 1 and name.endswith("-") else name


def _mounts(container: dict[str, Any], pod: PodOf, path: str) -> Faults:
    devices = container.get("volumeDevices") or []
    device_names, device_paths = {d.get("name", "") for d in devices}, {d.get("devicePath", "") for d in devices}
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        place, name, where = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{place}.name")
        if name not in pod.volumes:
            yield not_found(f"{place}.name", name)
        if not where:
            yield required(f"{place}.mountPath")
        if where in seen:
            yield invalid(f"{place}.mountPath", where, "must be unique")
        seen.add(where)
        if name in device_names:
            yield invalid(f"{place}.name", name, "must not already exist in volumeDevices")
        if where in device_paths:
            yield invalid(f"{place}.mountPath", where, "must not already exist as a path in volumeDevices")
        if mount.get("subPath"):
            yield from descending(f"{path}.subPath", mount["subPath"])
        if mount.get("subPathExpr"):
            if mount.get("subPath"):
                message = "subPathExpr and subPath are mutually exclusive"
                yield invalid(f"{place}.subPathExpr", mount["subPathExpr"], message)
            yield from descending(f"{path}.subPathExpr", mount["subPathExpr"])
        yield from _mount_modes(mount, container, path)


def _mount_modes(mount: dict[str, Any], container: dict[str, Any], path: str) -> Faults:
    propagation, again = mount.get("mountPropagation"), mount.get("recursiveReadOnly")
    if propagation is not None:
        options = ("Bidirectional", "HostToContainer", "None")
        if propagation not in options:
            yield unsupported(f"{path}.mountPropagation", propagation, options)
        if propagation == "Bidirectional" and not get(container, "securityContext", "privileged"):
            message = "Bidirectional mount propagation is available only to privileged containers"
            yield forbidden(f"{path}.mountPropagation", message)
    if again in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            yield forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true")
        if propagation not in (None, "None"):
            message = "may only be specified when mountPropagation is None or not specified"
            yield forbidden(f"{path}.recursiveReadOnly", message)
    elif again not in (None, "Disabled"):
        yield unsupported(f"{path}.recursiveReadOnly", again, ("Disabled", "Enabled", "IfPossible"))


def _devices(container: dict[str, Any], pod: PodOf, path: str) -> Faults:
    mounts = container.get("volumeMounts") or []
    mount_names, mount_paths = {m.get("name", "") for m in mounts}, {m.get("mountPath", "") for m in mounts}
    seen_paths: set[str] = set()
    seen_names: set[str] = set()
    for index, device in enumerate(container.get("volumeDevices") or ()):
        place, name, where = f"{path}[{index}]", device.get("name", ""), device.get("devicePath", "")
        volume = pod.volumes.get(name)
        if not name:
            yield required(f"{place}.name")
        if name in seen_names:
            yield invalid(f"{place}.name", name, "must be unique")
        if volume is None:
            yield not_found(f"{place}.name", name)
        elif "persistentVolumeClaim" not in volume and "ephemeral" not in volume:
            message = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            yield invalid(f"{place}.name", name, message)
        if not where:
            yield required(f"{place}.devicePath")
        if where in seen_paths:
            yield invalid(f"{place}.devicePath", where, "must be unique")
        if where and any(no_backsteps("", where)):
            yield invalid(f"{place}.devicePath", where, "can not contain backsteps ('..')")
        else:
            seen_paths.add(where)
        if name in mount_names:
            yield invalid(f"{place}.name", name, "must not already exist in volumeMounts")
        if where in mount_paths:
            yield invalid(f"{place}.devicePath", where, "must not already exist as a path in volumeMounts")
        if name:
            seen_names.add(name)


def _resizes(container: dict[str, Any], pod: PodOf, path: str) -> Faults:
    seen: set[str] = set()
    for index, entry in enumerate(container.get("resizePolicy") or ()):
        name, policy = entry.get("resourceName", ""), entry.get("restartPolicy", "")
        if name in seen:
            yield duplicate(f"{path}[{index}]", name)
        seen.add(name)
        for value, options in ((name, ("cpu", "memory")), (policy, ("NotRequired", "RestartContainer"))):
            if not value:
                yield required(path)
            elif value not in options:
                yield unsupported(path, value, options)
        if pod.spec.get("restartPolicy") == "Never" and policy != "NotRequired":
            yield invalid(path, policy, "must be 'NotRequired' when `restartPolicy` is 'Never'")


def _restarts(container: dict[str, Any], path: str) -> Faults:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    options = ("Always", "Never", "OnFailure")
    if policy is None:
        if not rules:
            return
        yield required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    elif policy not in options:
        yield unsupported(f"{path}.restartPolicy", policy, options)
    if len(rules) > 20:
        yield {
            "reason": "FieldValueTooLong",
            "field": f"{path}.restartPolicyRules",
            "message": "Too long: may not be more than 20 bytes",
        }
    for index, rule in enumerate(rules):
        place = f"{path}.restartPolicyRules[{index}]"
        if rule.get("action", "") != "Restart":
            yield unsupported(f"{place}.action", rule.get("action", ""), ("Restart",))
        if "exitCodes" not in rule:
            yield required(f"{place}.exitCodes", "must be specified")
        elif rule["exitCodes"].get("operator", "") not in ("In", "NotIn"):
            yield unsupported(f"{place}.exitCodes.operator", rule["exitCodes"].get("operator", ""), ("In", "NotIn"))


def _running(container: dict[str, Any], pod: PodOf, path: str) -> Faults:
    """Probes and hooks."""
    if "lifecycle" in container:
        hooks = container["lifecycle"]
        for item in ("postStart", "preStop"):
            if item in hooks:
                yield from _handler(hooks[item], pod, f"{path}.lifecycle.{item}")
        if "stopSignal" in hooks:
            yield from _stop_signal(hooks["stopSignal"], pod, f"{path}.lifecycle.stopSignal")
    for item in _PROBES:
        if item in container:
            yield from _probe(container[item], pod, f"{path}.{item}", item)


_SIGNALS = tuple(
    [
        "SIGABRT",
        "SIGALRM",
        "SIGBUS",
        "SIGCHLD",
        "SIGCLD",
        "SIGCONT",
        "SIGFPE",
        "SIGHUP",
        "SIGILL",
        "SIGINT",
        "SIGIO",
        "SIGIOT",
        "SIGKILL",
        "SIGPIPE",
        "SIGPOLL",
        "SIGPROF",
        "SIGPWR",
        "SIGQUIT",
    ]
    + [f"SIGRTMAX{n}" for n in ("", *(f"-{i}" for i in (1, 10, 11, 12, 13, 14, 2, 3, 4, 5, 6, 7, 8, 9)))]
    + [f"SIGRTMIN{n}" for n in ("", *(f"+{i}" for i in (1, 10, 11, 12, 13, 14, 15, 2, 3, 4, 5, 6, 7, 8, 9)))]
    + [
        "SIGSEGV",
        "SIGSTKFLT",
        "SIGSTOP",
        "SIGSYS",
        "SIGTERM",
        "SIGTRAP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGUSR1",
        "SIGUSR2",
        "SIGVTALRM",
        "SIGWINCH",
        "SIGXCPU",
        "SIGXFSZ",
    ]
)


def _stop_signal(signal: str, pod: PodOf, path: str) -> Faults:
    system = get(pod.spec, "os", "name")
    if "os" not in pod.spec:
        yield forbidden(path, "may not be set for containers with empty `spec.os.name`")
    elif system == "windows" and signal not in ("SIGKILL", "SIGTERM"):
        yield unsupported(path, signal, ("SIGKILL", "SIGTERM"))
    elif system == "linux" and signal not in _SIGNALS:
        yield unsupported(path, signal, _SIGNALS)


def _probe(probe: dict[str, Any], pod: PodOf, path: str, kind: str) -> Faults:
    yield from _handler(probe, pod, path)
    for item in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        yield from not_negative(f"{path}.{item}", probe.get(item))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if kind == "readinessProbe":
        if grace is not None:
            yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    elif probe.get("successThreshold", 0) != 1:
        yield invalid(f"{path}.successThreshold", probe.get("successThreshold", 0), "must be 1")


def _handler(found: dict[str, Any], pod: PodOf, path: str) -> Faults:
    given = [item for item in _HANDLERS if item in found]
    for extra in given[1:]:
        yield forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    if not given:
        yield required(path, "must specify a handler type")
        return
    kind = given[0]
    action, place = found[kind], f"{path}.{kind}"
    if kind == "exec":
        if not action.get("command"):
            yield required(f"{place}.command")
    elif kind == "sleep":
        seconds = action.get("seconds", 0)
        if pod.grace is not None and not 0 <= seconds <= pod.grace:
            message = f"must be non-negative and less than terminationGracePeriodSeconds ({pod.grace})"
            yield invalid(place, seconds, message)
    else:
        yield from _network(action, place, kind)


def _network(action: dict[str, Any], path: str, kind: str) -> Faults:
    if kind == "httpGet" and not action.get("path"):
        yield required(f"{path}.path")
    yield from port(action.get("port", 0), f"{path}.port")
    if kind != "httpGet":
        return
    if action.get("scheme", "") not in ("HTTP", "HTTPS"):
        yield unsupported(f"{path}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders") or ():
        name = header.get("name", "")
        yield from each(f"{path}.httpHeaders", name, names.header_name(name))


def port(value: int | str, path: str) -> Faults:
    yield from each(path, value, names.port_number(value) if isinstance(value, int) else names.port_name(value))
