"""Which function answers which verb of which subresource. Called by the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from styr.api.call import Call
from styr.api.verbs import create, delete, eviction, get, late, list, logs, patch, subresources, update, watch
from styr.api.verbs.token import create_token
from styr.kinds.transport import Response

FUNCTIONS: Mapping[tuple[str, str], Callable[[Call], Awaitable[Response]]] = {
    ("get", ""): get.get,
    ("list", ""): list.list_objects,
    ("watch", ""): watch.watch,
    ("create", ""): create.create,
    ("update", ""): update.update,
    ("patch", ""): patch.patch,
    ("delete", ""): delete.delete,
    ("deletecollection", ""): delete.delete_collection,
    **{("get", sub): get.get for sub in ("status", "approval", "ephemeralcontainers", "resize")},
    **{("update", sub): update.update for sub in ("status", "approval", "ephemeralcontainers", "resize")},
    **{("patch", sub): patch.patch for sub in ("status", "approval", "ephemeralcontainers", "resize")},
    **{(verb, "scale"): subresources.scale for verb in ("get", "update", "patch")},
    **{(verb, "exec"): late.execute for verb in ("get", "create")},
    **{(verb, "attach"): late.attach for verb in ("get", "create")},
    **{(verb, "portforward"): late.forward for verb in ("get", "create")},
    **{(verb, "proxy"): late.proxy for verb in ("get", "create", "update", "patch", "delete")},
    ("update", "finalize"): subresources.finalize,
    ("create", "eviction"): eviction.evict,
    ("create", "binding"): subresources.bind,
    ("create", "token"): create_token,
    ("get", "log"): logs.logs,
}
"""(verb, subresource) -> function; the subresource is "" for the object itself."""
