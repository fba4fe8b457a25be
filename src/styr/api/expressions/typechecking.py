"""What the expressions of a ValidatingAdmissionPolicy get wrong about the kinds that it names: its `status.typeChecking`.

Called by the strategy of policies within the write path. Types come from the table of built-in kinds and from the definitions
of custom ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from styr.api.builtin import tables
from styr.api.builtin import types as builtin
from styr.api.expressions.compiler import Compiler
from styr.api.rules.declare import declare
from styr.api.store.commit import Txn
from styr.cel import types
from styr.cel.types import DYN, Type
from styr.kinds.resources import CRD, Object

MAX_KINDS = 10
_SCALARS: dict[str, Type] = {
    "string": types.STRING,
    "bool": types.BOOL,
    "int32": types.INT,
    "int64": types.INT,
    "double": types.DOUBLE,
    "quantity": types.STRING,
    "bytes": types.BYTES,
    "strings": types.list_of(types.STRING),
    "time": types.TIMESTAMP,
    "microtime": types.TIMESTAMP,
}


def warnings(spec: Object, txn: Txn) -> list[Object]:
    """ExpressionWarnings, in the order of the validations."""
    kinds = dict(_kinds(spec, txn))
    if not kinds:
        return []
    compilers = {kind: _compiler(spec, made, txn) for kind, made in sorted(kinds.items())[:MAX_KINDS]}
    found: list[Object] = []
    for index, validation in enumerate(spec.get("validations") or ()):
        for field in ("expression", "messageExpression"):
            if not validation.get(field):
                continue
            told = "\n".join(_check(compilers, validation[field]))
            if told:
                found.append({"fieldRef": f"spec.validations[{index}].{field}", "warning": told})
    return found


def _check(compilers: Mapping[str, Compiler], text: str) -> Iterator[str]:
    for kind, compiler in compilers.items():
        fault = compiler.compile(text).fault
        if fault:
            yield f"{kind}: {fault.removeprefix('compilation failed: ')}\n"


def _compiler(spec: Object, made: Type, txn: Txn) -> Compiler:
    like = {"object": made, "oldObject": made}
    if kind := spec.get("paramKind"):
        group, _, version = kind["apiVersion"].rpartition("/")
        found = next((t for name, t in _named(group, version, txn) if name == kind["kind"]), None)
        like["params"] = found or DYN
    compiler = Compiler(params="paramKind" in spec, like=like)
    for variable in spec.get("variables") or ():
        compiler.variable(variable["name"], variable["expression"])
    return compiler


def _kinds(spec: Object, txn: Txn) -> Iterator[tuple[str, Type]]:
    """`GROUP/VERSION, Kind=KIND`, as Go prints it, and its type."""
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions = rule.get("apiGroups") or [], rule.get("apiVersions") or []
        if any("*" in word for word in (*groups, *versions)):
            continue
        plurals = {word for word in rule.get("resources") or () if "*" not in word and "/" not in word}
        for group in groups:
            for version in versions:
                for kind, made in _named(group, version, txn, plurals):
                    yield f"{group}/{version}, Kind={kind}", made


def _named(group: str, version: str, txn: Txn, plurals: Iterable[str] | None = None) -> Iterator[tuple[str, Type]]:
    """Kinds of one version of a group, with their types."""
    for entry in tables.kinds():
        resource = entry.resource
        if (resource.group, resource.version) == (group, version) and (plurals is None or resource.plural in plurals):
            try:
                yield resource.kind, _struct(builtin.find(resource.api_version, resource.kind), resource.kind, 0)
            except KeyError:
                continue
    for _, record in txn.list(CRD.group_resource):
        spec = record.decode()["spec"]
        if spec["group"] != group or (plurals is not None and spec["names"]["plural"] not in plurals):
            continue
        for served in spec["versions"]:
            made = declare(served["schema"]["openAPIV3Schema"], spec["names"]["kind"], root=True)
            if served["name"] == version and made is not None:
                yield spec["names"]["kind"], made.type


class _Fields(dict[str, Type]):
    """The fields of a Go struct, each worked out when it is asked for: some structs contain themselves."""

    def __init__(self, made: builtin.Type, name: str, depth: int) -> None:
        super().__init__()
        self._made, self._name, self._depth = made, name, depth

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self:
            known = self._made.fields.get(key)
            if known is None:
                return default
            self[key] = _field(known, f"{self._name}.{key}", self._depth + 1)
        return self[key]


def _struct(made: builtin.Type, name: str, depth: int) -> Type:
    found = types.struct(name, _Fields(builtin.ready(made), name, depth))
    if depth == 0 and "kind" not in made.fields:
        fields = found.fields
        assert isinstance(fields, _Fields)
        fields |= {"apiVersion": types.STRING, "kind": types.STRING}
    return found


def _field(known: builtin.Field, name: str, depth: int) -> Type:
    one = _SCALARS.get(known.kind, DYN) if known.type is None else _struct(known.type, name, depth)
    if known.many == "[]":
        return types.list_of(one)
    return types.map_of(types.STRING, one) if known.many == "{}" else one
