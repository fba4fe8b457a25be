"""What the server serves, told to clients: /api, /apis, group-versions, aggregated discovery, /version.

Called by the server before resource paths. Pure: it is handed the list of served resources. Never answers aggregated
discovery in a version that was not asked for: kubectl 1.27 asks v2beta1 only, and would find nothing in v2.
"""

from __future__ import annotations

import base64
import hashlib
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from styr.api.accept import REFUSAL, YAML, best, media_ranges
from styr.api.builtin.tables import VERBS, Subresource
from styr.kinds.errors import NotAcceptable
from styr.kinds.resources import Object, Resource
from styr.kinds.transport import Response
from styr.version import KUBERNETES_VERSION, __version__

_JSON = "application/json"
_AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


STATUS = Subresource("status")
SCALE = Subresource("scale", kind="Scale", group="autoscaling", version="v1")
LOG = Subresource("log", ("get",))


@dataclass(frozen=True, slots=True)
class Served:
    """One resource as discovery tells it. A CRD that serves three versions is three of these. `stored` is the apiVersion of
    stored objects, "" for a resource that has none."""

    resource: Resource
    verbs: tuple[str, ...] = VERBS
    subresources: tuple[Subresource, ...] = ()
    stored: str = ""


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
    Served(Resource(group, "v1", kind, plural, kind.startswith(("Local", "Binding")), status=False), ("create",))
    for group, kind, plural in (
        ("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
        ("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews"),
        ("authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews"),
        ("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews"),
        ("authentication.k8s.io", "TokenReview", "tokenreviews"),
        ("", "Binding", "bindings"),
    )
)
"""Answered by `reviews` (a Binding by its pod), stored nowhere. The server adds them to what it serves."""


def is_discovery(path: str) -> bool:
    """Paths that `discover` answers (or knows to be nothing): at most three parts, below /api, /apis or public."""
    parts = path.strip("/").split("/")
    return parts[0] in _PLAIN or (parts[0] == "api" and len(parts) <= 2) or (parts[0] == "apis" and len(parts) <= 3)


def discover(path: str, headers: Mapping[str, str], served: Sequence[Served]) -> Response | None:
    """The answer to a GET of a discovery path; None when the path is none, or names an unknown group or version. Raises
    NotAcceptable."""
    parts = path.strip("/").split("/")
    if len(parts) == 1 and parts[0] in _PLAIN:
        return _plain(parts[0], served)
    if parts[0] not in ("api", "apis"):
        return None
    form = _form(headers.get("accept", "")) if len(parts) == 1 else ""
    if len(parts) > 1 and best(headers.get("accept", ""), (_JSON, YAML)) is None:
        raise NotAcceptable(REFUSAL)
    if parts[0] == "api" and len(parts) <= 2:
        made = _core(parts, form, served, headers.get("host", ""))
    elif len(parts) <= 3:
        made = _groups(parts, form, sorted(served, key=lambda entry: _rank(entry.resource.group)))
    else:
        return None
    if made is None:
        return None
    return _tagged(made, form, headers.get("if-none-match", "")) if form else _json(made)


_PLAIN = ("version", "")


def _plain(name: str, served: Sequence[Served]) -> Response:
    if name == "version":
        return _json(version())
    return _json({"paths": sorted(_paths(served))})


def _paths(served: Sequence[Served]) -> set[str]:
    found = {"/.well-known/openid-configuration", "/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2"}
    found |= {"/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"}
    for entry in served:
        group, number = entry.resource.group, entry.resource.version
        found |= {f"/apis/{group}", f"/apis/{group}/{number}"} if group else {f"/api/{number}"}
    return found


def version() -> Object:
    """/version. `gitVersion` must parse: clients compare minors."""
    major, minor = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
    before = str(int(minor) - 1)
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": before,
        "gitVersion": f"{KUBERNETES_VERSION}+styr-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "cpython",
        "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }


def _json(obj: Object) -> Response:
    return Response(200, msgspec.json.encode(obj), {"content-type": _JSON})


def _tagged(obj: Object, form: str, if_none_match: str) -> Response:
    """Aggregated discovery: clients keep it by its ETag."""
    body = msgspec.json.encode(obj)
    tag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
    headers = {"content-type": _AGGREGATED_TYPE.format(form), "etag": tag, "vary": "Accept", "cache-control": "public"}
    if tag in if_none_match:
        return Response(304, b"", headers)
    return Response(200, body, headers)


def _form(accept: str) -> str:
    """The version of aggregated discovery that is the best form that the client lists and we have; "" for the plain one.
    Raises NotAcceptable."""
    for media, parameters in media_ranges(accept or "*/*"):
        if media == _JSON:
            if "as" not in parameters:
                return ""
            asked = (parameters["as"], parameters.get("g"))
            if asked == ("APIGroupDiscoveryList", "apidiscovery.k8s.io") and parameters.get("v") in ("v2", "v2beta1"):
                return parameters["v"]
        elif media in ("*/*", "application/*", YAML):
            return ""
    raise NotAcceptable(REFUSAL)


def _core(parts: list[str], form: str, served: Sequence[Served], host: str) -> Object | None:
    core = [entry for entry in served if not entry.resource.group]
    if len(parts) == 2:
        found = [entry for entry in core if entry.resource.version == parts[1]]
        return resource_list(parts[1], found) if found else None
    if form:
        return _aggregated(core, form)
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}] if host else []
    return {"kind": "APIVersions", "versions": versions(core), "serverAddressByClientCIDRs": addresses}


def _groups(parts: list[str], form: str, served: Sequence[Served]) -> Object | None:
    named = [entry for entry in served if entry.resource.group]
    if len(parts) == 1:
        if form:
            return _aggregated(named, form)
        groups = [_group(name, entries) for name, entries in _by_group(named).items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    entries = [entry for entry in named if entry.resource.group == parts[1]]
    if len(parts) == 2:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], entries)} if entries else None
    found = [entry for entry in entries if entry.resource.version == parts[2]]
    return resource_list("/".join(parts[1:]), found) if found else None


def _rank(group: str) -> tuple[int, str]:
    """Groups in the order of the real server's /apis (the priorities of its APIServices), then custom ones by name."""
    return (_ORDER.index(group) if group in _ORDER else len(_ORDER), group)


_ORDER = (
    *("", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io"),
    *("autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"),
    *("storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io"),
    *("coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io"),
)


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


def _by_name(served: Iterable[Served]) -> list[Served]:
    return sorted(served, key=lambda entry: entry.resource.plural)


def resource_list(group_version: str, served: Iterable[Served]) -> Object:
    """The plain APIResourceList of one group-version."""
    entries: list[Object] = []
    for entry in _by_name(served):
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
        if entry.stored:
            item["storageVersionHash"] = _storage_hash(entry)
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


def _storage_hash(entry: Served) -> str:
    """As apiserver's StorageVersionHash: the same while objects are stored in the same form."""
    group, _, number = entry.stored.rpartition("/")
    told = hashlib.sha256(f"{group}/{number}/{entry.resource.kind}".encode()).digest()
    return base64.b64encode(told[:8]).decode()


def _aggregated(served: Iterable[Served], form: str) -> Object:
    items = []
    for name, entries in _by_group(served).items():
        listed = [
            {
                "version": found,
                "resources": [_discovered(entry) for entry in _by_name(entries) if entry.resource.version == found],
                "freshness": "Current",
            }
            for found in versions(entries)
        ]
        items.append({"metadata": {"name": name} if name else {}, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{form}",
        "metadata": {},
        "items": items,
    }


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
