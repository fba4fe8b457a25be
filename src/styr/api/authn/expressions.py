"""CEL in the configuration of authentication, over `claims` or `user`: a `configuration.Compile`. Called by `plane`; imports
`styr.cel` when there is an expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from styr.api.authn.configuration import Expression

if TYPE_CHECKING:
    from styr.cel.ast import Node

MAX_TEXT = 16 << 10


def compile_expression(text: str, variable: str) -> Expression:
    """Raises ValueError, with what is wrong in the text."""
    from styr.cel import types
    from styr.cel.environment import PER_CALL, Environment
    from styr.cel.errors import CelError

    if len(text) > MAX_TEXT:
        raise ValueError(f"an expression of more than {MAX_TEXT} characters")
    strings = types.list_of(types.STRING)
    user = types.Type(
        "struct",
        "kubernetes.UserInfo",
        fields={
            "username": types.STRING,
            "uid": types.STRING,
            "groups": strings,
            "extra": types.map_of(types.STRING, strings),
        },
    )
    kind = user if variable == "user" else types.map_of(types.STRING, types.DYN)
    try:
        program = Environment({variable: kind}).compile(text)
    except CelError as error:
        raise ValueError(f"compilation failed: {error}") from None

    def evaluate(given: Mapping[str, Any]) -> Any:
        try:
            return program.run(PER_CALL, given)[0]
        except CelError as error:
            raise ValueError(f"expression {text!r} resulted in error: {error}") from None

    kinds = {"bool": "bool", "dyn": ""}
    return Expression(
        evaluate, kinds.get(program.type.kind, program.type.kind), frozenset(_claims(program.tree, variable))
    )


def _claims(node: Node, variable: str) -> Iterator[str]:
    """The claims that an expression looks at by name: `claims.email`, `claims.?email`, `claims["email"]`."""
    from styr.cel import ast

    if isinstance(node, ast.Select) and isinstance(node.operand, ast.Ident) and node.operand.name == variable:
        yield node.field
    if isinstance(node, ast.Call) and len(node.args) == 2:
        first, second = node.args
        if isinstance(first, ast.Ident) and first.name == variable and isinstance(second, ast.Const):
            yield str(second.value)
    for child in node.children():
        yield from _claims(child, variable)
