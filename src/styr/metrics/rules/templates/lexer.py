"""Tokens of Go's text/template. Called by `parser`. Pure; positions are offsets in characters.

Written after the language as its documentation (pkg.go.dev/text/template) and the messages of its implementation have
it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from styr.metrics.model.labels import quote

SPACES = " \t\r\n"
KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"))
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: text, left, right, space, assign, declare, pipe, string, raw, char constant ("rune"), number, complex,
    variable, field, dot, bool, identifier, "(", ")", char, eof, error (`value` is the message), or a keyword by its own
    name."""

    kind: str
    pos: int
    value: str
    line: int

    def __str__(self) -> str:
        """As messages name it."""
        if self.kind == "eof":
            return "EOF"
        if self.kind == "error":
            return self.value
        if self.kind in KEYWORDS or self.kind == "dot":
            return f"<{self.value}>"
        if len(self.value.encode()) > 10:
            return f"{quote(self.value.encode()[:10].decode(errors='replace'))}..."
        return quote(self.value)


class Lexer:
    """`next()` gives one token after another; after an error or the end, that one for ever."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.line = 1
        self._inside = False
        self._parens = 0
        self._over: Token | None = None

    def next(self) -> Token:
        if self._over is not None:
            return self._over
        token = self._action() if self._inside else self._outside()
        if token.kind in ("eof", "error"):
            self._over = token
        return token

    def _take(self, kind: str, end: int) -> Token:
        token = Token(kind, self.pos, self.text[self.pos : end], self.line)
        self._skip(end)
        return token

    def _skip(self, end: int) -> None:
        self.line += self.text.count("\n", self.pos, end)
        self.pos = end

    def _error(self, message: str, line: int | None = None) -> Token:
        return Token("error", self.pos, message, self.line if line is None else line)

    def _outside(self) -> Token:
        text = self.text
        while True:
            found = text.find("{{", self.pos)
            if found < 0:
                return self._take("text", len(text)) if self.pos < len(text) else Token("eof", self.pos, "", self.line)
            trims = _trims_left(text, found + 2)
            end = found
            if trims:
                end = self.pos + len(text[self.pos : found].rstrip(SPACES))
            if end > self.pos:
                return self._take("text", end)
            self._skip(found)
            after = found + 2 + (2 if trims else 0)
            if not text.startswith("/*", after):
                token = self._take("left", found + 2)
                self._skip(after)
                self._inside, self._parens = True, 0
                return token
            fault = self._comment(after)
            if fault is not None:
                return fault

    def _comment(self, start: int) -> Token | None:
        text, line = self.text, self.line
        end = text.find("*/", start + 2)
        if end < 0:
            return self._error("unclosed comment", line)
        end += 2
        delimiter, trims = self._right(end)
        if not delimiter:
            return self._error("comment ends before closing delimiter", line + text.count("\n", self.pos, end))
        end += 2 + (2 if trims else 0)
        self._skip(end)
        if trims:
            self._trim()
        return None

    def _right(self, at: int) -> tuple[bool, bool]:
        text = self.text
        if text[at : at + 1] and text[at] in SPACES and text.startswith("-}}", at + 1):
            return True, True
        return text.startswith("}}", at), False

    def _trim(self) -> None:
        end = self.pos
        while end < len(self.text) and self.text[end] in SPACES:
            end += 1
        self._skip(end)

    def _action(self) -> Token:
        text, at = self.text, self.pos
        delimiter, trims = self._right(at)
        if delimiter:
            return self._close(trims)
        if at >= len(text):
            return self._error("unclosed action")
        char = text[at]
        if char in SPACES:
            return self._space()
        simple = _SIMPLE.get(char)
        if simple is not None:
            return self._take(simple, at + 1)
        if char == ":":
            if text.startswith(":=", at):
                return self._take("declare", at + 2)
            return self._error("expected :=")
        if char in "\"'":
            return self._quoted(char)
        if char == "`":
            end = text.find("`", at + 1)
            return self._take("raw", end + 1) if end >= 0 else self._error("unterminated raw quoted string")
        if char in "()":
            return self._paren(char)
        return self._word(char)

    def _close(self, trims: bool) -> Token:
        if self._parens:
            return self._error("unclosed left paren")
        if trims:
            self._skip(self.pos + 2)
        token = self._take("right", self.pos + 2)
        if trims:
            self._trim()
        self._inside = False
        return token

    def _space(self) -> Token:
        end = self.pos
        while end < len(self.text) and self.text[end] in SPACES:
            end += 1
        if self.text.startswith("-}}", end):
            end -= 1  # that space belongs to the marker
            if end == self.pos:
                return self._close(True)
        return self._take("space", end)

    def _paren(self, char: str) -> Token:
        self._parens += 1 if char == "(" else -1
        if self._parens < 0:
            return self._error("unexpected right paren")
        return self._take(char, self.pos + 1)

    def _quoted(self, char: str) -> Token:
        what = "unterminated quoted string" if char == '"' else "unterminated character constant"
        at = self.pos + 1
        while at < len(self.text):
            here = self.text[at]
            if here == char:
                return self._take("string" if char == '"' else "rune", at + 1)
            if here == "\n" or (here == "\\" and self.text[at + 1 : at + 2] in ("", "\n")):
                break
            at += 2 if here == "\\" else 1
        return self._error(what)

    def _word(self, char: str) -> Token:
        text, at = self.text, self.pos
        following = text[at + 1 : at + 2]
        if char == "$" or (char == "." and not ("0" <= following <= "9")):
            return self._field("variable" if char == "$" else "field")
        if char in "+-." or "0" <= char <= "9":
            return self._number()
        if _alphanumeric(char):
            end = self._run(at)
            if not self._terminated(end):
                return self._error(f"bad character {unicode_name(text[end])}")
            word = text[at:end]
            kind = word if word in KEYWORDS else "bool" if word in ("true", "false") else "identifier"
            return self._take(kind, end)
        if char.isascii() and char.isprintable():
            return self._take("char", at + 1)
        return self._error(f"unrecognized character in action: {unicode_name(char)}")

    def _field(self, kind: str) -> Token:
        end = self.pos + 1
        if self._terminated(end):
            return self._take("variable" if kind == "variable" else "dot", end)
        end = self._run(end)
        if not self._terminated(end):
            return self._error(f"bad character {unicode_name(self.text[end])}")
        return self._take(kind, end)

    def _number(self) -> Token:
        found = _NUMBER.match(self.text, self.pos)
        end = found.end() if found else self.pos
        following = self.text[end : end + 1]
        if following in ("+", "-") and following:
            second = _NUMBER.match(self.text, end)
            stop = second.end() if second else end
            if self.text[stop - 1] == "i" and not _alphanumeric(self.text[stop : stop + 1]):
                return self._take("complex", stop)
            return self._error(f"bad number syntax: {quote(self.text[self.pos : stop + _alnum_at(self.text, stop)])}")
        if _alphanumeric(following):
            return self._error(f"bad number syntax: {quote(self.text[self.pos : end + 1])}")
        return self._take("number", end)

    def _run(self, at: int) -> int:
        while at < len(self.text) and _alphanumeric(self.text[at]):
            at += 1
        return at

    def _terminated(self, at: int) -> bool:
        char = self.text[at : at + 1]
        return not char or char in SPACES or char in ".,|:)(" or self.text.startswith("}}", at)


_SIMPLE = {"=": "assign", "|": "pipe"}


def _trims_left(text: str, at: int) -> bool:
    return text[at : at + 1] == "-" and text[at + 1 : at + 2] != "" and text[at + 1] in SPACES


def _alphanumeric(char: str) -> bool:
    return char == "_" or (char != "" and (char.isalpha() or char.isdecimal()))


def _alnum_at(text: str, at: int) -> int:
    return 1 if _alphanumeric(text[at : at + 1]) else 0


def unicode_name(char: str) -> str:
    """Go's %#U."""
    code = f"U+{ord(char):04X}"
    return f"{code} '{char}'" if char.isprintable() else code
