"""Text to a `nodes.Template`. Called by the package's entry points. Pure; messages are those of Go's implementation,
since they end up in annotations and people search for them."""

from __future__ import annotations

import re
from collections.abc import Container

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import quote
from styr.metrics.rules.templates.constants import number, unquote
from styr.metrics.rules.templates.lexer import Lexer, Token
from styr.metrics.rules.templates.nodes import (
    Action,
    Body,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Else,
    End,
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

MOST_DEPTH = 100
"""Nesting of parentheses and of blocks. Go allows 10,000 parentheses; nobody writes ten."""

MOST_TEXT = 100_000
"""Characters of a template."""
_OPERANDS = frozenset(
    ("bool", "rune", "complex", "dot", "field", "identifier", "number", "nil", "raw", "string", "variable", "(")
)


class TemplateError(BadData):
    """A template that does not parse or cannot be executed; `str()` is Go's message."""


class Parser:
    """One text. `functions` are the names that it may call."""

    def __init__(self, name: str, text: str, functions: Container[str], into: Template | None = None) -> None:
        self.template = into or Template(name, text)
        self.name = name
        self._functions = functions
        self._lexer = Lexer(text)
        self._ahead: list[Token] = []
        self._last = Token("eof", 0, "", 1)
        self._variables = ["$"]
        self._ranges = 0
        self._depth = 0
        self._action_line = 0

    def parse(self) -> Template:
        """Raises TemplateError."""
        if len(self.template.text) > MOST_TEXT:
            self._fail(f"a template of {len(self.template.text)} characters; at most {MOST_TEXT}")
        body = Body(0)
        while (token := self._peek()).kind != "eof":
            if token.kind == "left":
                left = self._next()
                word = self._next_word()
                if word.kind == "define":
                    self._define()
                    continue
                self._ahead = [left, word, *self._ahead]
            node = self._text_or_action()
            if isinstance(node, (End, Else)):
                self._fail(f"unexpected {node}")
            body.nodes.append(node)
        self._add(self.name, body)
        return self.template

    # tokens

    def _next(self) -> Token:
        token = self._ahead.pop(0) if self._ahead else self._lexer.next()
        self._last = token
        return token

    def _peek(self) -> Token:
        if not self._ahead:
            self._ahead.append(self._lexer.next())
        self._last = self._ahead[0]
        return self._ahead[0]

    def _next_word(self) -> Token:
        while (token := self._next()).kind == "space":
            pass
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._ahead.insert(0, token)
        return token

    def _fail(self, message: str) -> None:
        raise TemplateError(f"template: {self.name}:{self._last.line}: {message}")

    def _unexpected(self, token: Token, context: str) -> None:
        if token.kind != "error":
            self._fail(f"unexpected {token} in {context}")
        extra = ""
        if self._action_line and self._action_line != token.line:
            extra = f" in action started at {self.name}:{self._action_line}"
            if token.value.endswith(" action"):
                extra = extra.removeprefix(" in action")
        self._fail(f"{token}{extra}")

    def _expect(self, kind: str, context: str) -> Token:
        token = self._next_word()
        if token.kind != kind:
            self._unexpected(token, context)
        return token

    # bodies

    def _add(self, name: str, body: Body) -> None:
        bodies = self.template.bodies
        if name not in bodies or _empty(bodies[name]):
            bodies[name] = body
            self.template.sources.pop(name, None)
        elif not _empty(body):
            self._fail(f"template: multiple definition of template {quote(name)}")

    def _list(self) -> tuple[Body, Node]:
        self._deeper()
        body = Body(self._peek_word().pos)
        while self._peek_word().kind != "eof":
            node = self._text_or_action()
            if isinstance(node, (End, Else)):
                self._depth -= 1
                return body, node
            body.nodes.append(node)
        self._fail("unexpected EOF")
        raise AssertionError

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._fail("max expression depth exceeded")

    def _text_or_action(self) -> Node:
        token = self._next_word()
        if token.kind == "text":
            return Text(token.pos, token.value)
        if token.kind != "left":
            self._unexpected(token, "input")
        self._action_line = token.line
        node = self._action()
        self._action_line = 0
        return node

    def _action(self) -> Node:
        token = self._next_word()
        match token.kind:
            case "if" | "with" | "range":
                return self._control(token.kind)
            case "end":
                return End(self._expect("right", "end").pos)
            case "else":
                following = self._peek_word()
                if following.kind not in ("if", "with"):
                    following = self._expect("right", "else")
                return Else(following.pos)
            case "break" | "continue":
                return self._leave(token)
            case "template":
                return self._call()
            case "block":
                return self._block()
        self._ahead.insert(0, token)
        return Action(token.pos, self._pipeline("command", "right"))

    def _leave(self, token: Token) -> Node:
        context = "{{" + token.kind + "}}"
        after = self._next_word()
        if after.kind != "right":
            self._unexpected(after, context)
        if not self._ranges:
            self._fail(f"{context} outside " + "{{range}}")
        return Leave(token.pos, token.kind)

    def _control(self, kind: str) -> Branch:
        known = len(self._variables)
        pipe = self._pipeline(kind, "right")
        self._ranges += kind == "range"
        body, ended = self._list()
        self._ranges -= kind == "range"
        otherwise: Body | None = None
        if isinstance(ended, Else):
            following = self._peek()
            if kind != "range" and following.kind == kind:
                self._next()
                self._deeper()
                otherwise = Body(ended.pos, [self._control(kind)])
                self._depth -= 1
            else:
                otherwise, ended = self._list()
                if not isinstance(ended, End):
                    self._fail(f"expected end; found {ended}")
        del self._variables[known:]
        return Branch(pipe.pos, kind, pipe, body, otherwise)

    def _name(self, token: Token, context: str) -> str:
        if token.kind not in ("string", "raw"):
            self._unexpected(token, context)
        return self._unquote(token)

    def _unquote(self, token: Token) -> str:
        try:
            return unquote(token.value)
        except ValueError as error:
            self._fail(str(error))
            raise AssertionError from None

    def _define(self) -> None:
        context = "define clause"
        name = self._name(self._next_word(), context)
        self._expect("right", context)
        self._own_body(name, context)

    def _own_body(self, name: str, context: str) -> None:
        outer, self._variables = self._variables, ["$"]
        ranges, self._ranges = self._ranges, 0
        body, ended = self._list()
        if not isinstance(ended, End):
            self._fail(f"unexpected {ended} in {context}")
        self._add(name, body)
        self._variables, self._ranges = outer, ranges

    def _block(self) -> Node:
        context = "block clause"
        token = self._next_word()
        name = self._name(token, context)
        pipe = self._pipeline(context, "right")
        self._own_body(name, context)
        return Call(token.pos, name, pipe)

    def _call(self) -> Node:
        context = "template clause"
        token = self._next_word()
        name = self._name(token, context)
        pipe = None
        after = self._next_word()
        if after.kind != "right":
            self._ahead.insert(0, after)
            pipe = self._pipeline(context, "right")
        return Call(token.pos, name, pipe)

    # pipelines

    def _pipeline(self, context: str, end: str) -> Pipe:
        start = self._peek_word()
        pipe = Pipe(start.pos, start.line)
        self._declarations(pipe, context)
        while True:
            token = self._next_word()
            if token.kind == end:
                self._check(pipe, context)
                return pipe
            if token.kind not in _OPERANDS:
                self._unexpected(token, context)
            self._ahead.insert(0, token)
            pipe.commands.append(self._command())

    def _declarations(self, pipe: Pipe, context: str) -> None:
        while self._peek_word().kind == "variable":
            variable = self._next()
            spaces = [self._next()] if self._peek().kind == "space" else []
            following = self._peek_word()
            if following.kind in ("assign", "declare"):
                pipe.assigns = following.kind == "assign"
                self._next_word()
                self._declare(pipe, variable)
                return
            if not (following.kind == "char" and following.value == ","):
                self._ahead = [variable, *spaces, *self._ahead]
                return
            self._next_word()
            self._declare(pipe, variable)
            if context != "range" or len(pipe.declared) >= 2:
                self._fail(f"too many declarations in {context}")
            if self._peek_word().kind not in ("variable", "right", ")"):
                self._fail("range can only initialize variables")

    def _declare(self, pipe: Pipe, variable: Token) -> None:
        pipe.declared.append(Variable(variable.pos, [variable.value]))
        self._variables.append(variable.value)

    def _check(self, pipe: Pipe, context: str) -> None:
        if not pipe.commands:
            self._fail(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], 2):
            if isinstance(command.args[0], (Bool, Dot, Nil, Number, String)):
                self._fail(f"non executable command in pipeline stage {stage}")

    def _command(self) -> Command:
        command = Command(self._peek_word().pos)
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                command.args.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in ("right", ")"):
                self._ahead.insert(0, token)
            elif token.kind != "pipe":
                self._unexpected(token, "operand")
            break
        if not command.args:
            self._fail("empty command")
        return command

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None or self._peek().kind != "field":
            return node
        pos, names = self._peek().pos, []
        while self._peek().kind == "field":
            names.append(self._next().value[1:])
        if isinstance(node, Field):
            return Field(pos, [*node.names, *names])
        if isinstance(node, Variable):
            return Variable(pos, [*node.names, *names])
        if isinstance(node, (Bool, String, Number, Nil, Dot)):
            self._fail(f"unexpected . after term {quote(str(node))}")
        return Chain(pos, node, names)

    def _term(self) -> Node | None:
        token = self._next_word()
        pos, value = token.pos, token.value
        match token.kind:
            case "identifier":
                if value not in self._functions:
                    self._fail(f"function {quote(value)} not defined")
                return Identifier(pos, value)
            case "dot":
                return Dot(pos)
            case "nil":
                return Nil(pos)
            case "variable":
                if value not in self._variables:
                    self._fail(f"undefined variable {quote(value)}")
                return Variable(pos, [value])
            case "field":
                return Field(pos, [value[1:]])
            case "bool":
                return Bool(pos, value == "true")
            case "rune" | "complex" | "number":
                return self._number(token)
            case "string" | "raw":
                return String(pos, value, self._unquote(token))
            case "(":
                self._deeper()
                pipe = self._pipeline("parenthesized pipeline", ")")
                self._depth -= 1
                return pipe
        self._ahead.insert(0, token)
        return None

    def _number(self, token: Token) -> Node:
        try:
            integer, real, imaginary = number(token.kind, token.value)
        except ValueError as error:
            self._fail(str(error))
            raise AssertionError from None
        return Number(token.pos, token.value, integer, real, imaginary)


_BLANK = re.compile(r"\s*")


def _empty(node: Node) -> bool:
    if isinstance(node, Body):
        return all(_empty(each) for each in node.nodes)
    return isinstance(node, Text) and _BLANK.fullmatch(node.text) is not None
