"""Static types, and when one fits where another is wanted. Called by the checker and by whoever declares variables; pure.
Rules: cel-spec `doc/langdef.md`, "Gradual type checking"; the printed forms are cel-go's."""

from __future__ import annotations

from collections.abc import Mapping

SIMPLE = ("bool", "bytes", "double", "int", "null_type", "string", "uint")


class Type:
    """`kind` is one of the kinds below; `name` what is printed; `params` of list, map, optional and type. A `struct` has
    `fields`: CEL name -> type. Structs and opaque types are equal by name."""

    __slots__ = ("fields", "kind", "name", "params")

    def __init__(
        self, kind: str, name: str, params: tuple[Type, ...] = (), fields: Mapping[str, Type] | None = None
    ) -> None:
        self.kind, self.name, self.params, self.fields = kind, name, params, fields

    def __str__(self) -> str:
        if self.kind == "type" and not self.params:
            return "type"
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(str(param) for param in self.params)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and (
            self is other or (self.kind == other.kind and self.name == other.name and self.params == other.params)
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.name))

    def __repr__(self) -> str:
        return f"Type({self})"


BOOL, BYTES, DOUBLE, INT = Type("bool", "bool"), Type("bytes", "bytes"), Type("double", "double"), Type("int", "int")
NULL, STRING, UINT = Type("null_type", "null"), Type("string", "string"), Type("uint", "uint")
DURATION = Type("duration", "google.protobuf.Duration")
TIMESTAMP = Type("timestamp", "google.protobuf.Timestamp")
DYN, ERROR = Type("dyn", "dyn"), Type("error", "!error!")


def list_of(item: Type) -> Type:
    return Type("list", "list", (item,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", "map", (key, value))


def optional_of(value: Type) -> Type:
    return Type("opaque", "optional_type", (value,))


def type_of(what: Type) -> Type:
    return Type("type", "type", (what,))


def param(name: str) -> Type:
    return Type("param", name)


def opaque(name: str) -> Type:
    return Type("opaque", name)


def struct(name: str, fields: Mapping[str, Type]) -> Type:
    return Type("struct", name, (), fields)


def wrapper(inner: Type) -> Type:
    """A simple type that may be null."""
    return Type("wrapper", "wrapper", (inner,))


def is_dyn(kind: Type) -> bool:
    return kind.kind in ("dyn", "error")


def unwrap_optional(kind: Type) -> tuple[Type, bool]:
    if kind.kind == "opaque" and kind.name == "optional_type":
        return kind.params[0], True
    return kind, False


class Bindings:
    """What the type parameters met so far stand for. `fits` keeps what it learned only if all fit."""

    def __init__(self) -> None:
        self._known: dict[str, Type] = {}
        self._count = 0

    def fresh(self) -> Type:
        self._count += 1
        return param(f"_var{self._count - 1}")

    def fits(self, have: list[Type], want: list[Type]) -> bool:
        if len(have) != len(want):
            return False
        before = dict(self._known)
        if all(self._fits(a, b) for a, b in zip(have, want, strict=True)):
            return True
        self._known = before
        return False

    def resolve(self, kind: Type, *, to_dyn: bool = False) -> Type:
        """The type with everything known filled in; what stays open becomes dyn when `to_dyn`."""
        for _ in range(64):
            if kind.kind != "param" or kind.name not in self._known:
                break
            kind = self._known[kind.name]
        if kind.kind == "param":
            return DYN if to_dyn else kind
        if not kind.params:
            return kind
        return Type(kind.kind, kind.name, tuple(self.resolve(p, to_dyn=to_dyn) for p in kind.params), kind.fields)

    def instantiate(self, kinds: list[Type]) -> list[Type]:
        """The same types with fresh parameters."""
        made: dict[str, Type] = {}

        def renew(kind: Type) -> Type:
            if kind.kind == "param":
                if kind.name not in made:
                    made[kind.name] = self.fresh()
                return made[kind.name]
            return Type(kind.kind, kind.name, tuple(map(renew, kind.params)), kind.fields) if kind.params else kind

        return [renew(kind) for kind in kinds]

    def _fits(self, a: Type, b: Type) -> bool:
        if b.kind == "param":
            bound = self._bind(b, a)
            if bound or b.name in self._known:
                return bound
        if a.kind == "param":
            return self._bind(a, b)
        if is_dyn(a) or is_dyn(b):
            return True
        if a.kind == "null_type" or b.kind == "null_type":
            other = b if a.kind == "null_type" else a
            return other.kind in ("null_type", "opaque", "duration", "timestamp", "struct", "wrapper")
        if a.kind == "wrapper" or b.kind == "wrapper":
            return self._fits(a.params[0] if a.kind == "wrapper" else a, b.params[0] if b.kind == "wrapper" else b)
        if a.kind != b.kind:
            return False
        if a.kind == "type":
            return True
        if a.name != b.name or len(a.params) != len(b.params):
            return False
        return all(self._fits(x, y) for x, y in zip(a.params, b.params, strict=True))

    def _bind(self, variable: Type, kind: Type) -> bool:
        """Once bound, a parameter may still become more general."""
        if kind.kind == "param" and kind.name == variable.name:
            return True
        known = self._known.get(variable.name)
        if known is not None:
            if not self._fits(kind, known):
                return False
            kind = more_general(kind, known)
        if not _mentions(self.resolve(kind), variable.name):
            self._known[variable.name] = kind
            return True
        return known is not None


def _mentions(kind: Type, name: str) -> bool:
    return (kind.kind == "param" and kind.name == name) or any(_mentions(param, name) for param in kind.params)


def more_general(a: Type, b: Type) -> Type:
    """Of two types that fit each other."""
    return a if _less_specific(a, b) else b


def _less_specific(a: Type, b: Type) -> bool:
    if is_dyn(a) or a.kind == "param":
        return True
    if is_dyn(b) or b.kind == "param" or a.kind == "null_type":
        return False
    if a.kind == "wrapper":
        return True
    if a.kind != b.kind or len(a.params) != len(b.params):
        return False
    return all(_less_specific(x, y) for x, y in zip(a.params, b.params, strict=True))
