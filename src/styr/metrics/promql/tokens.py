"""What every part of the parser does with tokens: look, take, expect, and word a surprise. Called by `parser`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from styr.metrics.model.errors import BadData, ParseError
from styr.metrics.promql.ast import NumberLiteral
from styr.metrics.promql.features import Features
from styr.metrics.promql.lexer import Lexer, Token
from styr.metrics.promql.numbers import parse_duration, parse_number


class Tokens:
    """The stream with up to two tokens seen ahead."""

    most_nested = 100
    """Parentheses, calls, aggregations, powers and signs inside each other; each costs some frames of Python's stack, here and
    when it is evaluated."""
    most_text = 1 << 20
    """Characters of a query."""

    def __init__(self, text: str, features: Features) -> None:
        if len(text) > self.most_text:
            raise ParseError(f"query of {len(text)} characters; at most {self.most_text} are read")
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ParseError("invalid UTF-8 rune", text.encode("utf-8", "replace").decode())
        self.text, self.features = text, features
        self.closed = 0
        """End of the last closing token, number or duration that was taken."""
        self._lexer = Lexer(text)
        self._ahead: Token | None = None
        self._contexts: list[tuple[str, str]] = [("", "")]
        self._depth = 0
        self._next: Token | None = None

    @property
    def token(self) -> Token:
        """The next one, not yet taken. Read no earlier than it is asked for, so that errors come in Prometheus' order."""
        if self._next is None:
            self._next = self._lexer.next()
        return self._next

    def take(self) -> Token:
        taken = self.token
        if taken.kind in (")", "]", "}", "number", "duration"):
            self.closed = taken.end
        self._next, self._ahead = self._ahead, None
        return taken

    def after(self) -> Token:
        """The token after the next."""
        if self._next is None:
            self._next = self._lexer.next()
        if self._ahead is None:
            self._ahead = self._lexer.next()
        return self._ahead

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            raise self.surprise()
        return self.token if kind == "end of input" else self.take()

    def surprise(self, context: str = "", expected: str = "") -> ParseError:
        """The next token does not fit. Without arguments, worded by the innermost context."""
        if not context:
            context, expected = self._contexts[-1]
        message = f"unexpected {self.token.describe()}"
        if context:
            message += f" in {context}"
        if expected:
            message += f", expected {expected}"
        return ParseError(message, self.text, self.token.start, self.token.end)

    @contextmanager
    def context(self, context: str, expected: str) -> Iterator[None]:
        self._contexts.append((context, expected))
        yield
        self._contexts.pop()

    def enter(self) -> None:
        self._depth += 1
        if self._depth > self.most_nested:
            message = f"nested more than {self.most_nested} deep; split the query, with recording rules for its parts"
            raise ParseError(message, self.text, self.token.start, self.token.end)

    def leave(self) -> None:
        self._depth -= 1

    def number(self) -> NumberLiteral:
        """The next token, which is a number or a duration."""
        token = self.take()
        try:
            if token.kind == "duration":
                return NumberLiteral(parse_duration(token.text) / 1000, True, start=token.start, end=token.end)
            return NumberLiteral(parse_number(token.text), start=token.start, end=token.end)
        except BadData as error:
            raise ParseError(str(error), self.text, token.start, token.end) from None
