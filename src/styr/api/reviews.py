"""Reviews: questions that are asked by a POST and stored nowhere. What may I do (SelfSubjectAccessReview, -RulesReview), what
may somebody (SubjectAccessReview, LocalSubjectAccessReview), who am I (SelfSubjectReview), whose is this token (TokenReview).

Called by the server for a POST to one of `discovery.VIRTUAL`, after authorization. Asks `authz` and `authn`; never writes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from styr.api import unstored
from styr.api.authn.jws import BadToken
from styr.api.authn.tokens import Tokens
from styr.api.authz import Attributes, Rbac, Rule
from styr.api.call import warn
from styr.api.strategies.base import invalid, required
from styr.kinds import selectors
from styr.kinds.errors import BadRequest, Cause, Invalid
from styr.kinds.resources import Object
from styr.kinds.transport import Request, Response, User
from styr.kit.clock import rfc3339

_AUTHENTICATION, _AUTHORIZATION = "authentication.k8s.io/v1", "authorization.k8s.io/v1"
_GROUPS = {"SelfSubjectReview": _AUTHENTICATION, "TokenReview": _AUTHENTICATION}
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


async def review(
    rbac: Rbac, tokens: Tokens | None, request: Request, kind: str, namespace: str, now: float
) -> Response:
    """Answers one review (201, the object with its status). `now` is seconds since 1970. Raises `ApiError`."""
    user = request.user
    if user is None or not isinstance(request.body, bytes):
        raise BadRequest("a review needs a user and a body")
    api_version = _GROUPS.get(kind, _AUTHORIZATION)
    warnings: list[str] = []
    obj = unstored.read(request, request.body, (api_version,), kind, warnings)
    spec = obj.get("spec") or {}
    metadata: Object = {}
    if kind == "SelfSubjectRulesReview":
        if not spec.get("namespace"):
            raise BadRequest("no namespace on request")
        spec, status = {}, _rules(rbac, user, spec["namespace"])
    elif kind == "SelfSubjectReview":
        metadata["creationTimestamp"] = rfc3339(now)
        status = {"userInfo": user_info(user)}
    elif kind == "TokenReview":
        status = await _token(tokens, spec)
    else:
        if namespace:
            metadata["namespace"] = namespace
        status = _access(rbac, _subject(kind, spec, user), kind, obj, namespace)
    answer: Object = {"kind": kind, "apiVersion": api_version, "metadata": metadata}
    if kind != "SelfSubjectReview":
        answer["spec"] = spec
    response = Response(201, msgspec.json.encode({**answer, "status": status}), {"content-type": "application/json"})
    return warn(response, warnings)


def user_info(user: User) -> Object:
    """A user as authentication.k8s.io/v1 UserInfo has it."""
    info: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    info |= {"extra": {key: list(values) for key, values in user.extra}} if user.extra else {}
    return {key: value for key, value in info.items() if value}


async def _token(tokens: Tokens | None, spec: Object) -> Object:
    if not spec.get("token"):
        raise BadRequest("token is required for TokenReview in authentication")
    try:
        if tokens is None:
            raise BadToken("invalid bearer token")
        found = await tokens.review(spec["token"], spec.get("audiences") or ())
    except BadToken as error:
        return {"user": {}, "error": str(error)}
    return {"authenticated": True, "user": user_info(found.user), "audiences": list(found.audiences)}


def _subject(kind: str, spec: Object, user: User) -> User:
    if kind == "SelfSubjectAccessReview":
        return user
    extra = tuple((key, tuple(values or ())) for key, values in (spec.get("extra") or {}).items())
    return User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)


def _access(rbac: Rbac, subject: User, kind: str, obj: Object, namespace: str) -> Object:
    spec = obj.get("spec") or {}
    if faults := _access_faults(kind, obj, namespace):
        raise _invalid(faults)
    resource = spec.get("resourceAttributes")
    if resource is None:
        path = spec["nonResourceAttributes"]
        asked = Attributes(path.get("verb") or "", path=path.get("path") or "")
        ignored: list[str] = []
    else:
        names = ("verb", "group", "resource", "subresource", "namespace", "name")
        asked = Attributes(*(resource.get(name) or "" for name in names))
        ignored = [
            text for field in ("fieldSelector", "labelSelector") if (text := _unread(field, resource.get(field)))
        ]
    allowed, reason = rbac.explain(subject, asked)
    status = {"allowed": allowed, "reason": reason, "evaluationError": "; ".join(ignored)}
    return {key: value for key, value in status.items() if value or key == "allowed"}


def _access_faults(kind: str, obj: Object, namespace: str) -> list[Cause]:
    spec = obj.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    faults: list[Cause] = []
    shown = {"Path": (path or {}).get("path", ""), "Verb": (path or {}).get("verb", "")}
    if resource is not None and path is not None:
        faults.append(
            _wrong("spec.nonResourceAttributes", shown, "cannot be specified in combination with resourceAttributes")
        )
    if resource is None and path is None:
        message = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        faults.append(invalid("spec.resourceAttributes", f"Invalid value: null: {message}"))
    if kind != "SelfSubjectAccessReview" and not spec.get("user") and not spec.get("groups"):
        faults.append(_wrong("spec.user", "", "at least one of user or group must be specified"))
    for field in ("fieldSelector", "labelSelector"):
        faults += _selector_faults(f"spec.resourceAttributes.{field}", (resource or {}).get(field))
    own = {key for key, value in obj["metadata"].items() if value and key != "managedFields"}
    if kind == "LocalSubjectAccessReview":
        own.discard("namespace")
        if path is not None:
            faults.append(_wrong("spec.nonResourceAttributes", shown, "disallowed on this kind of request"))
        given = obj["metadata"].get("namespace") or namespace
        if given != namespace:
            raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
        if resource is not None and (found := resource.get("namespace") or "") != namespace:
            message = "must match metadata.namespace"
            faults.append(_wrong("spec.resourceAttributes.namespace", found, message))
    if own:
        faults.append(_wrong("metadata", obj["metadata"], "must be empty"))
    return faults


def _selector_faults(path: str, selector: Any) -> list[Cause]:
    if selector is None:
        return []
    raw, requirements = selector.get("rawSelector") or "", selector.get("requirements") or []
    faults: list[Cause] = []
    if raw and requirements:
        message = "may not specified at the same time as requirements"
        faults.append(_wrong(f"{path}.rawSelector", raw, message))
    if not raw and not requirements:
        return [required(f"{path}.requirements", f"when {path} is specified, requirements or rawSelector is required")]
    for index, entry in enumerate(requirements):
        where, count = f"{path}.requirements[{index}]", len(entry.get("values") or ())
        if entry["operator"] in ("In", "NotIn") and not count:
            faults.append(required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif entry["operator"] in ("Exists", "DoesNotExist") and count:
            message = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            faults.append(invalid(f"{where}.values", message, "FieldValueForbidden"))
    return faults


def _unread(field: str, selector: Any) -> str:
    """Selectors narrow a question; RBAC does not look at them. One that cannot be read makes it wider, which is told."""
    if selector is None:
        return ""
    raw, requirements = selector.get("rawSelector") or "", selector.get("requirements") or []
    good = [entry for entry in requirements if _readable(field, entry)]
    bad = len(good) < len(requirements)
    if raw and field == "labelSelector":
        try:
            selectors.parse(raw)
        except selectors.SelectorError:
            bad = True
    elif raw:
        bad = any("=" not in term for term in raw.split(",") if term)
    if not bad:
        return ""
    return f"spec.resourceAttributes.{field} {'partially ' if good else ''}ignored due to parse error"


def _readable(field: str, entry: Object) -> bool:
    if field == "fieldSelector":
        return entry["operator"] in ("In", "NotIn") and len(entry.get("values") or ()) == 1
    return entry["operator"] in _OPERATORS


def _wrong(field: str, value: Any, message: str) -> Cause:
    return invalid(field, f"Invalid value: {msgspec.json.encode(value).decode()}: {message}")


def _invalid(causes: list[Cause]) -> Invalid:
    """Kubernetes leaves the kind out here, and so do we."""
    parts = [f"{cause['field']}: {cause['message']}" for cause in causes]
    text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    return Invalid(
        f'.authorization.k8s.io "" is invalid: {text}', details={"group": "authorization.k8s.io", "causes": causes}
    )


def _rules(rbac: Rbac, user: User, namespace: str) -> Object:
    rules = rbac.rules(user, namespace)
    every = Rule(frozenset("*"), frozenset("*"), frozenset("*")), Rule(frozenset("*"), paths=("*",))
    held = dict.fromkeys([*every, *rules] if rbac.is_master(user) else rules)
    return {
        "incomplete": False,
        "resourceRules": [_resource_rule(rule) for rule in held if rule.resources],
        "nonResourceRules": [
            {"nonResourceURLs": sorted(rule.paths), "verbs": sorted(rule.verbs)} for rule in held if rule.paths
        ],
    }


def _resource_rule(rule: Rule) -> dict[str, Any]:
    found = {
        "verbs": sorted(rule.verbs),
        "apiGroups": sorted(rule.groups),
        "resources": sorted(rule.resources),
        "resourceNames": sorted(rule.names),
    }
    return {key: words for key, words in found.items() if words}
