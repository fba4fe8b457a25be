"""Paths of the Kubernetes API, taken apart. Pure; called by the server.

`/api/VERSION/...` and `/apis/GROUP/VERSION/...`, then `[watch/][namespaces/NS/]PLURAL[/NAME[/SUBRESOURCE]]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode

from styr.kinds.errors import MethodNotAllowed
from styr.kinds.transport import Request

_NAMESPACE_SUBRESOURCES = ("status", "finalize")


_PROXIED = ("nodes", "pods", "services")


@dataclass(frozen=True, slots=True)
class Route:
    group: str
    version: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False
    """The path itself asks for a watch, as clients of long ago do."""


def parse(path: str) -> Route | None:
    """None for a path that names no resource (discovery and the rest)."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    if not group and (count := _proxied(rest)):
        namespace = rest[1] if count == 4 else ""
        return Route(group, version, rest[count - 2], namespace, rest[count - 1], "proxy")
    if not all(rest):
        return None
    watch = rest[0] == "watch" and len(rest) > 1
    if watch:
        rest = rest[1:]
    namespace = ""
    in_namespace = len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in _NAMESPACE_SUBRESOURCES
    if in_namespace:
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        return None
    resource, name, subresource = (*rest, "", "")[:3]
    return Route(group, version, resource, namespace, name, subresource, watch)


def _proxied(rest: list[str]) -> int:
    """How many parts of a path, behind its version, name the object whose /proxy it is below; 0 for none."""
    at = 4 if rest[0] == "namespaces" else 2
    return at if len(rest) > at and rest[at] == "proxy" and rest[at - 2] in _PROXIED and all(rest[:at]) else 0


def is_proxied(path: str) -> bool:
    """Is the path one below the /proxy of something?"""
    if "/proxy" not in path:
        return False
    parts = path.split("/", 9)
    return parts[1:3] == ["api", "v1"] and len(parts) > 3 and _proxied(parts[3:]) > 0


@dataclass(frozen=True, slots=True)
class Proxied:
    """What is asked of the one behind a /proxy: path and query, encoded. `prefix` leads to it; `bare` is a path that ends with
    the prefix, without a slash."""

    prefix: str
    path: str
    query: str
    bare: bool


def proxied(request: Request) -> Proxied:
    target = request.target or quote(request.path) + (f"?{urlencode(request.query)}" if request.query else "")
    raw, _, query = target.partition("?")
    parts = raw.split("/")
    count = 4 + _proxied([unquote(part) for part in parts[3:9]])
    rest = parts[count:]
    return Proxied("/".join(parts[:count]), "/" + "/".join(rest), query, bare=not rest)


def verb_of(route: Route, request: Request) -> str:
    """The word that RBAC has for it. Raises MethodNotAllowed."""
    method = request.method
    if route.watch and method != "GET":
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    if method in ("GET", "HEAD"):
        if (route.watch or request.flag("watch")) and not route.subresource:
            return "watch"
        return "get" if route.name else "list"
    if method == "POST" and (not route.name or route.subresource):
        return "create"
    if method == "PUT" and route.name:
        return "update"
    if method == "PATCH" and route.name:
        return "patch"
    if method == "DELETE":
        return "delete" if route.name else "deletecollection"
    raise MethodNotAllowed("the server does not allow this method on the requested resource")
