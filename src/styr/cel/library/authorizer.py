"""`authorizer`: what a user may do, asked within an expression. The answer comes from whoever hands over an `Authorizer`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from styr.cel.errors import EvaluationError
from styr.cel.functions import Functions, Overload, member
from styr.cel.types import BOOL, STRING, Type, struct
from styr.cel.values import KINDS
from styr.kinds.transport import User

AUTHORIZER = struct("kubernetes.authorization.Authorizer", {})
PATH_CHECK = struct("kubernetes.authorization.PathCheck", {})
GROUP_CHECK = struct("kubernetes.authorization.GroupCheck", {})
RESOURCE_CHECK = struct("kubernetes.authorization.ResourceCheck", {})
DECISION = struct("kubernetes.authorization.Decision", {})
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `path` for a path, the rest for a resource."""

    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""
    error: str = ""


Ask = Callable[[User, Check], Decision]


@dataclass(frozen=True, slots=True)
class Authorizer:
    user: User
    ask: Ask


@dataclass(frozen=True, slots=True)
class PathCheck:
    source: Authorizer
    path: str


@dataclass(frozen=True, slots=True)
class GroupCheck:
    source: Authorizer
    group: str


@dataclass(frozen=True, slots=True)
class ResourceCheck:
    source: Authorizer
    check: Check


for _class, _type in (
    (Authorizer, AUTHORIZER),
    (PathCheck, PATH_CHECK),
    (GroupCheck, GROUP_CHECK),
    (ResourceCheck, RESOURCE_CHECK),
    (Decision, DECISION),
):
    KINDS[_class] = _type.name


def _path(source: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise EvaluationError("path must not be empty")
    return PathCheck(source, path)


def _resource(group: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise EvaluationError("resource must not be empty")
    return ResourceCheck(group.source, Check(group=group.group, resource=resource))


def _service_account(source: Authorizer, namespace: str, name: str) -> Authorizer:
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise EvaluationError("Invalid service account name")
    if len(namespace) > 63 or "." in namespace or not _NAME.fullmatch(namespace):
        raise EvaluationError("Invalid service account namespace")
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return Authorizer(User(f"system:serviceaccount:{namespace}:{name}", groups), source.ask)


def _with(field: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    return lambda value, text: ResourceCheck(value.source, replace(value.check, **{field: text}))


def _check(value: Any, verb: str) -> Decision:
    check = Check(path=value.path) if isinstance(value, PathCheck) else value.check
    return value.source.ask(value.source.user, replace(check, verb=verb))  # type: ignore[no-any-return]


def _one(id: str, params: tuple[Type, ...], result: Type, run: Callable[..., Any]) -> tuple[Overload, ...]:
    return (member(id, params, result, run),)


_NARROWED = (RESOURCE_CHECK, STRING)
FUNCTIONS: Functions = {
    "path": _one("authorizer_path", (AUTHORIZER, STRING), PATH_CHECK, _path),
    "group": _one("authorizer_group", (AUTHORIZER, STRING), GROUP_CHECK, GroupCheck),
    "serviceAccount": _one("authorizer_serviceaccount", (AUTHORIZER, STRING, STRING), AUTHORIZER, _service_account),
    "resource": _one("groupcheck_resource", (GROUP_CHECK, STRING), RESOURCE_CHECK, _resource),
    "subresource": _one("resourcecheck_subresource", _NARROWED, RESOURCE_CHECK, _with("subresource")),
    "namespace": _one("resourcecheck_namespace", _NARROWED, RESOURCE_CHECK, _with("namespace")),
    "name": _one("resourcecheck_name", _NARROWED, RESOURCE_CHECK, _with("name")),
    "fieldSelector": _one("authorizer_fieldselector", _NARROWED, RESOURCE_CHECK, _with("field_selector")),
    "labelSelector": _one("authorizer_labelselector", _NARROWED, RESOURCE_CHECK, _with("label_selector")),
    "check": (
        member("pathcheck_check", (PATH_CHECK, STRING), DECISION, _check),
        member("resourcecheck_check", _NARROWED, DECISION, _check),
    ),
    "errored": _one("decision_errored", (DECISION,), BOOL, lambda decision: decision.error != ""),
    "error": _one("decision_error", (DECISION,), STRING, lambda decision: decision.error),
    "allowed": _one("decision_allowed", (DECISION,), BOOL, lambda decision: decision.allowed),
    "reason": _one("decision_reason", (DECISION,), STRING, lambda decision: decision.reason),
}
