"""Finds the type of every node, the overloads that each call may mean, and what does not fit. Called by `environment`; pure.

Undeclared and badly typed expressions are all reported, not only the first. Messages are cel-go's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from styr.cel import types
from styr.cel.ast import Call, Const, Ident, ListOf, Macro, MapOf, Node, Select, StructOf
from styr.cel.errors import CompileError, EvaluationError, Issue
from styr.cel.functions import Functions
from styr.cel.lexer import RESERVED
from styr.cel.library import formatting
from styr.cel.library.regex import compiled
from styr.cel.library.times import parse_duration, parse_timestamp
from styr.cel.types import BOOL, DYN, ERROR, INT, STRING, Bindings, Type, is_dyn, list_of, map_of, optional_of
from styr.cel.values import SECOND, Duration, Timestamp, TypeValue, UInt, timestamp

_CONSTANTS: dict[type, Type] = {
    bool: BOOL,
    int: INT,
    UInt: types.UINT,
    float: types.DOUBLE,
    str: STRING,
    bytes: types.BYTES,
    type(None): types.NULL,
    Duration: types.DURATION,
    Timestamp: types.TIMESTAMP,
}
_LITERALS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "duration": ("invalid duration argument", parse_duration),
    "timestamp": ("invalid timestamp argument", parse_timestamp),
    "matches": ("invalid matches argument", compiled),
}


class Names(Protocol):
    """What an expression may speak of: `Environment`."""

    variables: Mapping[str, Type]
    functions: Functions
    mixed: bool

    def type_named(self, name: str) -> Type | None: ...


class Checker:
    """One expression. After `check`, nodes carry their types, and `resolved` what names stand for: a `TypeValue` or the name
    of a variable, by `id(node)`."""

    def __init__(self, text: str, names: Names) -> None:
        self.text = text
        self.names = names
        self.issues: list[Issue] = []
        self.bindings = Bindings()
        self.resolved: dict[int, TypeValue | str] = {}
        self.local: list[dict[str, Type]] = []

    def check(self, root: Node) -> Type:
        """The type of the whole. Raises `CompileError`."""
        found = self.visit(root)
        if self.issues:
            raise CompileError(self.text, self.issues)
        self._settle(root)
        if not self.names.mixed:
            self._check_alike(root)
            if self.issues:
                raise CompileError(self.text, self.issues)
        return self.bindings.resolve(found, to_dyn=True)

    def _settle(self, root: Node) -> None:
        todo = [root]
        while todo:
            node = todo.pop()
            node.type = self.bindings.resolve(node.type, to_dyn=True)
            todo.extend(node.children())

    def _check_alike(self, root: Node) -> None:
        """Lists and maps that are written out hold values of one type, but for the arguments of format()."""
        todo = [root]
        while todo:
            node = todo.pop()
            if isinstance(node, ListOf):
                self._alike([(element, index in node.optional) for index, element in enumerate(node.elements)])
            elif isinstance(node, MapOf):
                self._alike([(entry.key, False) for entry in node.entries if entry.key is not None])
                self._alike([(entry.value, entry.optional) for entry in node.entries])
            if not (isinstance(node, Call) and node.function == "format"):
                todo.extend(node.children())

    def _alike(self, nodes: list[tuple[Node, bool]]) -> None:
        first: Type | None = None
        for node, maybe in nodes:
            kind = types.unwrap_optional(node.type)[0] if maybe else node.type
            if first is not None and kind != first:
                self.mismatch(node, first, kind)
                return
            first = kind

    def report(self, node: Node, message: str) -> Type:
        self.issues.append(Issue(node.position, message))
        return ERROR

    def mismatch(self, node: Node, wanted: Type, found: Type) -> Type:
        return self.report(node, f"expected type '{self.show(wanted)}' but found '{self.show(found)}'")

    def show(self, kind: Type) -> str:
        """As cel-go calls a type in messages."""
        shown = str(self.bindings.resolve(kind, to_dyn=True))
        return shown.replace("google.protobuf.Timestamp", "timestamp").replace("google.protobuf.Duration", "duration")

    def fits(self, have: Type, want: Type) -> bool:
        return self.bindings.fits([have], [want])

    def visit(self, node: Node) -> Type:
        node.type = _VISITS[type(node)](self, node)
        return node.type

    # --- names

    def const(self, node: Const) -> Type:
        return _CONSTANTS[type(node.value)]

    def lookup(self, node: Node, name: str) -> Type | None:
        """A variable or a type, if the name is one; remembered in `resolved`."""
        for scope in reversed(self.local):
            if name in scope:
                self.resolved[id(node)] = name
                return scope[name]
        plain = name.removeprefix(".")
        if plain in self.names.variables:
            self.resolved[id(node)] = plain
            return self.names.variables[plain]
        found = self.names.type_named(plain)
        if found is None:
            return None
        self.resolved[id(node)] = TypeValue(found.name if found.kind != "null_type" else "null_type")
        return types.type_of(found)

    def ident(self, node: Ident) -> Type:
        found = self.lookup(node, node.name)
        return found or self.report(node, f"undeclared reference to '{node.name}' (in container '')")

    def select(self, node: Select) -> Type:
        name = None if node.test or node.optional else qualified(node)
        if name and name.split(".")[0] not in {local for scope in self.local for local in scope}:
            found = self.lookup(node, name)
            if found:
                return found
        target, maybe = types.unwrap_optional(self.bindings.resolve(self.visit(node.operand)))
        result = self.field(node, target, node.field)
        if node.test:
            return BOOL
        return optional_of(result) if maybe or node.optional else result

    def field(self, node: Node, target: Type, name: str) -> Type:
        if target.kind == "map":
            return target.params[1]
        if target.kind == "struct":
            found = None if target.fields is None else target.fields.get(name)
            if found is None and target.fields is not None and name in RESERVED:
                found = target.fields.get(f"__{name}__")
            return found or self.report(node, f"undefined field '{name}'")
        if target.kind == "param":
            self.fits(DYN, target)
            return DYN
        if not is_dyn(target):
            self.report(node, f"type '{self.show(target)}' does not support field selection")
        return DYN

    # --- calls

    def call(self, node: Call) -> Type:
        if node.function in ("_&&_", "_||_"):
            for arg in node.args:
                if not self.fits(self.visit(arg), BOOL):
                    self.mismatch(arg, BOOL, arg.type)
            node.overloads = list(self.names.functions[node.function])
            return BOOL
        kinds = [self.visit(arg) for arg in node.args]
        target = node.target
        if target is not None and (prefix := qualified(target)):
            name = f"{prefix}.{node.function}".removeprefix(".")
            if name in self.names.functions:
                node.function, node.target = name, None
                return self.resolve(node, kinds)
        if target is not None:
            kinds = [self.visit(target), *kinds]
        node.function = node.function.removeprefix(".")
        if node.function not in self.names.functions:
            return self.report(node, f"undeclared reference to '{node.function}' (in container '')")
        return self.resolve(node, kinds)

    def resolve(self, node: Call, kinds: list[Type]) -> Type:
        """Every overload that fits; the result is dyn when they differ in theirs."""
        result: Type | None = None
        member = node.target is not None
        for overload in self.names.functions[node.function]:
            if overload.member is not member:
                continue
            wanted = self.bindings.instantiate([overload.result, *overload.params])
            if not self.bindings.fits(kinds, wanted[1:]):
                continue
            node.overloads.append(overload)
            found = self.bindings.resolve(wanted[0])
            if result is None:
                result = found
            elif not is_dyn(result) and result != found:
                result = DYN
        if result is None:
            shown = [self.show(kind) for kind in kinds]
            applied = f"{shown[0]}.({', '.join(shown[1:])})" if member else f"({', '.join(shown)})"
            return self.report(node, f"found no matching overload for '{node.function}' applied to '{applied}'")
        self.literal(node)
        return result

    def literal(self, node: Call) -> None:
        """An argument that is written out and wrong is found here, not at the first object."""
        if node.function == "format":
            self.template(node)
        wrong = _LITERALS.get(node.function)
        last = node.args[-1] if node.args else None
        if wrong and isinstance(last, Const) and isinstance(last.value, str):
            try:
                wrong[1](last.value)
            except EvaluationError:
                self.report(last, wrong[0])
        elif node.function == "timestamp" and isinstance(last, Const) and type(last.value) is int:
            try:
                timestamp(last.value * SECOND)
            except EvaluationError:
                self.report(last, "invalid timestamp argument")

    def template(self, node: Call) -> None:
        target, arg = node.target, node.args[0]
        if isinstance(target, Const) and isinstance(arg, ListOf):
            kinds = [self.bindings.resolve(element.type, to_dyn=True) for element in arg.elements]
            wrong = formatting.fault(target.value, [(kind.kind, kind.name) for kind in kinds])
            if wrong:
                self.report(node, wrong)

    # --- aggregates

    def joined(self, before: Type | None, now: Type) -> Type:
        if before is None:
            return now
        if self.fits(before, now):
            return types.more_general(self.bindings.resolve(before), self.bindings.resolve(now))
        return DYN

    def unwrapped(self, node: Node, kind: Type) -> Type:
        """Of an element marked with `?`: it must be an optional."""
        inner, maybe = types.unwrap_optional(self.bindings.resolve(kind))
        if not maybe and not is_dyn(inner):
            self.mismatch(node, optional_of(kind), kind)
        return inner

    def list_of(self, node: ListOf) -> Type:
        item: Type | None = None
        for index, element in enumerate(node.elements):
            kind = self.visit(element)
            item = self.joined(item, self.unwrapped(element, kind) if index in node.optional else kind)
        return list_of(item or self.bindings.fresh())

    def map_of(self, node: MapOf) -> Type:
        key: Type | None = None
        value: Type | None = None
        for entry in node.entries:
            assert entry.key is not None
            key = self.joined(key, self.visit(entry.key))
            kind = self.visit(entry.value)
            value = self.joined(value, self.unwrapped(entry.value, kind) if entry.optional else kind)
        return map_of(key or self.bindings.fresh(), value or self.bindings.fresh())

    def struct_of(self, node: StructOf) -> Type:
        found = self.names.type_named(node.name.removeprefix("."))
        if found is None:
            return self.report(node, f"undeclared reference to '{node.name}' (in container '')")
        if found.kind != "struct":
            self.report(node, f"'{node.name}' is not a message type")
        for entry in node.entries:
            kind = self.visit(entry.value)
            wanted = None if found.fields is None else found.fields.get(entry.name)
            if wanted is None:
                self.report(entry, f"undefined field '{entry.name}'")
                continue
            kind = self.unwrapped(entry.value, kind) if entry.optional else kind
            if not self.fits(wanted, kind):
                shown = f"'{self.show(wanted)}' but provided type is '{self.show(kind)}'"
                self.report(entry, f"expected type of field '{entry.name}' is {shown}")
        return found

    # --- macros

    def macro(self, node: Macro) -> Type:
        over = self.bindings.resolve(self.visit(node.range))
        if node.kind in ("optMap", "optFlatMap"):
            return self.optional(node, over)
        first, second = self.iterated(node, over)
        self.local.append({node.first: first, **({node.second: second} if node.second else {})})
        guard = self.visit(node.guard) if node.guard is not None else BOOL
        body = self.visit(node.body)
        self.local.pop()
        if node.guard is not None and not self.fits(guard, BOOL):
            self.mismatch(node.guard, BOOL, guard)
        return self.result(node, over, first, body)

    def iterated(self, node: Macro, over: Type) -> tuple[Type, Type]:
        """The types of the variables."""
        two = bool(node.second)
        if over.kind == "list":
            return (INT, over.params[0]) if two else (over.params[0], DYN)
        if over.kind == "map":
            return over.params[0], over.params[1]
        if over.kind == "param":
            self.fits(DYN, over)
        elif not is_dyn(over):
            shown = f"expression of type '{self.show(over)}' cannot be range of a comprehension"
            self.report(node.range, f"{shown} (must be list, map, or dynamic)")
            return ERROR, ERROR
        return DYN, DYN

    def result(self, node: Macro, over: Type, first: Type, body: Type) -> Type:
        kind = node.kind
        if kind in ("all", "exists", "exists_one", "filter") and not self.fits(body, BOOL):
            self.mismatch(node.body, BOOL, body)
        if kind in ("all", "exists", "exists_one"):
            return BOOL
        if kind == "filter":
            return list_of(first)
        if kind in ("map", "transformList"):
            return list_of(body)
        if kind == "sortBy":
            return list_of(first)
        if kind == "transformMap":
            return map_of(INT if over.kind == "list" else first, body)
        entry = self.bindings.resolve(body)
        if entry.kind != "map" and not is_dyn(entry):
            return self.mismatch(node.body, map_of(DYN, DYN), entry)
        return entry

    def optional(self, node: Macro, over: Type) -> Type:
        inner, maybe = types.unwrap_optional(over)
        if not maybe and not is_dyn(inner):
            self.report(node, f"found no matching overload for '{node.kind}' applied to '{self.show(over)}'")
        self.local.append({node.first: inner})
        body = self.visit(node.body)
        self.local.pop()
        if node.kind == "optMap":
            return optional_of(body)
        if not self.fits(body, optional_of(self.bindings.fresh())):
            return self.mismatch(node.body, optional_of(DYN), body)
        return body


_VISITS: dict[type, Any] = {
    Const: Checker.const,
    Ident: Checker.ident,
    Select: Checker.select,
    Call: Checker.call,
    ListOf: Checker.list_of,
    MapOf: Checker.map_of,
    StructOf: Checker.struct_of,
    Macro: Checker.macro,
}


def qualified(node: Node) -> str:
    """`a.b.c` of a chain of plain selects, "" when it is none."""
    steps: list[str] = []
    while isinstance(node, Select) and not node.test and not node.optional:
        steps.append(node.field)
        node = node.operand
    return ".".join([node.name, *reversed(steps)]) if isinstance(node, Ident) else ""
