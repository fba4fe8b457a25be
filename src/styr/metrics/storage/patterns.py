"""What a regular expression can be answered with without running it: a list of strings, or a prefix of all matches. Pure.

Called by whatever looks matchers up in sorted values (blocks, the head). Understands the part of RE2's language that people
write in matchers: literals, escaped punctuation, groups, alternation, small classes, `?`. Anything else means "not known".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

_MOST = 256
"""Strings in an answer; more are no longer cheaper than the expression."""
_PUNCTUATION = frozenset(".+*?()|[]{}^$\\/-_:=@,;&%#!\"'<>~` ")
_META = frozenset(".+*?()|[]{}^$\\")


class _Unknown(Exception):
    """The expression says more than is understood here."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`exact`: all strings that match, and no other does (None: not known). `prefix`: every match begins with it."""

    exact: tuple[str, ...] | None
    prefix: str


@lru_cache(maxsize=4096)
def shape(pattern: str) -> Shape:
    """Of an anchored expression."""
    try:
        exact = _Parser(pattern).whole()
    except _Unknown:
        return Shape(None, _prefix(pattern))
    return Shape(tuple(dict.fromkeys(exact)), _common(exact))


def _common(strings: list[str]) -> str:
    low, high = min(strings), max(strings)
    size = 0
    while size < min(len(low), len(high)) and low[size] == high[size]:
        size += 1
    return low[:size]


def _prefix(pattern: str) -> str:
    """The literals that the expression begins with; none when it has alternatives outside groups, which may begin otherwise."""
    depth, at = 0, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            if pattern[at + 1 : at + 2] not in _PUNCTUATION:
                return ""  # \Q, for one, changes what follows.
            at += 1
        elif char == "[":
            return "" if "|" in pattern else _literals(pattern)
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and depth == 0:
            return ""
        at += 1
    return _literals(pattern)


def _literals(pattern: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
            char = pattern[at : at + 1]
            if not char or char not in _PUNCTUATION:
                break
        elif char in _META:
            if char in "*?{":
                del out[-1:]  # The literal before may be absent.
            break
        out.append(char)
        at += 1
    return "".join(out)


class _Parser:
    """Every method returns all strings that the part it reads can match; raises _Unknown."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0

    def whole(self) -> list[str]:
        found = self._alternatives()
        if self._at < len(self._pattern):
            raise _Unknown
        return found

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _alternatives(self) -> list[str]:
        found = self._sequence()
        while self._peek() == "|":
            self._at += 1
            found += self._sequence()
            if len(found) > _MOST:
                raise _Unknown
        return found

    def _sequence(self) -> list[str]:
        found = [""]
        while (char := self._peek()) and char not in "|)":
            part = self._atom()
            if self._peek() == "?":
                self._at += 1
                part = [*part, ""]
            if self._peek() in ("*", "+", "?", "{"):
                raise _Unknown
            if len(found) * len(part) > _MOST:
                raise _Unknown
            found = [before + after for before in found for after in part]
        return found

    def _atom(self) -> list[str]:
        char = self._peek()
        self._at += 1
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == "\\":
            char = self._peek()
            self._at += 1
            if not char or char not in _PUNCTUATION:
                raise _Unknown
            return [char]
        if char in _META:
            raise _Unknown
        return [char]

    def _group(self) -> list[str]:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise _Unknown
            self._at += 2
        found = self._alternatives()
        if self._peek() != ")":
            raise _Unknown
        self._at += 1
        return found

    def _class(self) -> list[str]:
        end = self._pattern.find("]", self._at)
        inside = self._pattern[self._at : end]
        if end < 0 or not inside or not all(char.isascii() and (char.isalnum() or char == "_") for char in inside):
            raise _Unknown  # Ranges, negations, named classes.
        self._at = end + 1
        return list(inside)
