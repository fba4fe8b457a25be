"""securityContext of pods and containers. Called by the rules of pods; pure."""

from __future__ import annotations

import re
from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, duplicate, each, invalid, required, too_long, unsupported
from styr.api.faults.paths import descending

_SYSCTL_FORM = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_SYSCTL = re.compile(_SYSCTL_FORM[1:-1])
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_MOST_ID = (1 << 31) - 1


def _ids(found: dict[str, Any], path: str, *fields: str) -> Faults:
    for field in fields:
        number = found.get(field)
        if number is not None and not 0 <= number <= _MOST_ID:
            yield invalid(f"{path}.{field}", number, names.in_range(0, _MOST_ID))


def of_pod(spec: dict[str, Any], path: str) -> Faults:
    found = spec.get("securityContext")
    if found is None:
        return
    place = f"{path}.securityContext"
    yield from _ids(found, place, "fsGroup", "runAsUser", "runAsGroup")
    for index, group in enumerate(found.get("supplementalGroups") or ()):
        if not 0 <= group <= _MOST_ID:
            yield invalid(f"{place}.supplementalGroups[{index}]", group, names.in_range(0, _MOST_ID))
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        message = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{place}.shareProcessNamespace", True, message)
    yield from _sysctls(found.get("sysctls") or [], spec, f"{place}.sysctls")
    for field, options in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        if field in found and found[field] not in options:
            yield unsupported(f"{place}.{field}", found[field], options)
    yield from _shared(found, place)


def _sysctls(found: list[dict[str, Any]], spec: dict[str, Any], path: str) -> Faults:
    seen: set[str] = set()
    for index, entry in enumerate(found):
        place, name = f"{path}[{index}].name", entry.get("name", "")
        if not name:
            yield required(place)
        elif len(name) > 253 or not _SYSCTL.fullmatch(name):
            yield invalid(place, name, f"must have at most 253 characters and match regex {_SYSCTL_FORM}")
        elif name in seen:
            yield duplicate(place, name)
        seen.add(name)
        plain = _dotted(name)
        if spec.get("hostNetwork") and plain.startswith("net."):
            yield invalid(place, name, "may not be specified when 'hostNetwork' is true")
        ipc = plain.startswith(("kernel.shm", "kernel.msg", "fs.mqueue.")) or plain == "kernel.sem"
        if spec.get("hostIPC") and ipc:
            yield invalid(place, name, "may not be specified when 'hostIPC' is true")


def _dotted(name: str) -> str:
    first = re.search(r"[./]", name)
    return name if first is None or first[0] == "." else name.translate({46: "/", 47: "."})


def of_container(found: dict[str, Any] | None, path: str, *, host_users: bool) -> Faults:
    if found is None:
        return
    yield from _ids(found, path, "runAsUser", "runAsGroup")
    if "procMount" in found:
        mount = found["procMount"]
        if mount not in ("Default", "Unmasked"):
            yield unsupported(f"{path}.procMount", mount, ("Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            yield invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    if found.get("allowPrivilegeEscalation") is False:
        if found.get("privileged"):
            yield invalid(path, found, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        for name in (found.get("capabilities") or {}).get("add") or ():
            if name == "CAP_SYS_ADMIN":
                message = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
                yield invalid(path, found, message)
    yield from _shared(found, path)


def _shared(found: dict[str, Any], path: str) -> Faults:
    """What pods and containers both may say."""
    yield from _seccomp(found.get("seccompProfile"), f"{path}.seccompProfile")
    yield from _windows(found.get("windowsOptions"), f"{path}.windowsOptions")
    yield from _app_armor(found.get("appArmorProfile"), f"{path}.appArmorProfile")


def _seccomp(found: dict[str, Any] | None, path: str) -> Faults:
    if found is None:
        return
    kind, profile = found.get("type", ""), found.get("localhostProfile")
    if not kind:
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in _PROFILES:
        yield unsupported(f"{path}.type", kind, _PROFILES)
    if kind == "Localhost":
        if profile is None:
            yield required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            yield from descending(f"{path}.localhostProfile", profile)
    elif profile is not None:
        yield invalid(f"{path}.localhostProfile", found, "can only be set when seccomp type is Localhost")


def _app_armor(found: dict[str, Any] | None, path: str) -> Faults:
    if found is None:
        return
    kind, profile, place = found.get("type", ""), found.get("localhostProfile"), f"{path}.localhostProfile"
    if kind == "Localhost":
        if not profile:
            yield required(place, "must be set when AppArmor type is Localhost")
        elif profile.strip() != profile:
            yield invalid(place, profile, "must not be padded with whitespace")
        if profile and len(profile) > 4095:
            yield too_long(place, 4095)
    elif kind in _PROFILES:
        if profile is not None:
            yield invalid(place, profile, "can only be set when AppArmor type is Localhost")
    elif not kind:
        yield required(f"{path}.type", "type is required when appArmorProfile is set")
    else:
        yield unsupported(f"{path}.type", kind, _PROFILES)


def _windows(found: dict[str, Any] | None, path: str) -> Faults:
    if found is None:
        return
    if (name := found.get("gmsaCredentialSpecName")) is not None:
        yield from each(f"{path}.gmsaCredentialSpecName", name, names.dns_subdomain(name))
    if (spec := found.get("gmsaCredentialSpec")) is not None:
        if not spec:
            yield invalid(f"{path}.gmsaCredentialSpec", spec, "gmsaCredentialSpec cannot be an empty string")
        elif len(spec) > 64 << 10:
            message = "gmsaCredentialSpec size must be under 64 KiB"
            yield invalid(f"{path}.gmsaCredentialSpec", spec, message)
    user = found.get("runAsUserName")
    if user is not None and not user:
        yield invalid(f"{path}.runAsUserName", user, "runAsUserName cannot be an empty string")
    elif user is not None:
        yield from _windows_user(user, f"{path}.runAsUserName")


def _windows_user(text: str, path: str) -> Faults:
    if re.search(r"[\x00-\x1f\x7f]", text):
        yield invalid(path, text, "runAsUserName cannot contain control characters")
    parts = text.split("\\")
    if len(parts) > 2:
        yield invalid(path, text, "runAsUserName can only contain one backslash")
        return
    user = parts[-1]
    if not user:
        yield invalid(path, text, "runAsUserName's User cannot be empty")
    if set(user) & set('"/\\:;|=,+*?<>@[]'):
        message = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
        yield invalid(path, text, message)
    if len(user) > 104:
        yield invalid(path, text, "runAsUserName's User length must not be longer than 104 characters")
