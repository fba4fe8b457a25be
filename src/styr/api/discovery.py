"""What the server serves, told to clients: /api, /apis, group-versions, aggregated discovery, /version, /livez, /readyz.

Called by the server before resource paths. Pure: it is handed the list of served resources. Never answers aggregated
discovery in a version that was not asked for: kubectl 1.27 asks v2beta1 only, and would find nothing in v2.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styr.api.accept import media_ranges
from styr.api.builtin.tables import VERBS, Subresource
from styr.kinds.resources import Object, Resource
from styr.kinds.transport import Response
from styr.version import KUBERNETES_VERSION, __version__

_AGGREGATED = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}
_AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


STATUS = Subresource("status")
SCALE = Subresource("scale", kind="Scale", group="autoscaling", version="v1")
SCALE = Subresource("scale", kind="Scale", group="autoscaling", version="v1")
LOG = Subresource("log", ("get",))


@dataclass(frozen=True, slots=True)
class Served:
    """One resource as discovery tells it. A CRD that serves three versions is three of these."""

    resource: Resource
    verbs: tuple[str, ...] = VERBS
    subresources: tuple[Subresource, ...] = ()


@dataclass(frozen=True, slots=True)
class Documented:
    """A served resource as OpenAPI tells it. `custom`: it is published by its own `schema` (None: any object) and
    `selectable` fields; else as Kubernetes publishes it."""

    served: Served
    custom: bool = False
    schema: Mapping[str, Any] | None = None
    list_kind: str = ""
    selectable: tuple[str, ...] = ()


VIRTUAL: tuple[Served, ...] = tuple(
    Served(Resource(group, "v1", kind, plural, kind.startswith("Local"), status=False), ("create",))
    for group, kind, plural in (
        ("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
        ("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews"),
        ("authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews"),
        ("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews"),
        ("authentication.k8s.io", "TokenReview", "tokenreviews"),
    )
)
"""Answered by `reviews`, stored nowhere. The server adds them to what it serves."""


def is_discovery(path: str) -> bool:
    """Paths that `discover` answers (or knows to be nothing): at most three parts, below /api, /apis or public."""
    parts = path.strip("/").split("/")
    return parts[0] in _PLAIN or (parts[0] == "api" and len(parts) <= 2) or (parts[0] == "apis" and len(parts) <= 3)


def discover(path: str, accept: str, served: Sequence[Served]) -> Response | None:
    """The answer to a GET of a discovery path; None when the path is none, or names an unknown group or version."""
    parts = path.strip("/").split("/")
    if len(parts) == 1 and parts[0] in _PLAIN:
        return _plain(parts[0])
    if parts[0] == "api" and len(parts) <= 2:
        return _core(parts, accept, served)
    if parts[0] == "apis" and len(parts) <= 3:
        return _groups(parts, accept, served)
    return None


_PLAIN = ("version", "livez", "readyz", "healthz", "")


def _plain(name: str) -> Response:
    if name == "version":
        return _json(version())
    if name == "":
        return _json(
            {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]}
        )
    return Response(200, b"ok", {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"})


def version() -> Object:
    """/version. `gitVersion` must parse: clients compare minors."""
    major, minor = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{KUBERNETES_VERSION}+styr-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "cpython",
        "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }


def _json(obj: Object, content_type: str = "application/json") -> Response:
    return Response(200, json.dumps(obj, separators=(",", ":")).encode(), {"content-type": content_type})


def wants_aggregated(accept: str) -> bool:
    """Is aggregated discovery v2 the best form that the client lists and we have?"""
    for media, parameters in media_ranges(accept or "*/*"):
        if media == "application/json":
            if all(parameters.get(key) == value for key, value in _AGGREGATED.items()):
                return True
            if "as" not in parameters:
                return False
        elif media in ("*/*", "application/*"):
            return False
    return False


def _core(parts: list[str], accept: str, served: Sequence[Served]) -> Response | None:
    core = [entry for entry in served if not entry.resource.group]
    if len(parts) == 2:
        found = [entry for entry in core if entry.resource.version == parts[1]]
        return _json(resource_list(parts[1], found)) if found else None
    if wants_aggregated(accept):
        return _json(_aggregated(core), _AGGREGATED_TYPE)
    return _json({"kind": "APIVersions", "versions": versions(core), "serverAddressByClientCIDRs": []})


def _groups(parts: list[str], accept: str, served: Sequence[Served]) -> Response | None:
    named = [entry for entry in served if entry.resource.group]
    if len(parts) == 1:
        if wants_aggregated(accept):
            return _json(_aggregated(named), _AGGREGATED_TYPE)
        groups = [_group(name, entries) for name, entries in _by_group(named).items()]
        return _json({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    entries = [entry for entry in named if entry.resource.group == parts[1]]
    if len(parts) == 2:
        return _json({"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], entries)}) if entries else None
    found = [entry for entry in entries if entry.resource.version == parts[2]]
    return _json(resource_list("/".join(parts[1:]), found)) if found else None


def _by_group(served: Iterable[Served]) -> dict[str, list[Served]]:
    groups: dict[str, list[Served]] = {}
    for entry in served:
        groups.setdefault(entry.resource.group, []).append(entry)
    return groups


_VERSION = re.compile(r"v(\d{1,9})(?:(alpha|beta)(\d{1,9}))?")


def version_priority(name: str) -> tuple[int, int, int, str]:
    """Sort key of a version, most preferred first: v2, v1, v1beta2, v1beta1, v1alpha1, then others by name."""
    match = _VERSION.fullmatch(name)
    if not match:
        return (3, 0, 0, name)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), name)


def versions(served: Iterable[Served]) -> list[str]:
    """Distinct versions, most preferred first."""
    return sorted({entry.resource.version for entry in served}, key=version_priority)


def _group(name: str, served: Sequence[Served]) -> Object:
    known = [{"groupVersion": f"{name}/{found}", "version": found} for found in versions(served)]
    return {"name": name, "versions": known, "preferredVersion": known[0]}


def resource_list(group_version: str, served: Iterable[Served]) -> Object:
    """The plain APIResourceList of one group-version."""
    entries: list[Object] = []
    for entry in served:
        resource = entry.resource
        item: Object = {
            "name": resource.plural,
            "singularName": resource.singular_name,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(entry.verbs),
        }
        if resource.short_names:
            item["shortNames"] = list(resource.short_names)
        if resource.categories:
            item["categories"] = list(resource.categories)
        entries.append(item)
        entries += [_sub(resource, sub) for sub in entry.subresources]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _sub(resource: Resource, sub: Subresource) -> Object:
    item: Object = {
        "name": f"{resource.plural}/{sub.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": sub.kind or resource.kind,
        "verbs": list(sub.verbs),
    }
    return item | ({"group": sub.group, "version": sub.version} if sub.group else {})


def _aggregated(served: Iterable[Served]) -> Object:
    items = []
    for name, entries in _by_group(served).items():
        listed = [
            {
                "version": found,
                "resources": [_discovered(entry) for entry in entries if entry.resource.version == found],
                "freshness": "Current",
            }
            for found in versions(entries)
        ]
        items.append({"metadata": {"name": name, "creationTimestamp": None}, "versions": listed})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _discovered(entry: Served) -> Object:
    resource = entry.resource
    item: Object = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular_name,
        "verbs": list(entry.verbs),
    }
    if resource.short_names:
        item["shortNames"] = list(resource.short_names)
    if resource.categories:
        item["categories"] = list(resource.categories)
    if entry.subresources:
        item["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {
                    "group": sub.group or resource.group,
                    "version": sub.version or resource.version,
                    "kind": sub.kind or resource.kind,
                },
                "verbs": list(sub.verbs),
            }
            for sub in entry.subresources
        ]
    return item
