"""The level `baseline`: no known way to more rights. Each check returns its fault, with Kubernetes' texts, or None. Pure.

Source of the rules: the Pod Security Standards, with the version from which each holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from styr.api.admission.podsecurity.parts import Context, Fault, Pod, both, containers, plural, quoted

Check = Callable[[Pod], Fault | None]

_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_SELINUX = ("", "container_t", "container_init_t", "container_kvm_t")
_SYSCTLS = (
    (0, "kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (
        29,
        "net.ipv4.tcp_keepalive_time net.ipv4.tcp_fin_timeout net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes",
    ),
    (32, "net.ipv4.tcp_rmem net.ipv4.tcp_wmem"),
)
"""From which minor version which kernel settings are harmless."""


def app_armor(pod: Pod) -> Fault | None:
    def kind(context: Context) -> str | None:
        profile = context.get("appArmorProfile")
        return None if profile is None else str(profile.get("type"))

    def wrong(context: Context) -> bool:
        return kind(context) not in (None, "RuntimeDefault", "Localhost")

    setters = pod.setters(wrong)
    contexts = [pod.context, *(c.get("securityContext") or {} for c in pod.containers)]
    values = sorted({str(kind(context)) for context in contexts if wrong(context)})
    notes = sorted(
        f'{key}="{value}"'
        for key, value in pod.annotations.items()
        if key.startswith(_APP_ARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    if notes:
        values += notes
        setters.append(plural("annotation", notes))
    if not setters:
        return None
    reason = plural("forbidden AppArmor profile", values)
    return Fault(reason, f"{both(setters)} must not set AppArmor profile type to {quoted(values)}")


def capabilities(pod: Pod) -> Fault | None:
    def added(context: Context) -> list[str]:
        return [name for name in (context.get("capabilities") or {}).get("add") or () if name not in _CAPABILITIES]

    names = pod.named(lambda context: bool(added(context)))
    if not names:
        return None
    extra = sorted({name for c in pod.containers for name in added(c.get("securityContext") or {})})
    detail = f"{containers(names)} must not include {quoted(extra)} in securityContext.capabilities.add"
    return Fault("non-default capabilities", detail)


def host_namespaces(pod: Pod) -> Fault | None:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(name)]
    return Fault("host namespaces", ", ".join(found)) if found else None


def host_path_volumes(pod: Pod) -> Fault | None:
    names = [volume["name"] for volume in pod.spec.get("volumes") or () if volume.get("hostPath") is not None]
    return Fault("hostPath volumes", f"{plural('volume', names)} {quoted(names)}") if names else None


def host_ports(pod: Pod) -> Fault | None:
    used = {
        str(c["name"]): [port["hostPort"] for port in c.get("ports") or () if port.get("hostPort")]
        for c in pod.containers
    }
    names = [name for name, ports in used.items() if ports]
    if not names:
        return None
    ports = sorted({str(port) for found in used.values() for port in found})
    verb = "uses" if len(names) == 1 else "use"
    return Fault("hostPort", f"{containers(names)} {verb} {plural('hostPort', ports)} {', '.join(ports)}")


def host_probes(pod: Pod) -> Fault | None:
    if pod.minor < 34:
        return None
    used = {str(c["name"]): _hosts(c) for c in pod.containers}
    names = sorted(name for name, hosts in used.items() if hosts)
    if not names:
        return None
    hosts = sorted({host for found in used.values() for host in found})
    verb = "uses" if len(names) == 1 else "use"
    what = plural("probe or lifecycle host", hosts)
    return Fault("probe or lifecycle host", f"{containers(names)} {verb} {what} {quoted(hosts)}")


def _hosts(container: Mapping[str, Any]) -> list[str]:
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += [lifecycle.get(name) for name in ("postStart", "preStop")]
    return [
        host
        for handler in handlers
        for kind in ("httpGet", "tcpSocket")
        if (host := ((handler or {}).get(kind) or {}).get("host"))
    ]


def privileged(pod: Pod) -> Fault | None:
    names = pod.named(lambda context: context.get("privileged") is True)
    return Fault("privileged", f"{containers(names)} must not set securityContext.privileged=true") if names else None


def proc_mount(pod: Pod) -> Fault | None:
    return None if pod.has_own_users else masked_proc(pod)


def masked_proc(pod: Pod) -> Fault | None:
    names = pod.named(lambda context: context.get("procMount") not in (None, "Default"))
    if not names:
        return None
    kinds = {str((c.get("securityContext") or {}).get("procMount")) for c in pod.containers} - {"None", "Default"}
    detail = f"{containers(names)} must not set securityContext.procMount to {quoted(sorted(kinds))}"
    return Fault("procMount", detail)


def selinux(pod: Pod) -> Fault | None:
    allowed = (*_SELINUX, "container_engine_t") if pod.minor >= 31 else _SELINUX

    def options(context: Context) -> Mapping[str, Any]:
        return context.get("seLinuxOptions") or {}

    def wrong(context: Context) -> bool:
        found = options(context)
        return found.get("type", "") not in allowed or bool(found.get("user")) or bool(found.get("role"))

    setters = pod.setters(wrong)
    if not setters:
        return None
    found = [options(context) for context in (pod.context, *(c.get("securityContext") or {} for c in pod.containers))]
    kinds = sorted({kind for one in found if (kind := one.get("type", "")) not in allowed})
    parts = [f"{plural('type', kinds)} {quoted(kinds)}"] if kinds else []
    parts += [f"{name} may not be set" for name in ("user", "role") if any(one.get(name) for one in found)]
    detail = f"{both(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(parts)}"
    return Fault("seLinuxOptions", detail)


def seccomp(pod: Pod) -> Fault | None:
    if pod.minor < 19:
        return _seccomp_notes(pod)
    setters = pod.setters(open_seccomp)
    return seccomp_fault(pod, setters) if setters else None


def open_seccomp(context: Context) -> bool:
    profile = context.get("seccompProfile")
    return profile is not None and profile.get("type") not in ("RuntimeDefault", "Localhost")


def seccomp_fault(pod: Pod, setters: list[str]) -> Fault:
    contexts = [pod.context, *(c.get("securityContext") or {} for c in pod.containers)]
    kinds = sorted({str(context["seccompProfile"].get("type")) for context in contexts if open_seccomp(context)})
    return Fault(
        "seccompProfile", f"{both(setters)} must not set securityContext.seccompProfile.type to {quoted(kinds)}"
    )


def _seccomp_notes(pod: Pod) -> Fault | None:
    """Before there was a field, annotations said it."""
    keys = ["seccomp.security.alpha.kubernetes.io/pod"]
    keys += [f"container.seccomp.security.alpha.kubernetes.io/{c['name']}" for c in pod.containers]
    bad = sorted(
        f'{key}="{value}"'
        for key in keys
        if (value := pod.annotations.get(key)) is not None
        and value not in ("runtime/default", "docker/default")
        and not value.startswith("localhost/")
    )
    return Fault("seccompProfile", f"forbidden {plural('annotation', bad)} {', '.join(bad)}") if bad else None


def sysctls(pod: Pod) -> Fault | None:
    allowed = {name for since, names in _SYSCTLS if pod.minor >= since for name in names.split()}
    found = [entry["name"] for entry in pod.context.get("sysctls") or () if entry.get("name") not in allowed]
    return Fault("forbidden sysctls", ", ".join(found)) if found else None


def windows_host_process(pod: Pod) -> Fault | None:
    setters = pod.setters(lambda context: (context.get("windowsOptions") or {}).get("hostProcess") is True)
    if not setters:
        return None
    return Fault("hostProcess", f"{both(setters)} must not set securityContext.windowsOptions.hostProcess=true")


CHECKS: tuple[Check, ...] = (
    app_armor,
    capabilities,
    host_namespaces,
    host_path_volumes,
    host_ports,
    host_probes,
    privileged,
    proc_mount,
    selinux,
    seccomp,
    sysctls,
    windows_host_process,
)
"""In the order of their faults."""
