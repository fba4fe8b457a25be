"""PATCH with an applied configuration (server-side apply): the object becomes what this manager says, where it says so.

Called by `patch`. The configuration is JSON or YAML; an object that is not there is created.
"""

from __future__ import annotations

import copy

from styr.api import bodies, fields, options
from styr.api.call import Call, answer
from styr.api.store.commit import Txn
from styr.api.store.records import Record
from styr.api.verbs import admit, change, create, owners
from styr.kinds.errors import BadRequest
from styr.kinds.resources import Object
from styr.kinds.transport import Response

TYPE = "application/apply-patch+yaml"


async def apply(call: Call) -> Response:
    """200 with the whole object, 201 when this created it."""
    config = read(call)
    dry_run = call.dry_run

    def lay(txn: Txn) -> tuple[Record, int]:
        old = txn.get(call.key)
        if old is None:
            return _create(call, txn, call.fresh(config), dry_run=dry_run), 201
        live = call.present(old)
        known = owners.take(live) or []
        new, entries = owners.lay(call, live, call.fresh(config), known)
        return change.revise(call, txn, call.key, old, new, dry_run=dry_run, entries=entries), 200

    record, status = await admit.write(call, lay)
    return await answer(call, record, status)


def read(call: Call) -> Object:
    """The configuration in the body. Raises BadRequest for one of another kind, version, name or namespace."""
    options.check(call.request, applies=True)
    mode = options.field_validation(call.request)
    config = bodies.decode_config(call.body, doubled=True)
    if mode != "Ignore":
        _check_repeats(call, config, strict=mode == "Strict")
    meta, resource = config["metadata"], call.served.resource
    if "managedFields" in meta:
        raise BadRequest("metadata.managedFields must be nil")
    if (version := config.get("apiVersion")) != resource.api_version:
        raise BadRequest(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {version or ''}, expected: {resource.api_version}"
        )
    if not config.get("kind"):
        raise BadRequest("Object 'Kind' is missing in the applied configuration")
    odd = change.check_kind(call, config)
    if meta.setdefault("name", call.name) != call.name:
        raise BadRequest(f"the name of the object ({meta['name']}) does not match the name on the URL ({call.name})")
    if unknown := odd + call.served.strategy.unknown_fields(copy.deepcopy(config), sparse=True):
        raise owners.malformed(call, [f".{path}: field not declared in schema" for path in unknown[: fields.MOST]])
    return config


def _check_repeats(call: Call, config: Object, *, strict: bool) -> None:
    found = fields.config_repeats(call.body, config)
    if found and strict:
        lines = "\n".join(f"  {text}" for text in found)
        raise BadRequest(f"error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n{lines}")
    call.warnings += found


def _create(call: Call, txn: Txn, config: Object, *, dry_run: bool) -> Record:
    if call.subresource:
        raise call.not_found()
    meta = config["metadata"]
    for field in ("uid", "resourceVersion"):
        if meta.get(field):
            raise call.conflict(f"the configuration names a {field} ({meta[field]}), but there is no such object")
    create.check_may(call)
    obj, entries = owners.lay(call, {}, config, [])
    create.prepare(call, obj)
    return create.insert(call, txn, obj, entries=entries, dry_run=dry_run)
