"""Go's literals: quoted strings, characters, numbers. Called by `parser`. Pure."""

from __future__ import annotations

import re

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_HEX = {"x": 2, "u": 4, "U": 8}
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+")
_INTEGER = re.compile(r"([+-]?)(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|0[0-7_]*|[1-9][0-9_]*)")
_INVALID = "invalid syntax"


def unquote(literal: str) -> str:
    """What a "..." or `...` literal means; bytes written as \\x that are no UTF-8 become U+FFFD. Raises ValueError."""
    inner = literal[1:-1]
    if literal[0] == "`":
        return inner.replace("\r", "")
    out = bytearray()
    at = 0
    while at < len(inner):
        piece, at = _character(inner, at, '"')
        out += piece
    return out.decode("utf-8", "replace")


def _character(text: str, at: int, quote: str) -> tuple[bytes, int]:
    """One character or escape: its bytes, and where the next begins."""
    char = text[at]
    if char != "\\":
        return char.encode("utf-8", "replace"), at + 1
    kind = text[at + 1 : at + 2]
    if kind in _SIMPLE and kind:
        return _SIMPLE[kind].encode(), at + 2
    if kind == quote:
        return quote.encode(), at + 2
    if kind in _HEX and kind:
        end = at + 2 + _HEX[kind]
        digits = text[at + 2 : end]
        if len(digits) == _HEX[kind] and re.fullmatch(r"[0-9a-fA-F]+", digits):
            code = int(digits, 16)
            if kind == "x":
                return bytes([code]), end
            if code < 0x110000 and not 0xD800 <= code < 0xE000:
                return chr(code).encode(), end
    octal = text[at + 1 : at + 4]
    if re.fullmatch(r"[0-7]{3}", octal) and int(octal, 8) < 256:
        return bytes([int(octal, 8)]), at + 4
    raise ValueError(_INVALID)


def number(kind: str, text: str) -> tuple[int | None, float | None, complex | None]:
    """(integer, real, complex) values of a constant, None where it has none. Raises ValueError with Go's words."""
    if kind == "rune":
        return _rune(text)
    if kind == "complex":
        middle = max(text.rfind("+"), text.rfind("-"))
        while middle > 0 and text[middle - 1] in "eEpP":
            middle = max(text.rfind("+", 0, middle), text.rfind("-", 0, middle))
        return _simplified(complex(_float(text[:middle]), _float(text[middle:-1])))
    if text.endswith("i"):
        return _simplified(complex(0.0, _float(text[:-1])))
    whole = _integer(text)
    if whole is not None and -(1 << 63) <= whole < 1 << 64:
        return whole, float(whole), None
    if whole is not None and not any(char in text for char in ".eEpP"):
        raise ValueError(f'integer overflow: "{text}"')
    try:
        real = _float(text)
    except ValueError:
        raise ValueError(f'illegal number syntax: "{text}"') from None
    return (int(real) if abs(real) < 2**63 and real == int(real) else None), real, None


def _rune(text: str) -> tuple[int, float, None]:
    inner = text[1:-1]
    if not inner or inner == "'":
        raise ValueError(_INVALID)
    piece, end = _character(inner, 0, "'")
    if end != len(inner):
        raise ValueError(f"malformed character constant: {text}")
    char = piece.decode("utf-8", "surrogateescape")
    code = ord(char) - 0xDC00 if 0xDC80 <= ord(char) < 0xDD00 else ord(char)
    return code, float(code), None


def _simplified(value: complex) -> tuple[int | None, float | None, complex]:
    if value.imag:
        return None, None, value
    return (int(value.real) if value.real.is_integer() else None), value.real, value


def _integer(text: str) -> int | None:
    found = _INTEGER.fullmatch(text)
    if found is None or not _underscores(found.group(2)):
        return None
    digits = found.group(2).replace("_", "")
    base = 8 if re.fullmatch(r"0[0-7]+", digits) else 0
    return int(found.group(1) + digits, base)


def _underscores(digits: str) -> bool:
    return "__" not in digits and not digits.endswith("_")


def _float(text: str) -> float:
    if _FLOAT.fullmatch(text):
        value = float(text)
    elif _HEX_FLOAT.fullmatch(text):
        value = float.fromhex(text)
    else:
        raise ValueError(f'illegal number syntax: "{text}"')
    if value in (float("inf"), float("-inf")):
        raise ValueError(f'illegal number syntax: "{text}"')
    return value
