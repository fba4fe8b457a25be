"""/finalize of a namespace, /binding and /log of a pod, /scale of a workload. (/status is `update` and `patch`.)"""

from __future__ import annotations

from typing import Any

import msgspec

from styr.api import bodies, fields, options, unstored
from styr.api.call import Call, respond
from styr.api.patches import json_patch, merge
from styr.api.store.commit import Txn
from styr.api.store.records import Record
from styr.api.strategies.shapes import get
from styr.api.unstored import SCALE
from styr.api.verbs import admit, change, owners
from styr.api.verbs.apply import TYPE as APPLY
from styr.api.verbs.patch import JSON, STRATEGIC, patch_type
from styr.kinds import conditions, selectors
from styr.kinds.errors import BadRequest
from styr.kinds.resources import Object
from styr.kinds.transport import Response


async def finalize(call: Call) -> Response:
    """PUT: `spec.finalizers` only. With none left a deleted namespace is gone."""
    new = change.read_object(call)
    wanted = (new.get("spec") or {}).get("finalizers") or []
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        raise BadRequest("spec.finalizers must be a list of names")

    def end(txn: Txn) -> Record:
        old = _old(call, txn)
        obj = old.decode()
        version = new["metadata"].get("resourceVersion")
        if version and version != obj["metadata"]["resourceVersion"]:
            raise call.conflict()
        if (obj.get("spec") or {}).get("finalizers", []) == wanted and not change.is_free(obj):
            return old
        obj["spec"] = {"finalizers": list(wanted)} if wanted else {}
        admit.admit(call, txn, "UPDATE", obj, call.present(old), dry_run=call.dry_run)
        return change.settle(call, txn, call.key, obj, dry_run=call.dry_run)

    return respond(call, call.outward(await admit.write(call, end)))


async def bind(call: Call) -> Response:
    """POST of a Binding: the pod gets its node, once."""
    body = unstored.read(call.request, call.body, ("v1",), "Binding", call.warnings)
    target = body.get("target")
    node = target.get("name") if isinstance(target, dict) else None
    if not isinstance(node, str) or not node:
        raise BadRequest("target.name: Required value: a Binding names the node")

    meta = body["metadata"]
    meta.setdefault("name", call.name)
    meta.setdefault("namespace", call.namespace)
    dry_run = call.dry_run

    def place(txn: Txn) -> Record:
        obj = _old(call, txn).decode()
        admit.admit(call, txn, "CREATE", call.fresh(body), None, dry_run=dry_run)
        if obj["spec"].get("nodeName"):
            raise call.conflict(f'pod {call.name} is already assigned to node "{obj["spec"]["nodeName"]}"')
        if "deletionTimestamp" in obj["metadata"]:
            raise call.conflict(f"pod {call.name} is being deleted, cannot be assigned to a host")
        obj["spec"]["nodeName"] = node
        status = obj.setdefault("status", {})
        status["conditions"] = conditions.put(
            status.get("conditions"), "PodScheduled", True, now=call.core.now(), reason="Scheduled"
        )
        return change.settle(call, txn, call.key, obj, dry_run=dry_run)

    await admit.write(call, place)
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return respond(call, msgspec.json.encode(status), 201)


