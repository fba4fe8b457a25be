"""Walks a template's tree. Called by the package's entry points; calls functions that it is handed. Bounded: steps,
output, depth of templates that call templates. Messages are those of Go's implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from styr.metrics.model.labels import quote
from styr.metrics.rules.templates.builtins import BUILTINS
from styr.metrics.rules.templates.fields import Unknown, lookup
from styr.metrics.rules.templates.markup import Markup
from styr.metrics.rules.templates.nodes import (
    Action,
    Body,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Leave,
    Nil,
    Node,
    Number,
    Pipe,
    String,
    Template,
    Text,
    Variable,
)
from styr.metrics.rules.templates.parser import TemplateError
from styr.metrics.rules.templates.printing import MOST_OUTPUT, plain
from styr.metrics.rules.templates.values import (
    ANY,
    REFLECT,
    CallFailed,
    Function,
    GoList,
    GoMap,
    Struct,
    assignable,
    is_true,
    nillable,
    type_name,
)

MOST_STEPS = 200_000
"""Nodes walked and loops turned in one expansion."""
MOST_DEPTH = 60
"""Templates within templates. Go allows 100,000, which only recursion by mistake reaches."""

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<missing>"})()


class _Leave(Exception):
    def __init__(self, kind: str) -> None:
        self.kind = kind


class Executor:
    """One expansion. `functions` are added to Go's own and win over them. With `markup`, values are escaped for HTML."""

    def __init__(
        self,
        template: Template,
        functions: Mapping[str, Function],
        steps: int = MOST_STEPS,
        markup: Markup | None = None,
    ) -> None:
        self._template, self._functions = template, functions
        self._name = template.name
        self._out: list[str] = []
        self._size = 0
        self._steps = steps
        self._markup = markup
        self._depth = 0
        self._node: Node | None = None
        self._variables: list[tuple[str, Any]] = []

    def run(self, data: Any, name: str = "") -> str:
        """The text. Raises TemplateError."""
        self._name = name or self._template.name
        body = self._template.bodies.get(self._name)
        if body is None:
            raise TemplateError(
                f"template: no template {quote(self._name)} associated with template {quote(self._template.name)}"
            )
        self._variables = [("$", data)]
        try:
            self._walk(data, body)
        except RecursionError:
            raise TemplateError(self._message("the template is nested too deeply")) from None
        return "".join(self._out)

    def _message(self, text: str) -> str:
        node = self._node
        if node is None:
            return f"template: {self._name}: {text}"
        source = self._template.sources.get(self._name, self._template)
        before = source.text[: node.pos]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogatepass"))
        where = f"{source.name}:{line}:{column}"
        return f"template: {where}: executing {quote(self._name)} at <{node}>: {text}"

    def _fail(self, text: str) -> TemplateError:
        return TemplateError(self._message(text))

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise self._fail(f"more than {MOST_STEPS} steps")

    def _write(self, text: str) -> None:
        self._size += len(text)
        if self._size > MOST_OUTPUT:
            raise self._fail(f"more than {MOST_OUTPUT} characters of output")
        self._out.append(text)

    # statements

    def _walk(self, dot: Any, node: Node) -> None:
        self._step()
        self._node = node
        match node:
            case Text():
                self._write(node.text)
                if self._markup is not None:
                    self._markup.text(node.text)
            case Action():
                value = self._pipe(dot, node.pipe)
                if not node.pipe.declared:
                    self._node = node
                    shown = "<no value>" if value is None else plain(_indirect(value))
                    self._write(shown if self._markup is None else self._markup.value(value, shown))
            case Body():
                for each in node.nodes:
                    self._walk(dot, each)
            case Branch():
                self._range(dot, node) if node.kind == "range" else self._branch(dot, node)
            case Call():
                self._call_template(dot, node)
            case Leave():
                raise _Leave(node.kind)

    def _branch(self, dot: Any, node: Branch) -> None:
        mark = len(self._variables)
        value = self._pipe(dot, node.pipe)
        if is_true(value):
            self._walk(value if node.kind == "with" else dot, node.body)
        elif node.otherwise is not None:
            self._walk(dot, node.otherwise)
        del self._variables[mark:]

    def _range(self, dot: Any, node: Branch) -> None:
        outer = len(self._variables)
        value = self._pipe(dot, node.pipe)
        items = self._items(value, node.pipe)
        mark = len(self._variables)
        any_turn = False
        try:
            for index, item in items:
                any_turn = True
                self._step()
                self._bind(node.pipe, index, item)
                try:
                    self._walk(item, node.body)
                except _Leave as leave:
                    if leave.kind == "break":
                        break
                finally:
                    del self._variables[mark:]
        finally:
            del self._variables[outer:]
        if not any_turn and node.otherwise is not None:
            self._walk(dot, node.otherwise)

    def _items(self, value: Any, pipe: Pipe) -> Any:
        if value is None:
            return ()
        if isinstance(value, int) and not isinstance(value, bool):
            if len(pipe.declared) > 1:
                raise self._fail(f"can't use {value} to iterate over more than one variable")
            return ((None, i) for i in range(value))
        if isinstance(value, GoList):
            return enumerate(list(value))
        if isinstance(value, GoMap):
            return sorted(value.items())
        raise self._fail(f"range can't iterate over {plain(value)}")

    def _bind(self, pipe: Pipe, index: Any, item: Any) -> None:
        declared = [variable.names[0] for variable in pipe.declared]
        values = [index, item] if len(declared) > 1 else [item]
        for place, (name, value) in enumerate(zip(declared, values, strict=False)):
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables[place - len(declared)] = (name, value)

    def _call_template(self, dot: Any, node: Call) -> None:
        body = self._template.bodies.get(node.name)
        if body is None:
            raise self._fail(f"template {quote(node.name)} not defined")
        if self._depth >= MOST_DEPTH:
            raise self._fail(f"exceeded maximum template depth ({MOST_DEPTH})")
        value = self._pipe(dot, node.pipe) if node.pipe is not None else None
        outer = self._name, self._variables
        self._name, self._variables = node.name, [("$", value)]
        self._depth += 1
        self._walk(value, body)
        self._depth -= 1
        self._name, self._variables = outer

    # expressions

    def _pipe(self, dot: Any, pipe: Pipe) -> Any:
        self._node = pipe
        value = MISSING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for variable in pipe.declared:
            if pipe.assigns:
                self._assign(variable.names[0], value)
            else:
                self._variables.append((variable.names[0], value))
        return value

    def _assign(self, name: str, value: Any) -> None:
        for place in range(len(self._variables) - 1, -1, -1):
            if self._variables[place][0] == name:
                self._variables[place] = (name, value)
                return
        raise self._fail(f"undefined variable: {name}")

    def _variable(self, name: str) -> Any:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise self._fail(f"undefined variable: {name}")

    def _command(self, dot: Any, command: Command, final: Any) -> Any:
        self._step()
        first, args = command.args[0], command.args
        match first:
            case Field():
                self._node = first
                return self._fields(dot, dot, first, first.names, args[1:], final)
            case Chain():
                return self._chain(dot, first, args[1:], final)
            case Identifier():
                return self._function(dot, first, command, args[1:], final)
            case Pipe():
                self._no_function(args, final)
                return self._pipe(dot, first)
            case Variable():
                self._node = first
                return self._of_variable(dot, first, args, final)
        self._node = first
        self._no_function(args, final)
        if isinstance(first, Nil):
            raise self._fail("nil is not a command")
        return self._constant(dot, first)

    def _constant(self, dot: Any, node: Node) -> Any:
        match node:
            case Bool() | String():
                return node.value
            case Dot():
                return dot
            case Number():
                return self._ideal(node)
        raise self._fail(f"can't evaluate command {quote(str(node))}")

    def _ideal(self, node: Number) -> Any:
        self._node = node
        text = node.text
        if node.imaginary is not None:
            return node.imaginary
        hexadecimal = text[:2].lower() == "0x" and not set(text) & set("pP")
        if node.real is not None and not hexadecimal and text[0] != "'" and set(text) & set(".eEpP"):
            return node.real
        if node.integer is not None and -(1 << 63) <= node.integer < 1 << 63:
            return node.integer
        raise self._fail(f"{text} overflows int")

    def _no_function(self, args: Sequence[Node], final: Any) -> None:
        if len(args) > 1 or final is not MISSING:
            raise self._fail(f"can't give argument to non-function {args[0]}")

    def _of_variable(self, dot: Any, node: Variable, args: Sequence[Node], final: Any) -> Any:
        value = self._variable(node.names[0])
        if len(node.names) == 1:
            self._no_function(args, final)
            return value
        return self._fields(dot, value, node, node.names[1:], args[1:], final)

    def _chain(self, dot: Any, node: Chain, args: Sequence[Node], final: Any) -> Any:
        self._node = node
        if isinstance(node.node, Nil):
            raise self._fail(f"indirection through explicit nil in {node}")
        receiver = self._argument(dot, ANY, node.node)
        self._node = node.node
        return self._fields(dot, receiver, node, node.names, args, final)

    def _fields(
        self, dot: Any, receiver: Any, node: Node, names: Sequence[str], args: Sequence[Node], final: Any
    ) -> Any:
        declared = ""
        for name in names[:-1]:
            receiver, declared = self._field(dot, receiver, declared, name, node, (), MISSING)
        return self._field(dot, receiver, declared, names[-1], node, args, final)[0]

    def _field(
        self, dot: Any, receiver: Any, declared: str, name: str, node: Node, args: Sequence[Node], final: Any
    ) -> tuple[Any, str]:
        """The value, and interface {} when it was declared as that."""
        if receiver is None:
            if declared:
                raise self._fail(f"nil pointer evaluating {declared}.{name}")
            return None, ""
        has_args = bool(args) or final is not MISSING
        try:
            found, kind = lookup(receiver, name)
        except Unknown:
            raise self._fail(f"can't evaluate field {name} in type {declared or type_name(receiver)}") from None
        if isinstance(found, Function):
            bound = Function(lambda *rest: found.call(receiver, *rest), found.params, found.variadic)
            return self._invoke(dot, bound, node, name, args, final), ""
        if has_args:
            what = (
                "is not a method but has arguments"
                if isinstance(receiver, GoMap)
                else "has arguments but cannot be invoked as function"
            )
            raise self._fail(f"{name} {what}")
        return found, kind

    def _function(self, dot: Any, node: Identifier, whole: Node, args: Sequence[Node], final: Any) -> Any:
        self._node = node
        own = self._functions.get(node.name)
        function = own or BUILTINS.get(node.name)
        if function is None:
            raise self._fail(f"{quote(node.name)} is not a defined function")
        if own is None and node.name in ("and", "or"):
            self._count(function, node.name, args, final)
            return self._logic(dot, node.name, args, final)
        if own is None and node.name == "call":
            return self._call(dot, whole, args, final)
        return self._invoke(dot, function, whole, node.name, args, final)

    def _logic(self, dot: Any, name: str, args: Sequence[Node], final: Any) -> Any:
        value: Any = None
        for arg in args:
            value = self._argument(dot, REFLECT, arg)
            if is_true(value) == (name == "or"):
                return value
        return value if final is MISSING else final

    def _call(self, dot: Any, whole: Node, args: Sequence[Node], final: Any) -> Any:
        values = [self._argument(dot, REFLECT, arg) for arg in args]
        if final is not MISSING:
            values.append(final)
        self._node = whole
        if not values:
            raise self._fail("wrong number of args for call: want at least 1 got 0")
        if values[0] is None:
            raise self._fail("error calling call: call of nil")
        shown = str(args[0]) if args else plain(values[0])
        raise self._fail(f"error calling call: non-function {shown} of type {type_name(values[0])}")

    def _count(self, function: Function, name: str, args: Sequence[Node], final: Any) -> None:
        given = len(args) + (final is not MISSING)
        wanted = len(function.params)
        if function.variadic:
            if given < wanted:
                raise self._fail(f"wrong number of args for {name}: want at least {wanted} got {len(args)}")
        elif given != wanted:
            raise self._fail(f"wrong number of args for {name}: want {wanted} got {given}")

    def _invoke(self, dot: Any, function: Function, node: Node, name: str, args: Sequence[Node], final: Any) -> Any:
        self._count(function, name, args, final)
        types = [*function.params, *[function.variadic] * (len(args) + 1)]
        values = [self._argument(dot, types[place], arg) for place, arg in enumerate(args)]
        if final is not MISSING:
            values.append(self._typed(final, types[len(args)]))
        try:
            return function.call(*values)
        except CallFailed as error:
            self._node = node
            raise self._fail(f"error calling {name}: {error}") from None

    def _argument(self, dot: Any, typ: str, node: Node) -> Any:
        self._node = node
        match node:
            case Dot():
                return self._typed(dot, typ)
            case Nil():
                if nillable(typ):
                    return None
                raise self._fail(f"cannot assign nil to {typ}")
            case Field():
                return self._typed(self._fields(dot, dot, node, node.names, (), MISSING), typ)
            case Variable():
                return self._typed(self._of_variable(dot, node, (node,), MISSING), typ)
            case Pipe():
                return self._typed(self._pipe(dot, node), typ)
            case Identifier():
                return self._typed(self._function(dot, node, node, (), MISSING), typ)
            case Chain():
                return self._typed(self._chain(dot, node, (), MISSING), typ)
        return self._literal(dot, typ, node)

    def _literal(self, dot: Any, typ: str, node: Node) -> Any:
        if typ in (ANY, REFLECT):
            return self._constant(dot, node)
        wanted = {"string": "string", "float64": "float", "int": "integer", "int64": "integer", "bool": "bool"}.get(typ)
        if wanted is None:
            raise self._fail(f"can't handle {node} for arg of type {typ}")
        if isinstance(node, (String, Bool)) and typ == ("string" if isinstance(node, String) else "bool"):
            return node.value
        if isinstance(node, Number):
            value = node.real if typ == "float64" else node.integer if wanted == "integer" else None
            if value is not None:
                return value
        raise self._fail(f"expected {wanted}; found {node}")

    def _typed(self, value: Any, typ: str) -> Any:
        if value is None and not nillable(typ):
            raise self._fail(f"invalid value; expected {typ}")
        if not assignable(value, typ):
            raise self._fail(f"wrong type for value; expected {typ}; got {type_name(value)}")
        return value


def _indirect(value: Any) -> Any:
    """A pointer to a struct prints as the struct, unless it has a way to print itself."""
    if isinstance(value, Struct) and value.pointer and value.shown is None:
        return Struct(value.type, value.fields, value.interfaces, value.methods)
    return value
