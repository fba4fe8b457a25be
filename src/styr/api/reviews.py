"""Reviews: questions that are asked by a POST and stored nowhere. What may I do (SelfSubjectAccessReview, -RulesReview), what
may somebody (SubjectAccessReview, LocalSubjectAccessReview), who am I (SelfSubjectReview), whose is this token (TokenReview).

Called by the server for a POST to one of `discovery.VIRTUAL`, after authorization. Asks `authz` and `authn`; never writes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from styr.api import media
from styr.api.authn.jws import BadToken
from styr.api.authn.tokens import Tokens
from styr.api.authz import Attributes, Rbac, Rule
from styr.api.schema import Schema, compile_schema
from styr.api.strategies.base import invalid, required
from styr.api.strategies.shapes import TEXT, Shape, default, many, root, struct, table
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
    obj = _decode(request, kind)
    spec = obj["spec"]
    metadata: Object = {"creationTimestamp": None}
    if kind == "SelfSubjectRulesReview":
        if not spec["namespace"]:
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
    answer = {"kind": kind, "apiVersion": obj["apiVersion"], "metadata": metadata}
    if kind != "SelfSubjectReview":
        answer["spec"] = {key: value for key, value in spec.items() if value not in ("", [], None)}
    return Response(201, msgspec.json.encode({**answer, "status": status}), {"content-type": "application/json"})


def user_info(user: User) -> Object:
    """A user as authentication.k8s.io/v1 UserInfo has it."""
    info: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    info |= {"extra": {key: list(values) for key, values in user.extra}} if user.extra else {}
    return {key: value for key, value in info.items() if value}


@cache
def _schema(kind: str) -> Schema:
    word, words = default(TEXT, ""), default(many(TEXT), [])
    requirement = struct(("key", "operator"), key=TEXT, operator=TEXT, values=words)
    selector = struct(rawSelector=word, requirements=default(many(requirement), []))
    names = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
    attributes = struct(fieldSelector=selector, labelSelector=selector, **dict.fromkeys(names, word))
    access: dict[str, Shape] = {
        "resourceAttributes": attributes,
        "nonResourceAttributes": struct(path=word, verb=word),
    }
    whose: dict[str, Shape] = {"user": word, "uid": word, "groups": words, "extra": default(table(many(TEXT)), {})}
    specs: dict[str, dict[str, Shape]] = {
        "SelfSubjectAccessReview": access,
        "SubjectAccessReview": access | whose,
        "LocalSubjectAccessReview": access | whose,
        "SelfSubjectRulesReview": {"namespace": word},
        "TokenReview": {"token": word, "audiences": words},
        "SelfSubjectReview": {},
    }
    return compile_schema(root(spec=default(struct(**specs[kind]), {})))


def _decode(request: Request, kind: str) -> Object:
    assert isinstance(request.body, bytes)
    obj = media.decode_object(request.body, request.headers.get("content-type", ""))
    for field, value in (("apiVersion", _GROUPS.get(kind, _AUTHORIZATION)), ("kind", kind)):
        if obj.setdefault(field, value) != value:
            raise BadRequest(f"{field} must be {value}, not {obj[field]!r}")
    schema = _schema(kind)
    schema.prune(obj)
    if faults := schema.validate(schema.default(obj)):
        raise BadRequest("; ".join(f"{fault['field']}: {fault['message']}" for fault in faults))
    return obj


async def _token(tokens: Tokens | None, spec: Object) -> Object:
    if not spec["token"]:
        raise BadRequest("token is required for TokenReview in authentication")
    try:
        if tokens is None:
            raise BadToken("invalid bearer token")
        found = await tokens.review(spec["token"], spec["audiences"])
    except BadToken as error:
        return {"user": {}, "error": f"[invalid bearer token, {error}]"}
    return {"authenticated": True, "user": user_info(found.user), "audiences": list(found.audiences)}


def _subject(kind: str, spec: Object, user: User) -> User:
    if kind == "SelfSubjectAccessReview":
        return user
    extra = tuple((key, tuple(values)) for key, values in spec["extra"].items())
    return User(spec["user"], tuple(spec["groups"]), spec["uid"], extra)


def _access(rbac: Rbac, subject: User, kind: str, obj: Object, namespace: str) -> Object:
    spec = obj["spec"]
    if faults := list(_access_faults(kind, obj, namespace)):
        raise _invalid(kind, faults)
    resource = spec.get("resourceAttributes")
    if resource is None:
        asked = Attributes(spec["nonResourceAttributes"]["verb"], path=spec["nonResourceAttributes"]["path"])
        ignored: list[str] = []
    else:
        names = ("verb", "group", "resource", "subresource", "namespace", "name")
        asked = Attributes(*(resource[name] for name in names))
        ignored = [
            text for field in ("fieldSelector", "labelSelector") if (text := _unread(field, resource.get(field)))
        ]
    allowed, reason = rbac.explain(subject, asked)
    status = {"allowed": allowed, "reason": reason, "evaluationError": "; ".join(ignored)}
    return {key: value for key, value in status.items() if value or key == "allowed"}


def _access_faults(kind: str, obj: Object, namespace: str) -> list[Cause]:
    spec = obj["spec"]
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    faults: list[Cause] = []
    if resource is not None and path is not None:
        faults.append(
            _wrong("spec.nonResourceAttributes", path, "cannot be specified in combination with resourceAttributes")
        )
    if resource is None and path is None:
        message = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        faults.append(invalid("spec.resourceAttributes", f"Invalid value: null: {message}"))
    if kind != "SelfSubjectAccessReview" and not spec["user"] and not spec["groups"]:
        faults.append(_wrong("spec.user", "", "at least one of user or group must be specified"))
    for field in ("fieldSelector", "labelSelector"):
        faults += _selector_faults(f"spec.resourceAttributes.{field}", (resource or {}).get(field))
    own = {key for key, value in obj["metadata"].items() if value and key != "managedFields"}
    if kind == "LocalSubjectAccessReview":
        own.discard("namespace")
        if path is not None:
            faults.append(_wrong("spec.nonResourceAttributes", path, "disallowed on this kind of request"))
        given = obj["metadata"].get("namespace") or namespace
        if given != namespace:
            raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
        if resource is not None and resource["namespace"] != namespace:
            message = "must match metadata.namespace"
            faults.append(_wrong("spec.resourceAttributes.namespace", resource["namespace"], message))
    if own:
        faults.append(_wrong("metadata", obj["metadata"], "must be empty"))
    return faults


def _selector_faults(path: str, selector: Any) -> list[Cause]:
    if selector is None:
        return []
    if selector["rawSelector"] and selector["requirements"]:
        message = "may not specified at the same time as requirements"
        return [_wrong(f"{path}.rawSelector", selector["rawSelector"], message)]
    if not selector["rawSelector"] and not selector["requirements"]:
        return [required(f"{path}.requirements", f"when {path} is specified, requirements or rawSelector is required")]
    faults: list[Cause] = []
    for index, entry in enumerate(selector["requirements"]):
        where, count = f"{path}.requirements[{index}]", len(entry["values"])
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
    good = [entry for entry in selector["requirements"] if _readable(field, entry)]
    bad = len(good) < len(selector["requirements"])
    if selector["rawSelector"] and field == "labelSelector":
        try:
            selectors.parse(selector["rawSelector"])
        except selectors.SelectorError:
            bad = True
    elif selector["rawSelector"]:
        bad = any("=" not in term for term in selector["rawSelector"].split(",") if term)
    if not bad:
        return ""
    return f"spec.resourceAttributes.{field} {'partially ' if good else ''}ignored due to parse error"


def _readable(field: str, entry: Object) -> bool:
    if field == "fieldSelector":
        return entry["operator"] in ("In", "NotIn") and len(entry["values"]) == 1
    return entry["operator"] in _OPERATORS


def _wrong(field: str, value: Any, message: str) -> Cause:
    return invalid(field, f"Invalid value: {msgspec.json.encode(value).decode()}: {message}")


def _invalid(kind: str, causes: list[Cause]) -> Invalid:
    parts = [f"{cause['field']}: {cause['message']}" for cause in causes]
    text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    return Invalid(
        f'{kind}.authorization.k8s.io "" is invalid: {text}',
        details={"group": "authorization.k8s.io", "kind": kind, "causes": causes},
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