async def scale(call: Call) -> Response:
    """GET, PUT and PATCH of `autoscaling/v1 Scale`."""
    method = call.request.method
    if method == "GET":
        record = call.core.store.get(call.key)
        if record is None:
            raise call.not_found()
        return await _shown(call, record)
    if method == "PATCH":
        kind = patch_type(call)
        options.check(call.request, applies=kind == APPLY)
        document = bodies.decode_config(call.body) if kind == APPLY else bodies.decode(call.body)
        repeated = [] if kind == APPLY else fields.patch_repeats(call.body, document)
    else:
        repeated, kind = [], ""
        document = unstored.read(call.request, call.body, SCALE[:1], SCALE[1], call.warnings)

    dry_run = call.dry_run

    def resize(txn: Txn) -> Record:
        old = _old(call, txn)
        obj = call.present(old)
        wanted: Any = call.fresh(document)
        if kind == APPLY:
            _check_applied(call, wanted)
        elif kind:
            current = scale_of(call, obj)
            wanted = json_patch.apply(current, wanted) if kind == JSON else merge.apply(current, wanted)
            if isinstance(wanted, dict) and isinstance(wanted.get("metadata"), dict):
                patch = document if kind == STRATEGIC else None
                call.warnings += unstored.check_patched(call.request, wanted, repeated, patch)
        replicas, version = _wanted(call, wanted)
        if version and version != obj["metadata"]["resourceVersion"]:
            raise call.conflict()
        replicas = _admit_scale(call, txn, obj, replicas, dry_run)
        parent = Call(call.core, call.served, call.request, call.namespace, call.name, tracked="scale")
        parent.waits, parent.replies = call.waits, call.replies
        entries = None
        if kind == APPLY:
            config: Object = {}
            _put(config, call.served.scale.replicas, replicas)
            obj, entries = owners.lay(parent, obj, config, owners.take(obj) or [])
        else:
            _put(obj, call.served.scale.replicas, replicas)
        return change.revise(parent, txn, call.key, old, obj, dry_run=dry_run, entries=entries, admitted=True)

    return await _shown(call, await admit.write(call, resize))


async def _shown(call: Call, record: Record) -> Response:
    (found,) = await call.ready([record])
    return respond(call, msgspec.json.encode(scale_of(call, call.present(found))))


def _admit_scale(call: Call, txn: Txn, obj: Object, replicas: int, dry_run: bool) -> int:
    """Admission sees Scales, and may change the number."""
    if call.core.chain.stage("UPDATE", call.served, call.subresource) is None:
        return replicas
    new = scale_of(call, obj)
    new["spec"]["replicas"] = replicas
    admit.admit(call, txn, "UPDATE", new, scale_of(call, obj), dry_run=dry_run)
    return _wanted(call, new)[0]


def scale_of(call: Call, obj: Object) -> Object:
    """An object as its Scale. Raises BadRequest for a custom one without the field that counts its replicas."""
    meta, paths = obj["metadata"], call.served.scale
    replicas, selector = get(obj, paths.replicas), get(obj, paths.selector) if paths.selector else None
    if not isinstance(replicas, int):
        raise BadRequest(f'the spec replicas field ".{paths.replicas}" does not exist')
    if not call.served.custom:
        read = selectors.from_object if call.served.resource.group else selectors.from_labels
        selector = selectors.to_query(read(selector or {}))
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status = {"replicas": get(obj, paths.status) or 0}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": replicas},
        "status": status | ({"selector": selector} if isinstance(selector, str) else {}),
    }


def _check_applied(call: Call, config: Object) -> None:
    if faults := [f".{path}: field not declared in schema" for path in unstored.unknown_to_scale(config)]:
        raise owners.malformed(call, faults, SCALE)


def _put(obj: Object, path: str, value: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        obj = obj.setdefault(step, {})
    obj[last] = value


def _wanted(call: Call, scale: Any) -> tuple[int, str]:
    spec = scale.get("spec") if isinstance(scale, dict) else None
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool) or not 0 <= replicas < 1 << 31:
        cause = {"reason": "FieldValueInvalid", "field": "spec.replicas", "message": f"Invalid value: {replicas!r}"}
        raise call.invalid([{"reason": cause["reason"], "field": cause["field"], "message": cause["message"]}])
    meta = scale.get("metadata")
    return replicas, str(meta.get("resourceVersion") or "") if isinstance(meta, dict) else ""


def _old(call: Call, txn: Txn) -> Record:
    old = txn.get(call.key)
    if old is None:
        raise call.not_found()
    return old
