"""The expressions of admission: what they may speak of, and how they are compiled.

Called by admission (policies, match conditions of webhooks) and by the strategies of policies and webhooks; calls `cel`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from styr.cel.environment import PER_CALL, Environment, Program, kubernetes
from styr.cel.errors import CelError, CostExceeded, EvaluationError, PlanError
from styr.cel.library.authorizer import AUTHORIZER, RESOURCE_CHECK
from styr.cel.types import BOOL, DYN, INT, STRING, TIMESTAMP, Type, list_of, map_of, struct
from styr.cel.values import Fields

VARIABLES = "kubernetes.variables"


class OutOfBudget(Exception):
    """All that one request may cost is spent."""


class ExpressionError(Exception):
    """An expression without a value for this request. `str()` is Kubernetes' text."""


def _texts(*names: str) -> dict[str, Type]:
    return dict.fromkeys(names, STRING)


_KIND = struct("kubernetes.GroupVersionKind", _texts("group", "version", "kind"))
_RESOURCE = struct("kubernetes.GroupVersionResource", _texts("group", "version", "resource"))
_USER = struct(
    "kubernetes.UserInfo",
    _texts("username", "uid") | {"groups": list_of(STRING), "extra": map_of(STRING, list_of(STRING))},
)
REQUEST = struct(
    "kubernetes.AdmissionRequest",
    {
        "kind": _KIND,
        "resource": _RESOURCE,
        "requestKind": _KIND,
        "requestResource": _RESOURCE,
        "userInfo": _USER,
        "dryRun": BOOL,
        "options": DYN,
        **_texts("subResource", "requestSubResource", "name", "namespace", "operation"),
    },
)
_NAMESPACE_META = struct(
    "kubernetes.NamespaceMetadata",
    {
        **_texts("name", "generateName", "namespace", "UID", "resourceVersion"),
        "labels": map_of(STRING, STRING),
        "annotations": map_of(STRING, STRING),
        "creationTimestamp": TIMESTAMP,
        "deletionTimestamp": TIMESTAMP,
        "deletionGracePeriodSeconds": INT,
        "generation": INT,
        "finalizers": list_of(STRING),
    },
)
_CONDITION = struct(
    "kubernetes.NamespaceCondition", _texts("status", "type", "message", "reason") | {"lastTransitionTime": TIMESTAMP}
)
NAMESPACE_OBJECT = struct(
    "kubernetes.Namespace",
    {
        "metadata": _NAMESPACE_META,
        "spec": struct("kubernetes.NamespaceSpec", {"finalizers": list_of(STRING)}),
        "status": struct("kubernetes.NamespaceStatus", _texts("phase") | {"conditions": list_of(_CONDITION)}),
    },
)


class _AnyField(dict[str, Type]):
    """The fields of `Object` and what is in it: any name, of any type."""

    def get(self, key: str, default: Any = None) -> Type:
        return DYN


OBJECT = struct("Object", _AnyField())
PATCH = struct("JSONPatch", _texts("op", "path", "from") | {"value": DYN})


class Made(Fields):
    """What `Object{...}` and `JSONPatch{...}` make."""

    __slots__ = ("type_name", "values")

    def __init__(self, type_name: str, values: dict[str, Any]) -> None:
        self.type_name, self.values = type_name, values

    def field(self, name: str) -> Any:
        return self.values[name]

    def has(self, name: str) -> bool:
        return name in self.values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Made) and other.type_name == self.type_name and other.values == self.values

    __hash__ = None  # type: ignore[assignment]


def _structs(name: str) -> Type | None:
    if name == "JSONPatch":
        return PATCH
    return struct(name, _AnyField()) if name == "Object" or name.startswith("Object.") else None


class Inputs(Protocol):
    """What an expression is evaluated for."""

    def value(self, name: str, /) -> Any: ...

    def pay(self, cost: int, /) -> None:
        """Raises OutOfBudget."""
        ...


