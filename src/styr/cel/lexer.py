"""Text to tokens. Called by the parser; pure. Grammar: cel-spec `doc/langdef.md`, "Syntax"."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from styr.cel.errors import Issue
from styr.cel.values import UInt

MAX_TEXT = 100_000
"""Characters of one expression."""

_WORDS_KEPT = "as break const continue else for function if import let loop package namespace return var void while"
RESERVED = frozenset(_WORDS_KEPT.split())

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<uint>(?:0x[0-9a-fA-F]+|\d+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<text>[bB]?(?:[rR](?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|"[^"\n\r]*"|'[^'\n\r]*')
        |\"\"\"(?:[^\\]|\\[\s\S])*?\"\"\"|'''(?:[^\\]|\\[\s\S])*?'''
        |"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*'))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<mark>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\?\"'`])|[xX](?P<hex>[0-9a-fA-F]{2})|u(?P<u4>[0-9a-fA-F]{4})|U(?P<u8>[0-9a-fA-F]{8})"
    r"|(?P<octal>[0-3][0-7]{2})|(?P<wrong>[\s\S]?))"
)
_PLAIN = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))


class Token(NamedTuple):
    """`kind` is name, const, end, or the mark itself; `value` a constant's."""

    kind: str
    text: str
    position: int
    value: Any = None


class Unreadable(Exception):
    """A part of the text that is no token."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.issue = Issue(position, message)


def tokenize(text: str) -> list[Token]:
    """All tokens, the last one of kind `end`. Raises `Unreadable`."""
    found: list[Token] = []
    at, size = 0, len(text)
    while at < size:
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at : at + 1]
            fault = "unsupported syntax: '`'" if rest == "`" else f"Syntax error: token recognition error at: '{rest}'"
            raise Unreadable(at, fault)
        kind, piece = match.lastgroup, match.group()
        if kind == "mark":
            found.append(Token(piece, piece, at))
        elif kind == "name":
            found.append(_name(piece, at))
        elif kind != "space":
            found.append(Token("const", piece, at, _READ[str(kind)](piece, at)))
        at = match.end()
    found.append(Token("end", "<EOF>", size))
    return found


_WORDS = {"true": True, "false": False, "null": None}


def _name(piece: str, at: int) -> Token:
    if piece in _WORDS:
        return Token("const", piece, at, _WORDS[piece])
    return Token("in" if piece == "in" else "name", piece, at)


def _number(piece: str) -> int:
    return int(piece, 16) if piece[:2] in ("0x", "0X") else int(piece) if len(piece) < 40 else 1 << 70


def _int(piece: str, at: int) -> int:
    value = _number(piece)
    if value > 1 << 63:  # 2**63 itself is right after a minus
        raise Unreadable(at, "invalid int literal")
    return value


def _uint(piece: str, at: int) -> UInt:
    value = _number(piece[:-1])
    if value >= 1 << 64:
        raise Unreadable(at, "invalid uint literal")
    return UInt(value)


def _float(piece: str, at: int) -> float:
    value = float(piece)
    if value in (float("inf"), float("-inf")):
        raise Unreadable(at, "invalid double literal")
    return value


def _text(piece: str, at: int) -> str | bytes:
    binary = piece[0] in "bB"
    piece = piece[1:] if binary else piece
    raw = piece[0] in "rR"
    piece = piece[1:] if raw else piece
    fence = 3 if piece[:3] in ('"""', "'''") and len(piece) >= 6 else 1
    inner = piece[fence:-fence]
    if fence == 3:
        inner = inner.replace("\r\n", "\n").replace("\r", "\n")
    if raw or "\\" not in inner:
        return inner.encode() if binary else inner
    return _unescape_bytes(inner, at) if binary else _unescape(inner, at)


def _code(match: re.Match[str], at: int) -> int:
    if plain := match["plain"]:
        return ord(_PLAIN.get(plain, plain))
    if octal := match["octal"]:
        return int(octal, 8)
    digits = match["hex"] or match["u4"] or match["u8"]
    if digits is None:
        raise Unreadable(at, "unable to unescape string")
    value = int(digits, 16)
    if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
        raise Unreadable(at, "unable to unescape string")
    return value


def _unescape(inner: str, at: int) -> str:
    return _ESCAPE.sub(lambda match: chr(_code(match, at)), inner)


def _unescape_bytes(inner: str, at: int) -> bytes:
    parts: list[bytes] = []
    last = 0
    for match in _ESCAPE.finditer(inner):
        parts.append(inner[last : match.start()].encode())
        if match["u4"] or match["u8"]:
            raise Unreadable(at, "unable to unescape string")
        parts.append(bytes([_code(match, at)]))
        last = match.end()
    parts.append(inner[last:].encode())
    return b"".join(parts)


_READ: dict[str, Any] = {"float": _float, "uint": _uint, "int": _int, "text": _text}
