"""POST of an object."""

from __future__ import annotations

from styr.api import metadata
from styr.api.apply.managed import Entry
from styr.api.call import Call, answer
from styr.api.store.commit import Txn
from styr.api.store.records import Record
from styr.api.verbs import admit, change, owners
from styr.kinds.errors import BadRequest, Forbidden, NotFound
from styr.kinds.resources import NAMESPACE, Object
from styr.kinds.transport import ANONYMOUS, Response

MAX_TRIES = 8
"""Of a generated name."""


async def create(call: Call) -> Response:
    """Stores a new object and returns it, 201."""
    obj = change.read_object(call)
    if obj["metadata"].get("resourceVersion"):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    base = obj["metadata"].get("generateName") if not obj["metadata"].get("name") else None
    if base is not None and not isinstance(base, str):
        raise BadRequest("metadata.generateName must be a string")
    prepare(call, obj, base)
    dry_run = call.dry_run
    record = await admit.write(call, lambda txn: insert(call, txn, call.fresh(obj), base, dry_run=dry_run))
    return await answer(call, record, 201)


def check_may(call: Call) -> None:
    """Whether the user may create, where the verb is another one. Raises Forbidden."""
    if call.core.authorize is not None:
        resource, user = call.served.resource, call.request.user or ANONYMOUS
        path = resource.path(call.namespace or None)
        call.core.authorize(user, "create", resource.group, resource.plural, "", call.namespace, call.name, path)


def prepare(call: Call, obj: Object, base: str | None = None) -> None:
    """What a new object needs before anybody looks at it: server fields and defaults."""
    meta, strategy = obj["metadata"], call.served.strategy
    if base:
        meta["name"] = metadata.generate(base, call.core.random)
    call.name = meta["name"] if isinstance(meta.get("name"), str) else ""
    for field in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        meta.pop(field, None)
    meta["uid"], meta["creationTimestamp"] = call.birth()
    if strategy.counts_generation:
        meta["generation"] = 1
    if not call.name:
        raise call.invalid(metadata.faults(obj))
    change.complete(call, obj)


def insert(
    call: Call,
    txn: Txn,
    obj: Object,
    base: str | None = None,
    *,
    dry_run: bool = False,
    entries: list[Entry] | None = None,
) -> Record:
    """In the write path. `entries` say who owns what, when an apply has found that out."""
    check_namespace(call, txn)
    call.name = obj["metadata"]["name"]
    if base is not None:
        _name_anew(call, txn, obj, base)
    stage = call.core.chain.stage("CREATE", call.served)
    if stage is not None:
        attributes = call.attributes("CREATE", obj, dry_run=dry_run, complete=lambda new: change.complete(call, new))
        attributes.made_up = call.name if base is not None else ""
        stage.mutate(attributes, txn)
        if attributes.touched:
            _own_again(call, obj)
    if call.served.custom and call.served.resource.status:
        obj.pop("status", None)
    call.served.strategy.prepare_create(obj)
    change.check(call, obj, None)
    call.check_rights(obj)
    if stage is not None:
        stage.validate(attributes, txn)
    if txn.get(call.key) is not None:
        raise call.exists()
    call.served.strategy.admit(obj, None, txn)
    sent = owners.take(obj)
    owners.put(obj, owners.track(call, {}, obj, sent, []) if entries is None else entries)
    return change.settle(call, txn, call.key, call.to_store(obj), dry_run=dry_run)


def _name_anew(call: Call, txn: Txn, obj: Object, base: str) -> None:
    for _ in range(MAX_TRIES):
        if txn.get(call.key) is None:
            return
        call.name = obj["metadata"]["name"] = metadata.generate(base, call.core.random)


def _own_again(call: Call, obj: Object) -> None:
    """A mutation of the object does not reach what the server says. It may name the object otherwise."""
    meta = obj["metadata"]
    meta["uid"], meta["creationTimestamp"] = call.birth()
    call.name = meta["name"]
    if call.served.resource.namespaced:
        meta["namespace"] = call.namespace


def check_namespace(call: Call, txn: Txn) -> None:
    """An object needs its namespace, and one that is not on its way out."""
    if not call.served.resource.namespaced:
        return
    found = txn.get(type(call.key)(NAMESPACE.group_resource, "", call.namespace))
    if found is None:
        raise NotFound(
            f'namespaces "{call.namespace}" not found', details={"name": call.namespace, "kind": "namespaces"}
        )
    if "deletionTimestamp" in found.decode()["metadata"]:
        cause = {
            "reason": "NamespaceTerminating",
            "field": "metadata.namespace",
            "message": f"namespace {call.namespace} is being terminated",
        }
        raise Forbidden(
            f'{call.served.key} "{call.name}" is forbidden: unable to create new content in namespace '
            f"{call.namespace} because it is being terminated",
            details={"name": call.name, "kind": call.served.resource.plural, "causes": [cause]},
        )
