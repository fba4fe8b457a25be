"""The tree of a template. Made by `parser`, walked by `execute`; `str()` is how messages show a node. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from styr.metrics.model.labels import quote


@dataclass(slots=True)
class Node:
    pos: int


@dataclass(slots=True)
class Text(Node):
    text: str

    def __str__(self) -> str:
        return quote(self.text)


@dataclass(slots=True)
class Body(Node):
    """Nodes one after the other."""

    nodes: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return "".join(str(node) for node in self.nodes)


@dataclass(slots=True)
class Dot(Node):
    def __str__(self) -> str:
        return "."


@dataclass(slots=True)
class Nil(Node):
    def __str__(self) -> str:
        return "nil"


@dataclass(slots=True)
class Bool(Node):
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(slots=True)
class Number(Node):
    """An ideal constant: whichever of the kinds can hold it."""

    text: str
    integer: int | None
    real: float | None
    imaginary: complex | None

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class String(Node):
    quoted: str
    value: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(slots=True)
class Identifier(Node):
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Field(Node):
    names: list[str]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(slots=True)
class Variable(Node):
    """`names[0]` is the variable with its $, the others are fields."""

    names: list[str]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(slots=True)
class Chain(Node):
    """Fields of something in parentheses, or of a function's result."""

    node: Node
    names: list[str]

    def __str__(self) -> str:
        inner = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return inner + "".join(f".{name}" for name in self.names)


@dataclass(slots=True)
class Command(Node):
    args: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipe) else str(arg) for arg in self.args)


@dataclass(slots=True)
class Pipe(Node):
    line: int = 0
    assigns: bool = False
    declared: list[Variable] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    def __str__(self) -> str:
        names = ", ".join(str(variable) for variable in self.declared)
        sign = (" = " if self.assigns else " := ") if names else ""
        return names + sign + " | ".join(str(command) for command in self.commands)


@dataclass(slots=True)
class Action(Node):
    pipe: Pipe

    def __str__(self) -> str:
        return "{{" + str(self.pipe) + "}}"


@dataclass(slots=True)
class Branch(Node):
    """if, with and range; `kind` says which."""

    kind: str
    pipe: Pipe
    body: Body
    otherwise: Body | None

    def __str__(self) -> str:
        rest = "{{else}}" + str(self.otherwise) if self.otherwise is not None else ""
        return "{{" + f"{self.kind} {self.pipe}" + "}}" + str(self.body) + rest + "{{end}}"


@dataclass(slots=True)
class Call(Node):
    """{{template "name" pipe}}, and what is left of a block."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return "{{template " + quote(self.name) + (f" {self.pipe}" if self.pipe else "") + "}}"


@dataclass(slots=True)
class Leave(Node):
    """break and continue."""

    kind: str

    def __str__(self) -> str:
        return "{{" + self.kind + "}}"


@dataclass(slots=True)
class End(Node):
    def __str__(self) -> str:
        return "{{end}}"


@dataclass(slots=True)
class Else(Node):
    def __str__(self) -> str:
        return "{{else}}"


@dataclass(slots=True)
class Template:
    """A parsed text: its own body and those that it defines, by name. `compiled` is for whoever executes it."""

    name: str
    text: str
    bodies: dict[str, Body] = field(default_factory=dict)
    sources: dict[str, Template] = field(default_factory=dict)
    """For bodies from another text: where their positions point."""
    extra: dict[str, Any] = field(default_factory=dict)
