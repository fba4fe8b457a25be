"""OpenAPI: /openapi/v3 (index and one document per group-version) and /openapi/v2, from the schemas that the server uses.

Called by the server. Pure: it is handed the served resources with their schemas. Small and honest: a document holds the
paths with their `x-kubernetes-action`, the kinds, and the schema that writes are checked against, nothing of prose. That is
what kubectl (1.27 and up), `explain` and helm read. The protobuf form of v2 is not served: clients that can do without get
404, as they expect of a server that has none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styr.api.discovery import Served
from styr.kinds.resources import Object, Resource
from styr.kinds.transport import Response
from styr.version import __version__

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_BODY_TYPES = (
    "application/json",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)


@dataclass(frozen=True, slots=True)
class Documented:
    """A served resource and the structural schema of its objects (None: any object)."""

    served: Served
    schema: Mapping[str, Any] | None = None


class OpenApi:
    """The documents of one state of the registry, each made when it is first asked for. Replace it when a CRD changes."""

    def __init__(self, documented: Sequence[Documented]) -> None:
        self._groups: dict[str, list[Documented]] = {}
        for entry in documented:
            self._groups.setdefault(_group_path(entry.served.resource), []).append(entry)
        self._documents: dict[str, bytes] = {}

    def respond(self, path: str, accept: str, if_none_match: str = "") -> Response | None:
        """The answer to a GET below /openapi; None when there is nothing."""
        path = path.rstrip("/")
        if path == "/openapi/v3":
            return _answer(self._index(), if_none_match)
        if path == "/openapi/v2":
            if accept and "json" not in accept and "*/*" not in accept:
                return None
            return _answer(self._document(""), if_none_match)
        group = path.removeprefix("/openapi/v3/")
        return _answer(self._document(group), if_none_match) if group in self._groups else None

    def _index(self) -> bytes:
        paths = {
            group: {"serverRelativeURL": f"/openapi/v3/{group}?hash={_hash(self._document(group))}"}
            for group in sorted(self._groups)
        }
        return json.dumps({"paths": paths}, separators=(",", ":")).encode()

    def _document(self, group: str) -> bytes:
        if group not in self._documents:
            made = _v3(self._groups[group]) if group else _v2([e for each in self._groups.values() for e in each])
            self._documents[group] = json.dumps(made, separators=(",", ":")).encode()
        return self._documents[group]


def _hash(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()[:32].upper()


def _answer(document: bytes, if_none_match: str) -> Response:
    tag = f'"{_hash(document)}"'
    headers = {"content-type": "application/json", "etag": tag, "cache-control": "no-cache", "vary": "Accept"}
    if tag in if_none_match:
        return Response(304, b"", headers)
    return Response(200, document, headers)


def _group_path(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


def definition_name(resource: Resource) -> str:
    """`dev.styr.v1alpha1.App`, `io.k8s.api.core.v1.Pod`: the name that a kind has in the documents."""
    if not resource.group or "." not in resource.group or resource.group.endswith(".k8s.io"):
        return f"io.k8s.api.{resource.group.split('.')[0] or 'core'}.{resource.version}.{resource.kind}"
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def _gvk(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _definition(entry: Documented, prefix: str) -> Object:
    schema: Object = json.loads(json.dumps(entry.schema)) if entry.schema else {"type": "object"}
    properties = schema.setdefault("properties", {})
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"allOf": [{"$ref": f"{prefix}{_META}.ObjectMeta"}], "default": {}}
    if prefix == "#/definitions/":
        properties["metadata"] = {"$ref": f"{prefix}{_META}.ObjectMeta"}
    if not entry.schema:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    schema["x-kubernetes-group-version-kind"] = [_gvk(entry.served.resource)]
    return schema


def _common(prefix: str) -> Object:
    text = {"type": "string"}
    texts = {"type": "object", "additionalProperties": text}
    owner = {
        "type": "object",
        "required": ["apiVersion", "kind", "name", "uid"],
        "properties": {
            **dict.fromkeys(("apiVersion", "kind", "name", "uid"), text),
            **{key: {"type": "boolean"} for key in ("controller", "blockOwnerDeletion")},
        },
    }
    metadata = {
        **dict.fromkeys(("name", "generateName", "namespace", "uid", "resourceVersion", "selfLink"), text),
        **{key: {"type": "string", "format": "date-time"} for key in ("creationTimestamp", "deletionTimestamp")},
        **{key: {"type": "integer", "format": "int64"} for key in ("generation", "deletionGracePeriodSeconds")},
        **dict.fromkeys(("labels", "annotations"), texts),
        "finalizers": {"type": "array", "items": text},
        "ownerReferences": {"type": "array", "items": {"$ref": f"{prefix}{_META}.OwnerReference"}},
        "managedFields": {"type": "array", "items": {"type": "object"}},
    }
    return {
        f"{_META}.ObjectMeta": {"type": "object", "properties": metadata},
        f"{_META}.OwnerReference": owner,
        f"{_META}.Status": {"type": "object", "x-kubernetes-group-version-kind": [_gvk(_STATUS)]},
    }


_STATUS = Resource("", "v1", "Status", "status")


def _v3(entries: Sequence[Documented]) -> Object:
    prefix = "#/components/schemas/"
    schemas = _common(prefix)
    paths: Object = {}
    for entry in entries:
        schemas[definition_name(entry.served.resource)] = _definition(entry, prefix)
        paths |= _paths(entry.served, v3=True)
    info = {"title": "Styr", "version": __version__}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _v2(entries: Sequence[Documented]) -> Object:
    prefix = "#/definitions/"
    definitions = _common(prefix)
    paths: Object = {}
    for entry in entries:
        definitions[definition_name(entry.served.resource)] = _definition(entry, prefix)
        paths |= _paths(entry.served, v3=False)
    return {
        "swagger": "2.0",
        "info": {"title": "Styr", "version": __version__},
        "paths": paths,
        "definitions": definitions,
    }


_COLLECTION = {"list": ("get", "list"), "create": ("post", "post"), "deletecollection": ("delete", "deletecollection")}
_ITEM = {
    "get": ("get", "get"),
    "update": ("put", "put"),
    "patch": ("patch", "patch"),
    "delete": ("delete", "delete"),
}
_WRITES = ("post", "put", "patch")


def _paths(served: Served, *, v3: bool) -> Object:
    resource = served.resource
    namespaces = ["{namespace}"] if resource.namespaced else [None]
    paths: Object = {}
    for namespace in namespaces:
        collection = "/" + resource.path(namespace).lstrip("/")
        paths[collection] = _operations(served, _COLLECTION, v3)
        if any(verb in served.verbs for verb in _ITEM):
            paths[f"{collection}/{{name}}"] = _operations(served, _ITEM, v3)
        for sub in served.subresources:
            known = {verb: words for verb, words in {**_ITEM, "create": ("post", "post")}.items() if verb in sub.verbs}
            paths[f"{collection}/{{name}}/{sub.name}"] = _operations(Served(resource, sub.verbs), known, v3)
    return paths


def _operations(served: Served, words: Mapping[str, tuple[str, str]], v3: bool) -> Object:
    return {
        method: _operation(served.resource, method, action, v3)
        for verb, (method, action) in words.items()
        if verb in served.verbs
    }


def _operation(resource: Resource, method: str, action: str, v3: bool) -> Object:
    reference = {"$ref": ("#/components/schemas/" if v3 else "#/definitions/") + definition_name(resource)}
    names = ["dryRun", "fieldManager", "fieldValidation"] if method in _WRITES else []
    text: Object = {"schema": {"type": "string"}} if v3 else {"type": "string"}
    parameters: list[Object] = [{"name": name, "in": "query", **text} for name in names]
    operation: Object = {
        "responses": {
            "200": {"description": "OK", **({"content": _content(reference)} if v3 else {"schema": reference})}
        },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    if method in _WRITES and v3:
        body = {"type": "object"} if method == "patch" else reference
        types = _BODY_TYPES[1:] if method == "patch" else _BODY_TYPES[:1]
        operation["requestBody"] = {"content": {kind: {"schema": body} for kind in types}}
    elif method in _WRITES:
        parameters.append({"name": "body", "in": "body", "required": True, "schema": reference})
    if parameters:
        operation["parameters"] = parameters
    return operation


def _content(reference: Object) -> Object:
    return {"application/json": {"schema": reference}}
