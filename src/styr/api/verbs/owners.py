"""Who is told to have written an object: the manager of a request, and the entries of `metadata.managedFields` that the write
leaves. Called by the other verbs within the write path; calls `apply.managed` and `apply.last_applied`."""

from __future__ import annotations

from typing import Any

from styr.api.apply import last_applied, managed, typed
from styr.api.apply.fieldset import LEAF, Set
from styr.api.apply.managed import Entry, Write
from styr.api.call import Call
from styr.api.options import MAX_MANAGER
from styr.kinds.errors import BadRequest, Conflict
from styr.kinds.resources import Object

_TYPE = ("apiVersion", "kind")


def take(obj: Object) -> Any:
    """The entries that stand in an object, taken out of it: nobody owns them. None where there are none."""
    return obj["metadata"].pop("managedFields", None)


def put(obj: Object, entries: list[Entry]) -> None:
    if entries:
        obj["metadata"]["managedFields"] = entries


def track(call: Call, live: Object, new: Object, sent: Any, known: list[Entry]) -> list[Entry]:
    """The entries after an update, or a create (`live` is {}). `sent` are those in the request's object; a subresource may
    not change them. Both objects are without theirs."""
    entries = known if call.subresource or sent == known else managed.sent(sent, known)
    if live and (not entries or live == new):
        return entries
    return managed.update(live, new, entries, _write(call, "Update", new), call.served.type())


def lay(call: Call, live: Object, config: Object, known: list[Entry]) -> tuple[Object, list[Entry]]:
    """The live object ({} when there is none) with the configuration applied, and its entries. Raises Conflict when others
    own what would change, BadRequest for a configuration that does not fit the kind."""
    force = call.flag("force")
    try:
        return last_applied.apply(live, config, known, _write(call, "Apply", config), call.served.type(), force=force)
    except managed.Conflicts as error:
        raise Conflict(str(error), details={"causes": error.causes}) from None
    except typed.Malformed as error:
        raise malformed(call, [str(error)]) from None


def malformed(call: Call, faults: list[str], other: tuple[str, str] | None = None) -> BadRequest:
    """A configuration that does not fit its kind, in the words of Kubernetes' typed objects. `other`: the version and kind, if
    not those of the path's resource."""
    resource, place = call.served.resource, f"{call.namespace}/{call.name}"
    version, kind = other or (resource.api_version, resource.kind)
    text = faults[0] if len(faults) == 1 else "errors:\n" + "\n".join(f"  {fault}" for fault in faults)
    return BadRequest(f"failed to create typed patch object ({place}; {version}, Kind={kind}): {text}")


def _write(call: Call, operation: str, obj: Object) -> Write:
    manager = call.request.param("fieldManager") or _from_agent(call.request.headers.get("user-agent", ""))
    subresource = call.tracked or call.subresource
    version = call.served.resource.api_version
    return Write(manager or "unknown", version, call.core.now(), subresource, operation, _ignored(call, obj))


def _ignored(call: Call, obj: Object) -> Set:
    """What the endpoint does not take from a writer: status, and on /status everything but."""
    if call.subresource in ("status", "approval"):
        return {f"f:{field}": LEAF for field in obj if field not in (*_TYPE, "metadata", "status")}
    return {"f:status": LEAF} if call.served.resource.status else {}


def _from_agent(agent: str) -> str:
    """The program's name in a User-Agent: what stands before its version."""
    name = "".join(char for char in agent.partition("/")[0] if char.isprintable())
    return name.encode()[:MAX_MANAGER].decode(errors="ignore")
