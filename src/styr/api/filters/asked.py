"""What a request asks for, taken from its path and method before anybody decides about it. Made by the server, once; read by
authorization and the filters. Pure."""

from __future__ import annotations

from typing import NamedTuple

from styr.api.routes import Route, verb_of
from styr.kinds import selectors
from styr.kinds.errors import MethodNotAllowed
from styr.kinds.transport import Request

_LASTING = frozenset({"attach", "exec", "log", "portforward", "proxy"})


class Asked(NamedTuple):
    """As Kubernetes' RequestInfo: `namespace` of a namespace is itself; the resource fields are "" for other paths."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def lasts(self) -> bool:
        """May it go on for as long as its client likes?"""
        return self.verb == "watch" or self.subresource in _LASTING


def read(request: Request, route: Route | None) -> Asked:
    """A method that means nothing for a resource is its own verb: it is refused later, in words."""
    method = request.method.lower()
    if route is None:
        return Asked(method, path=request.path)
    try:
        verb = verb_of(route, request)
    except MethodNotAllowed:
        verb = method
    name = route.name or (_selected(request) if verb in ("list", "watch") else "")
    namespace = route.namespace
    if not route.group and route.resource == "namespaces":
        namespace = route.name
    return Asked(verb, route.group, route.version, route.resource, route.subresource, namespace, name, request.path)


def _selected(request: Request) -> str:
    """The one object that a list or watch is of: who may read that one may ask so."""
    try:
        wanted = selectors.parse_fields(request.param("fieldSelector"))
    except selectors.SelectorError:
        return ""  # told later, in words
    name = next((term.values[0] for term in wanted if (term.key, term.operator) == ("metadata.name", "In")), "")
    return "" if name in (".", "..") or set(name) & {"/", "%"} else name
