"""Tokens to a tree, by precedence climbing, in bounded depth. Called by `environment`; calls the lexer and `macros`; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from styr.cel.ast import Call, Const, Entry, Ident, ListOf, MapOf, Node, Select, StructOf
from styr.cel.errors import CompileError, Issue
from styr.cel.lexer import MAX_TEXT, RESERVED, Token, Unreadable, tokenize
from styr.cel.macros import MACROS, MacroError

MAX_DEPTH = 100
"""Levels of brackets."""
MAX_TREE = 200
"""Levels of the tree: long chains of one operator count too."""

_EXPECTED = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_LEVELS: dict[str, int] = dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 1)
_LEVELS |= dict.fromkeys(("+", "-"), 2) | dict.fromkeys(("*", "/", "%"), 3)


def parse(text: str) -> Node:
    """The tree of an expression. Raises `CompileError`."""
    if len(text) > MAX_TEXT:
        issue = Issue(-1, f"expression code point size exceeds limit: size: {len(text)}, limit {MAX_TEXT}")
        raise CompileError(text, [issue])
    try:
        return _Parser(tokenize(text)).whole()
    except Unreadable as error:
        raise CompileError(text, [error.issue]) from None
    except RecursionError:
        raise CompileError(text, [_too_deep(-1)]) from None


def _too_deep(position: int) -> Issue:
    return Issue(position, f"expression recursion limit exceeded: {MAX_DEPTH}")


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.level = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def whole(self) -> Node:
        found = self.expression()
        if self.token.kind != "end":
            self.fail(f"extraneous input '{self.token.text}' expecting <EOF>")
        return found

    def fail(self, message: str, at: Token | None = None) -> NoReturn:
        raise Unreadable((at or self.token).position, f"Syntax error: {message}")

    def take(self, kind: str) -> Token | None:
        token = self.token
        if token.kind != kind:
            return None
        self.at += 1
        return token

    def want(self, kind: str) -> Token:
        token = self.take(kind)
        if token is None:
            shown = "IDENTIFIER" if kind == "name" else f"'{kind}'"
            if self.token.kind == "end":
                self.fail(f"missing {shown} at '<EOF>'")
            self.fail(f"mismatched input '{self.token.text}' expecting {shown}")
        return token

    def grown(self, node: Node) -> Node:
        """The node, if it does not make the tree too deep."""
        node.depth = 1 + max((child.depth for child in node.children()), default=0)
        if node.depth > MAX_TREE:
            raise Unreadable(node.position, _too_deep(-1).message)
        return node

    # --- operators

    def expression(self) -> Node:
        self.level += 1
        if self.level > MAX_DEPTH:
            raise Unreadable(*_too_deep(self.token.position))
        found = self.either()
        if mark := self.take("?"):
            then = self.either()
            self.want(":")
            found = self.grown(Call(mark.position, "_?_:_", [found, then, self.expression()]))
        self.level -= 1
        return found

    def either(self) -> Node:
        return self.joined("||", lambda: self.joined("&&", lambda: self.binary(1)))

    def joined(self, mark: str, part: Callable[[], Node]) -> Node:
        first = part()
        token = self.take(mark)
        if token is None:
            return first
        parts = [first, part()]
        while self.take(mark):
            parts.append(part())
        return self.grown(Call(token.position, f"_{mark}_", parts))

    def binary(self, level: int) -> Node:
        left = self.unary()
        while (found := _LEVELS.get(self.token.kind, 0)) >= level:
            mark = self.token
            self.at += 1
            right = self.binary(found + 1)
            name = "@in" if mark.kind == "in" else f"_{mark.kind}_"
            left = self.grown(Call(mark.position, name, [left, right]))
        return left

    def unary(self) -> Node:
        mark = self.token
        if mark.kind not in ("-", "!"):
            return self.member()
        count = 0
        while self.take(mark.kind):
            count += 1
        if mark.kind == "-" and self.token.kind == "const" and type(self.token.value) in (int, float):
            # The minus before a number is part of it: -9223372036854775808 has no positive form.
            literal = self.token
            self.tokens[self.at] = literal._replace(value=-literal.value, position=literal.position - 1)
            count -= 1
        operand = self.member()
        if count % 2 == 0:
            return operand
        return self.grown(Call(mark.position, "-_" if mark.kind == "-" else "!_", [operand]))

    # --- members

    def member(self) -> Node:
        found = self.primary()
        while True:
            if dot := self.take("."):
                found = self.grown(self.selected(found, dot))
            elif bracket := self.take("["):
                optional = self.take("?") is not None
                index = self.expression()
                self.want("]")
                found = self.grown(Call(bracket.position, "_[?_]" if optional else "_[_]", [found, index]))
            else:
                return found

    def selected(self, operand: Node, dot: Token) -> Node:
        optional = self.take("?") is not None
        if self.token.kind != "name":
            self.fail("no viable alternative at input '.'")
        name = self.want("name").text
        bracket = self.take("(") if not optional else None
        if bracket is None:
            return Select(dot.position, operand, name, optional=optional)
        args = self.arguments(")")
        return self.called(bracket, name, args, operand)

    def called(self, bracket: Token, name: str, args: list[Node], target: Node | None) -> Node:
        expand = MACROS.get((name, len(args), target is not None))
        if expand is not None:
            try:
                made = expand(bracket.position, target, args)
            except MacroError as error:
                raise Unreadable(error.position, str(error)) from None
            if made is not None:
                return made
        return Call(bracket.position, name, args, target)

    def arguments(self, close: str) -> list[Node]:
        found: list[Node] = []
        if self.take(close):
            return found
        while True:
            found.append(self.expression())
            if not self.take(","):
                break
        self.want(close)
        return found

    # --- primaries

    def primary(self) -> Node:
        token = self.token
        if token.kind == "const":
            self.at += 1
            if type(token.value) is int and token.value == 1 << 63:
                raise Unreadable(token.position, "invalid int literal")
            return Const(token.position, token.value)
        if token.kind == "(":
            self.at += 1
            found = self.expression()
            self.want(")")
            return found
        if token.kind == "[":
            self.at += 1
            return self.grown(self.list_of(token))
        if token.kind == "{":
            self.at += 1
            return self.grown(MapOf(token.position, self.entries()))
        if token.kind in ("name", "."):
            return self.grown(self.named())
        return self.fail(f"mismatched input '{token.text}' expecting {_EXPECTED}")

    def list_of(self, bracket: Token) -> Node:
        elements: list[Node] = []
        optional: set[int] = set()
        while not self.take("]"):
            if self.take("?"):
                optional.add(len(elements))
            elements.append(self.expression())
            if not self.take(",") and self.token.kind != "]":
                self.fail(f"mismatched input '{self.token.text}' expecting {{']', ','}}")
        return ListOf(bracket.position, elements, frozenset(optional))

    def entries(self, *, fields: bool = False) -> list[Entry]:
        found: list[Entry] = []
        while not self.take("}"):
            optional = self.take("?") is not None
            name = self.want("name").text if fields else ""
            key = None if fields else self.expression()
            colon = self.want(":")
            entry = Entry(colon.position, key, name, self.expression(), optional)
            self.grown(entry)
            found.append(entry)
            if not self.take(","):
                self.want("}")
                break
        return found

    def named(self) -> Node:
        dot = self.take(".")
        token = self.want("name")
        lead = "." if dot else ""
        if struct := self.struct(lead, token):
            return struct
        if token.text in RESERVED:
            raise Unreadable(token.position, f"reserved identifier: {token.text}")
        if bracket := self.take("("):
            return self.called(bracket, lead + token.text, self.arguments(")"), None)
        return Ident(token.position, lead + token.text)

    def struct(self, lead: str, first: Token) -> Node | None:
        """`a.b.C{field: value}`, when that is what follows."""
        end = self.at
        names = [first.text]
        while self.tokens[end].kind == "." and self.tokens[end + 1].kind == "name":
            names.append(self.tokens[end + 1].text)
            end += 2
        if self.tokens[end].kind != "{":
            return None
        self.at = end + 1
        return StructOf(self.tokens[end].position, lead + ".".join(names), self.entries(fields=True))
