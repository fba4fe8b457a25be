"""The level `restricted`: what hardened pods do. It has the checks of `baseline` too, but for those that a stricter one of its
own replaces. Pure."""

from __future__ import annotations

from styr.api.admission.podsecurity import baseline
from styr.api.admission.podsecurity.baseline import Check
from styr.api.admission.podsecurity.parts import Context, Fault, Pod, both, containers, plural, quoted

_VOLUMES = frozenset(
    {
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
        "secret",
    }
)  # fmt: skip


def privilege_escalation(pod: Pod) -> Fault | None:
    if pod.minor < 8 or pod.is_windows:
        return None
    names = pod.named(lambda context: context.get("allowPrivilegeEscalation") is not False)
    if not names:
        return None
    detail = f"{containers(names)} must set securityContext.allowPrivilegeEscalation=false"
    return Fault("allowPrivilegeEscalation != false", detail)


def capabilities(pod: Pod) -> Fault | None:
    if pod.is_windows:
        return None

    def added(context: Context) -> list[str]:
        return [name for name in (context.get("capabilities") or {}).get("add") or () if name != "NET_BIND_SERVICE"]

    keeping = pod.named(lambda context: "ALL" not in ((context.get("capabilities") or {}).get("drop") or ()))
    adding = pod.named(lambda context: bool(added(context)))
    details = [f'{containers(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        extra = sorted({name for c in pod.containers for name in added(c.get("securityContext") or {})})
        details.append(f"{containers(adding)} must not include {quoted(extra)} in securityContext.capabilities.add")
    return Fault("unrestricted capabilities", "; ".join(details)) if details else None


def volumes(pod: Pod) -> Fault | None:
    bad: list[str] = []
    kinds: set[str] = set()
    for volume in pod.spec.get("volumes") or ():
        found = set(volume) - {"name"}
        if found and not found & _VOLUMES:
            bad.append(volume["name"])
            kinds |= found
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    what = plural("restricted volume type", kinds)
    detail = f"{plural('volume', bad)} {quoted(bad)} {verb} {what} {quoted(sorted(kinds))}"
    return Fault("restricted volume types", detail)


def non_root(pod: Pod) -> Fault | None:
    if pod.has_own_users:
        return None
    setters = pod.setters(lambda context: context.get("runAsNonRoot") is False)
    if setters:
        return Fault("runAsNonRoot != true", f"{both(setters)} must not set securityContext.runAsNonRoot=false")
    if pod.context.get("runAsNonRoot") is True:
        return None
    names = pod.named(lambda context: context.get("runAsNonRoot") is None)
    detail = f"pod or {containers(names)} must set securityContext.runAsNonRoot=true"
    return Fault("runAsNonRoot != true", detail) if names else None


def user(pod: Pod) -> Fault | None:
    if pod.minor < 23 or pod.has_own_users:
        return None
    setters = pod.setters(lambda context: context.get("runAsUser") == 0)
    return Fault("runAsUser=0", f"{both(setters)} must not set runAsUser=0") if setters else None


def seccomp(pod: Pod) -> Fault | None:
    if pod.is_windows:
        return None
    setters = pod.setters(baseline.open_seccomp)
    if setters:
        return baseline.seccomp_fault(pod, setters)
    if pod.context.get("seccompProfile") is not None:
        return None
    names = pod.named(lambda context: context.get("seccompProfile") is None)
    detail = (
        f'pod or {containers(names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    )
    return Fault("seccompProfile", detail) if names else None


def checks(minor: int) -> list[Check]:
    """Those that hold in a minor version, `baseline` first."""
    replaced: set[Check] = {baseline.host_path_volumes}
    own: list[Check] = [privilege_escalation]
    if minor >= 22:
        replaced.add(baseline.capabilities)
        own.append(capabilities)
    if minor >= 35:
        replaced.add(baseline.proc_mount)
        own.append(baseline.masked_proc)
    own += [volumes, non_root, user]
    if minor >= 19:
        replaced.add(baseline.seccomp)
        own.append(seccomp)
    return [*(check for check in baseline.CHECKS if check not in replaced), *own]
