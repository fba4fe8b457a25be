"""/livez, /readyz and /healthz, each of their checks, and what the checks say one by one (`?verbose`, `?exclude=CHECK`).

Called by the server for what is ready: who gets an answer gets a good one. The names are the real server's, of those of its
checks that mean something here. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from styr.kinds.transport import Response

_ALWAYS = ("ping", "log", "etcd")
_READY = ("etcd-readiness", "informer-sync")
_CHECKS = {"healthz": _ALWAYS, "livez": _ALWAYS, "readyz": (*_ALWAYS, *_READY, "shutdown")}
_TEXT = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


def is_health(path: str) -> bool:
    return path.split("/", 2)[1:2] in ([name] for name in _CHECKS)


def respond(path: str, query: Sequence[tuple[str, str]]) -> Response:
    """The answer to a GET of such a path: 404 for a check that there is not."""
    name, _, check = path[1:].partition("/")
    if path == f"/{name}":
        return Response(200, _told(name, query).encode(), dict(_TEXT))
    if check in _CHECKS[name]:
        return Response(200, b"ok", {"content-type": _TEXT["content-type"]})
    return Response(404, b"404 page not found\n", dict(_TEXT))


def _told(name: str, query: Sequence[tuple[str, str]]) -> str:
    if all(key != "verbose" for key, _ in query):
        return "ok"
    excluded = {value for key, value in query if key == "exclude"}
    lines = [f"[+]{check} {'excluded: ' if check in excluded else ''}ok\n" for check in _CHECKS[name]]
    if unknown := sorted(excluded.difference(_CHECKS[name])):
        shown = ", ".join(f'"{check[:100]}"' for check in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {shown}\n")
    return f"{''.join(lines)}{name} check passed\n"
