"""SelfSubjectAccessReview, SelfSubjectRulesReview, SelfSubjectReview: what may I do, who am I. Stored nowhere.

Called by the server for a POST to one of `discovery.VIRTUAL`, after authorization. Asks `authz`; never writes.
"""

from __future__ import annotations

import json
from typing import Any

from styr.api import media
from styr.api.authz import Attributes, Rbac, Rule
from styr.kinds.errors import BadRequest
from styr.kinds.resources import Object
from styr.kinds.transport import Request, Response, User


def review(rbac: Rbac, request: Request, kind: str) -> Response:
    """Answers one review (201, the object with its status). Raises `ApiError` for a body that asks nothing."""
    user = request.user
    if user is None or not isinstance(request.body, bytes):
        raise BadRequest("a review needs a user and a body")
    obj = _decode(request, kind)
    spec = obj.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    if kind == "SelfSubjectAccessReview":
        status = _access(rbac, user, spec)
    elif kind == "SelfSubjectRulesReview":
        status = _rules(rbac, user, str(spec.get("namespace", "")))
    else:
        status = {"userInfo": {"username": user.name, "uid": user.uid, "groups": list(user.groups)}}
    answer = {**obj, "metadata": {"creationTimestamp": None}, "spec": spec, "status": status}
    return Response(201, json.dumps(answer).encode(), {"content-type": "application/json"})


def _decode(request: Request, kind: str) -> Object:
    assert isinstance(request.body, bytes)
    obj = media.decode_object(request.body, request.headers.get("content-type", ""))
    group = "authentication.k8s.io" if kind == "SelfSubjectReview" else "authorization.k8s.io"
    wanted = {"apiVersion": f"{group}/v1", "kind": kind}
    for field, value in wanted.items():
        if obj.get(field, value) != value:
            raise BadRequest(f"{field} must be {value}, not {obj[field]!r}")
    return {**obj, **wanted}


def _access(rbac: Rbac, user: User, spec: Object) -> Object:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if isinstance(resource, dict) == isinstance(path, dict):
        raise BadRequest("exactly one of spec.resourceAttributes and spec.nonResourceAttributes must be given")
    given = resource if isinstance(resource, dict) else path or {}
    names = ("verb", "group", "resource", "subresource", "namespace", "name", "path")
    fields = {name: str(given[name]) for name in names if given.get(name)}
    asked = Attributes(**{"verb": "", **fields})
    allowed = rbac.allows(user, asked)
    return {"allowed": allowed} if allowed else {"allowed": False, "reason": "no rule of RBAC allows it"}


def _rules(rbac: Rbac, user: User, namespace: str) -> Object:
    rules = rbac.rules(user, namespace)
    held = [Rule(frozenset("*"), frozenset("*"), frozenset("*"), paths=("*",))] if rbac.is_master(user) else list(rules)
    return {
        "incomplete": False,
        "resourceRules": [_resource_rule(rule) for rule in dict.fromkeys(held) if rule.resources],
        "nonResourceRules": [
            {"nonResourceURLs": list(rule.paths), "verbs": sorted(rule.verbs)}
            for rule in dict.fromkeys(held)
            if rule.paths
        ],
    }


def _resource_rule(rule: Rule) -> dict[str, Any]:
    found = {
        "apiGroups": sorted(rule.groups),
        "resources": sorted(rule.resources),
        "verbs": sorted(rule.verbs),
        "resourceNames": sorted(rule.names),
    }
    return {key: words for key, words in found.items() if words}
