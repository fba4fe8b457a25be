"""The environment, command and arguments of a container, as Kubernetes and OCI define them.

Called by `pod.py`. Pure but for `read`, a callable that gets ConfigMaps and Secrets. Never adds a variable of the platform.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from styr.kinds import meta
from styr.kinds.errors import ApiError, NotFound
from styr.kinds.resources import CONFIG_MAP, SECRET, Object, Resource
from styr.kinds.seams import Image
from styr.node.runtimes.base import RuntimeFailed

Read = Callable[[Resource, str], Awaitable[Object]]
"""Gets one object of the pod's namespace; raises ApiError."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([^()]*)\)")
_NAME = re.compile(r"[^=\0]+")


class ConfigError(RuntimeFailed):
    def __init__(self, message: str) -> None:
        super().__init__("CreateContainerConfigError", message)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` by its value where known; `$$` is a dollar sign; what is unknown stays as it is."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(one, text)


def port_variables(container: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, str]:
    """PORT: the first declared port; PORT_NAME for each that has a name (upper case, - as _)."""
    variables: dict[str, str] = {}
    for port in container.get("ports") or ():
        actual = str(ports.get(str(port["containerPort"]), port["containerPort"]))
        variables.setdefault("PORT", actual)
        if port.get("name"):
            variables["PORT_" + str(port["name"]).upper().replace("-", "_")] = actual
    return variables


async def environment(container: Mapping[str, Any], base: Mapping[str, str], pod: Object, read: Read) -> dict[str, str]:
    """`base` (image, PORT, HOME, ...), then envFrom, then env, the later winning. Raises ConfigError."""
    variables = dict(base)
    for source in container.get("envFrom") or ():
        prefix = str(source.get("prefix") or "")
        for reference, resource in ((source.get("configMapRef"), CONFIG_MAP), (source.get("secretRef"), SECRET)):
            if reference is not None:
                data = await _data(resource, reference, read)
                variables.update({prefix + key: value for key, value in data.items() if _NAME.fullmatch(prefix + key)})
    for entry in container.get("env") or ():
        name = str(entry.get("name") or "")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"env: {name!r} is no name of a variable")
        if (origin := entry.get("valueFrom")) is None:
            variables[name] = expand(str(entry.get("value") or ""), variables)
        elif (value := await _value(name, origin, container, pod, read)) is not None:
            variables[name] = value
    return variables


async def _value(
    name: str, origin: Mapping[str, Any], container: Mapping[str, Any], pod: Object, read: Read
) -> str | None:
    for kind, resource in (("configMapKeyRef", CONFIG_MAP), ("secretKeyRef", SECRET)):
        if (reference := origin.get(kind)) is not None:
            data = await _data(resource, reference, read)
            if (key := str(reference.get("key"))) in data:
                return data[key]
            if reference.get("optional"):
                return None
            raise ConfigError(f"env {name}: no key {key!r} in {resource.kind} {reference.get('name')!r}")
    if (field := origin.get("fieldRef")) is not None:
        return _field(name, str(field.get("fieldPath") or ""), pod)
    if (resource_field := origin.get("resourceFieldRef")) is not None:
        return _resource(name, resource_field, container, pod)
    raise ConfigError(f"env {name}: valueFrom has no source that this node knows")


async def _data(resource: Resource, reference: Mapping[str, Any], read: Read) -> dict[str, str]:
    try:
        obj = await read(resource, str(reference.get("name") or ""))
    except NotFound as error:
        if reference.get("optional"):
            return {}
        raise ConfigError(str(error)) from error
    except ApiError as error:
        raise ConfigError(f"{resource.kind} {reference.get('name')!r}: {error}") from error
    data = obj.get("data") or {}
    if resource is SECRET:
        return {key: base64.b64decode(value).decode("utf-8", "surrogateescape") for key, value in data.items()}
    return {key: str(value) for key, value in data.items()}


_MAP_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


def _field(name: str, path: str, pod: Object) -> str:
    if match := _MAP_FIELD.fullmatch(path):
        return str((meta.metadata(pod).get(match[1]) or {}).get(match[2], ""))
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    known = {
        "metadata.name": meta.name(pod),
        "metadata.namespace": meta.namespace(pod),
        "metadata.uid": meta.uid(pod),
        "spec.nodeName": str(spec.get("nodeName") or ""),
        "spec.serviceAccountName": str(spec.get("serviceAccountName") or "default"),
        "status.podIP": str(status.get("podIP") or "127.0.0.1"),
        "status.podIPs": str(status.get("podIP") or "127.0.0.1"),
        "status.hostIP": str(status.get("hostIP") or "127.0.0.1"),
        "status.hostIPs": str(status.get("hostIP") or "127.0.0.1"),
    }
    if path not in known:
        raise ConfigError(f"env {name}: fieldRef {path!r} is not supported")
    return known[path]


def _resource(name: str, reference: Mapping[str, Any], container: Mapping[str, Any], pod: Object) -> str:
    wanted = str(reference.get("containerName") or container.get("name"))
    source = next((c for c in (pod.get("spec") or {}).get("containers") or () if c.get("name") == wanted), container)
    kind, _, what = str(reference.get("resource") or "").partition(".")
    value = ((source.get("resources") or {}).get(kind) or {}).get(what)
    if value is None or reference.get("divisor") not in (None, "0", "1", ""):
        raise ConfigError(f"env {name}: resourceFieldRef {kind}.{what} is not set, or has a divisor")
    if not str(value).isdecimal():
        raise ConfigError(f"env {name}: resourceFieldRef {kind}.{what}={value}: only plain numbers are supported")
    return str(value)


def command(container: Mapping[str, Any], image: Image | None, variables: Mapping[str, str]) -> tuple[str, ...]:
    """OCI's rule: `command` replaces entrypoint and command of the image, `args` alone only its command. Raises ConfigError."""
    own, args = container.get("command"), container.get("args")
    if own:
        parts = [*own, *(args or ())]
    else:
        parts = [*(image.entrypoint if image else ()), *(args or (image.command if image else ()))]
    if not parts:
        raise ConfigError(f"container {container.get('name')}: neither `command` nor an image that brings one")
    return tuple(expand(str(part), variables) for part in parts)
