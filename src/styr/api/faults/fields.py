"""References to fields of the pod itself, and to keys of ConfigMaps, Secrets, files. By `containers` and `volumes`; pure."""

from __future__ import annotations

import re
from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, invalid, required, unsupported
from styr.api.faults.paths import no_backsteps
from styr.kinds import quantities

_SUBSCRIPT = re.compile(r"(.*)\['(.*)'\]\Z", re.S)
_KNOWN = frozenset(
    [
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "spec.schedulerName",
        "status.phase",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ]
)
ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
FILE_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_AMOUNTS = ("limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
            "requests.memory")  # fmt: skip
_UNITS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_UNITS_TEXT = "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the"


def pod_field(found: dict[str, Any], path: str, known: tuple[str, ...]) -> Faults:
    version, text = found.get("apiVersion", ""), found.get("fieldPath", "")
    if not version:
        yield required(f"{path}.apiVersion")
        return
    if not text:
        yield required(f"{path}.fieldPath")
        return
    match = _SUBSCRIPT.match(text)
    trouble = ""
    if version != "v1":
        trouble = f"unsupported pod version: {version}"
    elif match and match[1] not in ("metadata.annotations", "metadata.labels"):
        trouble = f"field label does not support subscript: {text}"
    elif not match and text not in _KNOWN and text != "spec.host":
        trouble = f"field label not supported: {text}"
    if trouble:
        yield invalid(f"{path}.fieldPath", text, f"error converting fieldPath: {trouble}")
    elif match:
        key = match[2].lower() if match[1] == "metadata.annotations" else match[2]
        yield from each(path, key, names.qualified(key))
    elif (plain := "spec.nodeName" if text == "spec.host" else text) not in known:
        yield unsupported(f"{path}.fieldPath", plain, known)


def container_amount(found: dict[str, Any], path: str, *, file: bool) -> Faults:
    """A limit or request of a container. `file`: in a volume, where the container must be named."""
    name = found.get("resource", "")
    if file and not found.get("containerName"):
        yield required(f"{path}.containerName")
    elif not name:
        yield required(f"{path}.resource")
    elif name not in _AMOUNTS and not name.startswith(("requests.hugepages-", "limits.hugepages-")):
        yield unsupported(f"{path}.resource", name, _AMOUNTS)
    divisor = found.get("divisor") or "0"
    if not quantities.parse(divisor):
        return
    kind = name.partition(".")[2] if name.startswith(("limits.", "requests.")) else ""
    if kind == "cpu" and divisor not in ("1", "1m"):
        yield invalid(f"{path}.divisor", name, "only divisor's values 1m and 1 are supported with the cpu resource")
    words = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(kind)
    words = "hugepages" if kind.startswith("hugepages-") else words
    if words and divisor not in _UNITS:
        yield invalid(f"{path}.divisor", name, f"{_UNITS_TEXT} {words} resource")


def env_value(variable: dict[str, Any], path: str) -> Faults:
    source = variable["valueFrom"]
    given = 0
    if "fieldRef" in source:
        given += 1
        yield from pod_field(source["fieldRef"], f"{path}.fieldRef", ENV_FIELDS)
    if "resourceFieldRef" in source:
        given += 1
        yield from container_amount(source["resourceFieldRef"], f"{path}.resourceFieldRef", file=False)
    for field in ("configMapKeyRef", "secretKeyRef"):
        if field in source:
            given += 1
            yield from _key(source[field], f"{path}.{field}")
    if "fileKeyRef" in source:
        given += 1
        yield from _file_key(source["fileKeyRef"], f"{path}.fileKeyRef")
    if not given:
        options = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        yield invalid(path, "", f"must specify one of: {options}")
    elif variable.get("value"):
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif given > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def _key(found: dict[str, Any], path: str) -> Faults:
    name, key = found.get("name", ""), found.get("key", "")
    yield from each(f"{path}.name", name, names.dns_subdomain(name))
    if not key:
        yield required(f"{path}.key")
    else:
        yield from each(f"{path}.key", key, names.config_key(key))


def _file_key(found: dict[str, Any], path: str) -> Faults:
    key, volume, place = found.get("key", ""), found.get("volumeName", ""), found.get("path", "")
    if not key:
        yield required(f"{path}.key")
    else:
        yield from each(f"{path}.key", key, names.env_var_name(key))
    if not volume:
        yield required(f"{path}.volumeName")
    else:
        yield from each(f"{path}.volumeName", volume, names.dns_label(volume))
    if not place:
        yield required(f"{path}.path")
    else:
        yield from no_backsteps(f"{path}.path", place)
