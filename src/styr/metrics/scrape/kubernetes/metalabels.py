"""The `__meta_kubernetes_*` labels that every object gives, named as Prometheus' Kubernetes discovery names them. Pure.

Called by `pods`, `services`, `endpoints`, `nodes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from styr.kinds import meta

PREFIX = "__meta_kubernetes_"
NAMESPACE = f"{PREFIX}namespace"
SCRAPE_ADDRESS = "__meta_styr_scrape_address"
"""HOST:PORT that the annotation `prometheus.io/port` leads to: the port that the process really listens on (`kinds.pods`). For
`annotations`, which has no other way to it."""
PORT_ANNOTATION = "prometheus.io/port"

_INVALID = re.compile(r"[^a-zA-Z0-9_]")


def sanitized(name: str) -> str:
    """A label or annotation name as the end of a Prometheus label's name."""
    return _INVALID.sub("_", name)


def of_object(obj: Mapping[str, Any], role: str) -> dict[str, str]:
    """Its name, labels and annotations."""
    return {f"{PREFIX}{role}_name": meta.name(obj), **of_metadata(obj, role)}


def of_metadata(obj: Mapping[str, Any], role: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word, pairs in (("label", meta.labels(obj)), ("annotation", meta.annotations(obj))):
        for name, value in pairs.items():
            ending = sanitized(name)
            found[f"{PREFIX}{role}_{word}_{ending}"] = str(value)
            found[f"{PREFIX}{role}_{word}present_{ending}"] = "true"
    return found


def with_port(host: str, port: int) -> str:
    """HOST:PORT, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def flag(value: object) -> str:
    return "true" if value else "false"
