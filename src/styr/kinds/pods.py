"""What the rest of the house needs to know of a Pod: is it ready, is it over, on which port does it listen.

Pods of the `process` runtime share the machine's network, so two replicas cannot both listen on their containerPort. The
node gives each declared port a free one, tells the app by `PORT`, and writes the translation into one annotation. On a
real cluster nobody writes it, and a container port is what it says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from styr.kinds import conditions, meta

PORTS_ANNOTATION = "styr.dev/ports"
"""JSON object: declared containerPort (as a string) -> the port the process really listens on."""

TOKEN_VOLUME = "kube-api-access-"  # noqa: S105 - a name
"""How the volume begins that admission adds to a pod for its ServiceAccount's token."""
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path

HOST_IMAGE = "styr.dev/host"
"""The image that is the machine's own files."""


def is_token_volume(volume: Mapping[str, Any]) -> bool:
    """Is it the one that admission adds to a pod for its ServiceAccount's token?"""
    return str(volume.get("name") or "").startswith(TOKEN_VOLUME) and bool(volume.get("projected"))


def is_ready(pod: Mapping[str, Any]) -> bool:
    return conditions.is_true(pod, "Ready")


def is_terminal(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_active(pod: Mapping[str, Any]) -> bool:
    """Counts as a replica: neither over nor on its way out."""
    return not is_terminal(pod) and not meta.deleting(pod)


def actual_port(pod: Mapping[str, Any], container_port: int) -> int:
    """The port on the pod's IP that answers for a declared containerPort."""
    try:
        table = json.loads(meta.annotations(pod).get(PORTS_ANNOTATION, "{}"))
        return int(table.get(str(container_port), container_port))
    except (ValueError, TypeError, AttributeError):
        return container_port


def declared_port(pod: Mapping[str, Any], target: int | str) -> int | None:
    """The number behind a targetPort, as the pod's author knows it. None when no container declares that name."""
    if isinstance(target, int):
        return target
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == target:
                return int(port["containerPort"])
    return int(target) if target.isdecimal() else None


def resolve_port(pod: Mapping[str, Any], target: int | str) -> int | None:
    """A Service's targetPort or a probe's port: a number, or the name of a declared port. None when no container
    declares that name."""
    number = declared_port(pod, target)
    if number is None or str(number) == target:
        return number
    return actual_port(pod, number)