class Expression:
    """`fault` says why there is no program."""

    __slots__ = ("_order", "fault", "program", "text")

    def __init__(self, text: str, program: Program | None, fault: str, names: Mapping[str, Type]) -> None:
        self.text, self.program, self.fault = text, program, fault
        used = program.names if program else frozenset()
        self._order = tuple(name if name in used else None for name in names)

    def value(self, inputs: Inputs) -> Any:
        """Raises ExpressionError and OutOfBudget."""
        if self.program is None:
            raise ExpressionError(f"compilation error: {self.fault}")
        try:
            args = [None if name is None else inputs.value(name) for name in self._order]
            found, cost = self.program.run(PER_CALL, *args)
        except CostExceeded as error:
            inputs.pay(PER_CALL)
            raise ExpressionError(f"expression '{self.text}' resulted in error: {error}") from None
        except EvaluationError as error:
            inputs.pay(error.cost)
            raise ExpressionError(f"expression '{self.text}' resulted in error: {error}") from None
        inputs.pay(cost)
        return found


class Compiler:
    """Of one policy. Variables see those before them."""

    def __init__(self, *, params: bool, like: Mapping[str, Type] | None = None) -> None:
        """`like` are types for `object`, `oldObject` and `params` instead of dyn."""
        self._params = params
        self._like = dict(like or {})
        self._fields: dict[str, Type] = {}
        self._environments: dict[tuple[bool, bool, bool], Environment] = {}

    def compile(
        self, text: str, *wanted: Type, authorizer: bool = True, variables: bool = True, patches: bool = False
    ) -> Expression:
        """`wanted` are the types that it may have; any when there are none."""
        environment = self._environment(authorizer, variables, patches)
        try:
            program = environment.compile(text)
        except PlanError as error:
            return Expression(text, None, f"program instantiation failed: {error}", {})
        except CelError as error:
            return Expression(text, None, f"compilation failed: {error}", {})
        if wanted and program.type not in wanted:
            shown = " ".join(_show(kind) for kind in wanted)
            shown = f"must evaluate to {shown}" if len(wanted) == 1 else f"must evaluate to one of [{shown}]"
            return Expression(text, None, f"{shown} but got {_show(program.type)}", {})
        return Expression(text, program, "", environment.variables)

    def variable(self, name: str, text: str) -> Expression:
        found = self.compile(text)
        self._fields[name] = DYN if found.program is None else _plain(found.program.type)
        return found

    def _environment(self, authorizer: bool, variables: bool, patches: bool) -> Environment:
        key = (authorizer, variables, patches)
        if key not in self._environments:
            names = _names(self._params, authorizer) | self._like
            if variables:
                names["variables"] = struct(VARIABLES, self._fields)
            self._environments[key] = Environment(
                names,
                functions=kubernetes(patches=patches),
                structs=_structs if patches else None,
                make=Made,
            )
        return self._environments[key]


@cache
def _all_names(params: bool, authorizer: bool) -> Mapping[str, Type]:
    found = {"object": DYN, "oldObject": DYN, "namespaceObject": NAMESPACE_OBJECT, "request": REQUEST}
    if params:
        found["params"] = DYN
    if authorizer:
        found |= {"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK}
    return found


def _names(params: bool, authorizer: bool) -> dict[str, Type]:
    return dict(_all_names(params, authorizer))


def _show(kind: Type) -> str:
    return "null_type" if kind.kind == "null_type" else str(kind)


_SIMPLE = frozenset({"bool", "bytes", "double", "duration", "int", "null_type", "string", "timestamp", "uint"})


def _plain(kind: Type) -> Type:
    """The type that others see of a variable: what is no simple one, list or map is dyn."""
    if kind.kind in _SIMPLE:
        return kind
    if kind.kind in ("list", "map"):
        return Type(kind.kind, kind.name, tuple(map(_plain, kind.params)))
    return DYN
