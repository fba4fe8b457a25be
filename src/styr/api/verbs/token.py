"""POST of serviceaccounts/NAME/token: a TokenRequest is answered with a token, and stored nowhere. Called by the server."""

from __future__ import annotations

from typing import Any

import msgspec

from styr.api import unstored
from styr.api.call import Call, respond
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey
from styr.api.strategies.base import invalid
from styr.api.verbs import admit
from styr.kinds.errors import BadRequest, Cause, Conflict, Invalid, NotFound, Unavailable
from styr.kinds.resources import NODE, POD, SECRET, Object, Resource
from styr.kinds.transport import Response
from styr.kit.clock import rfc3339

API_VERSION = "authentication.k8s.io/v1"
KIND = "TokenRequest"
_GROUP = "authentication.k8s.io"
LEAST, USUAL, MOST = 600, 3600, 1 << 32
INJECTED = 3607
"""Seconds that kubelets ask for when they mount a token of their own accord: it then lasts a year, and the audit is told of its
use after that time."""
EXTENDED = 365 * 86400
_BINDS: dict[str, Resource] = {resource.kind: resource for resource in (POD, SECRET, NODE)}


async def create_token(call: Call) -> Response:
    """Raises NotFound, BadRequest, Invalid, Conflict."""
    accounts = call.core.accounts
    if accounts is None:
        raise Unavailable("this server makes no tokens")
    request = unstored.read(call.request, call.body, (API_VERSION,), KIND, call.warnings)
    record = call.core.store.get(call.key)
    if record is None:
        raise call.not_found()
    account = record.decode()
    _check_identity(call, request, account)
    spec = request.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    seconds = spec["expirationSeconds"] = USUAL if seconds is None else seconds
    _check_seconds(seconds)
    request["spec"] = spec
    spec.setdefault("audiences", list(accounts.audiences))
    request["metadata"] |= {"name": call.name, "namespace": call.namespace}
    spec = (await admit.write(call, lambda txn: _asked(call, txn, call.fresh(request))))["spec"]
    bound = _bound(call, spec.get("boundObjectRef"))
    audiences = spec["audiences"] = spec.get("audiences") or list(accounts.audiences)
    warn_after = 0
    if "pod" in bound and seconds == INJECTED and set(audiences) <= set(accounts.audiences):
        seconds, warn_after = EXTENDED, seconds
    now = call.core.clock.time()
    token, credential = accounts.issue(account, audiences, seconds, bound, warn_after)
    call.annotations["authentication.kubernetes.io/issued-credential-id"] = credential
    meta = account["metadata"]
    answer = {
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {
            **request["metadata"],
            **{key: meta[key] for key in ("name", "namespace", "uid")},
            "creationTimestamp": rfc3339(now),
        },
        "spec": {**spec, "boundObjectRef": spec.get("boundObjectRef")},
        "status": {"token": token, "expirationTimestamp": rfc3339(now + spec["expirationSeconds"])},
    }
    return respond(call, msgspec.json.encode(answer), 201)


def _asked(call: Call, txn: Txn, request: Object) -> Object:
    """The request as admission leaves it."""
    admit.admit(call, txn, "CREATE", request, None, dry_run=call.dry_run)
    return request


def _check_identity(call: Call, request: Object, account: Object) -> None:
    for field, wanted in (("name", call.name), ("namespace", call.namespace)):
        given = request["metadata"].get(field)
        if given and given != wanted:
            message = f'Invalid value: "{given}": must match the service account {field} if specified'
            raise _invalid(invalid(f"metadata.{field}", message), call.name)
    given, uid = request["metadata"].get("uid"), account["metadata"]["uid"]
    if given and given != uid:
        raise Conflict(
            f'Operation cannot be fulfilled on {KIND}.authentication.k8s.io "{call.name}": the UID in the token request '
            f"({given}) does not match the UID of the service account ({uid})",
            details={"name": call.name, "group": _GROUP, "kind": KIND},
        )


def _check_seconds(seconds: int) -> None:
    if seconds < LEAST:
        message = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
    elif seconds > MOST:
        message = f"Invalid value: {seconds}: may not specify a duration larger than 2^32 seconds"
    else:
        return
    raise _invalid(invalid("spec.expirationSeconds", message))


def _bound(call: Call, reference: Any) -> dict[str, Object]:
    """The object that the token is bound to; with a pod, its node too."""
    if not reference:
        return {}
    kind, version, name, uid = (str(reference.get(key) or "") for key in ("kind", "apiVersion", "name", "uid"))
    resource = _BINDS.get(kind)
    if resource is None or version != resource.api_version:
        shown = version if "/" in version else f"/{version}"
        raise BadRequest(f"cannot bind token to object of type {shown}, Kind={kind}")
    found = _get(call, resource, name)
    if found is None:
        raise NotFound(f'{resource.plural} "{name}" not found', details={"name": name, "kind": resource.plural})
    if uid not in ("", found["metadata"]["uid"]):
        raise Conflict(
            f'Operation cannot be fulfilled on {resource.kind} "{name}": the UID in the bound object reference '
            f"({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        )
    bound = {resource.kind.lower(): found}
    if resource is POD:
        spec = found["spec"]
        if (spec.get("serviceAccountName") or "default") != call.name:
            raise BadRequest(
                f'cannot bind token for serviceaccount "{call.name}" to pod running with different serviceaccount name.'
            )
        if node := spec.get("nodeName"):
            bound["node"] = _get(call, NODE, node) or {"metadata": {"name": node}}
    return bound


def _get(call: Call, resource: Resource, name: str) -> Object | None:
    record = call.core.store.get(
        ObjectKey(resource.group_resource, call.namespace if resource.namespaced else "", name)
    )
    return None if record is None else record.decode()


def _invalid(cause: Cause, name: str = "") -> Invalid:
    details = {"name": name, "group": _GROUP, "kind": KIND, "causes": [cause]}
    return Invalid(
        f'{KIND}.{_GROUP} "{name}" is invalid: {cause["field"]}: {cause["message"]}',
        details={key: value for key, value in details.items() if value},
    )
