"""`string.format(list)`: Go's verbs %s %d %f %e %b %x %X %o, with the texts of cel-go's `formatting.go`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from styr.cel.errors import EvaluationError
from styr.cel.library import conversions
from styr.cel.values import Duration, Fields, Timestamp, TypeValue, UInt, keys_of, kind_of
from styr.kit.floats import show_double

PRECISION = 6
MAX_PRECISION = 1000
_CLAUSE = re.compile(r"%(?:%|(?:\.(\d*))?(.?))", re.DOTALL)
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def formatted(template: str, args: list[Any]) -> str:
    """Raises EvaluationError."""
    parts: list[str] = []
    last = used = 0
    for match in _CLAUSE.finditer(template):
        parts.append(template[last : match.start()])
        last = match.end()
        if match.group() == "%%":
            parts.append("%")
            continue
        if used >= len(args):
            raise EvaluationError(f"index {used} out of range")
        parts.append(_clause(match[2], match[1], args[used]))
        used += 1
    parts.append(template[last:])
    return "".join(parts)


_CHECKED = {
    "d": ("int", "uint"),
    "f": ("double", "string"),
    "e": ("double", "string"),
    "b": ("int", "uint", "bool"),
    "x": ("int", "uint", "string", "bytes"),
    "X": ("int", "uint", "string", "bytes"),
    "o": ("int", "uint"),
}


def fault(template: str, kinds: list[tuple[str, str]]) -> str:
    """What is wrong with a template that is written out, "" if nothing. `kinds` are (kind, name) of its arguments' types."""
    used = 0
    for match in _CLAUSE.finditer(template):
        if match.group() == "%%":
            continue
        if used >= len(kinds):
            return f"index {used} out of range"
        kind, name = kinds[used]
        used += 1
        wrong = kind == "opaque" if match[2] == "s" else kind not in _CHECKED.get(match[2], (kind,))
        if match[2] not in _VERBS or (wrong and kind != "dyn"):
            try:
                _clause(match[2], match[1], _Other(name))
            except EvaluationError as error:
                return str(error)
    return (
        f"too many arguments supplied to string.format (expected {used}, got {len(kinds)})" if used < len(kinds) else ""
    )


class _Other(Fields):
    """Stands for a value of a type that a clause does not take."""

    def __init__(self, name: str) -> None:
        self.type_name = name


def _clause(verb: str, precision: str | None, value: Any) -> str:
    if not verb:
        raise EvaluationError("unexpected end of string")
    write = _VERBS.get(verb)
    if write is None:
        raise EvaluationError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')
    digits = PRECISION
    if precision is not None:
        if not precision or len(precision) > 4 or int(precision) > MAX_PRECISION:
            raise EvaluationError("could not parse formatting clause: error while parsing precision")
        digits = int(precision)
    return write(value, digits)


def _wrong(clause: str, value: Any) -> EvaluationError:
    return EvaluationError(f"error during formatting: {clause}, was given {kind_of(value)}")


def _string(value: Any, _: int) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, dict):
        return _map(value)
    if isinstance(value, TypeValue):
        return value.name
    if type(value) in (bool, int, UInt, float, str, bytes, Duration, Timestamp):
        return conversions.to_string(value)
    raise _wrong(
        "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
        value,
    )


def _within(value: Any) -> str:
    """An element of a list or map: as a literal of the language where it has one."""
    if type(value) is float:
        return f"{value:.6f}" if math.isfinite(value) else f'"{show_double(value)}"'
    if isinstance(value, TypeValue):
        return f"type({value.name})"
    text = _string(value, 0)
    if type(value) is str:
        return json.dumps(text, ensure_ascii=False)
    if type(value) is bytes:
        return "b" + json.dumps(text, ensure_ascii=False)
    if type(value) is Duration:
        return f'duration("{text}")'
    if type(value) is Timestamp:
        return f'timestamp("{text}")'
    return text


def _list(value: list[Any]) -> str:
    return f"[{', '.join(map(_within, value))}]"


def _map(value: dict[Any, Any]) -> str:
    pairs = sorted((_within(key), _within(item)) for key, item in zip(keys_of(value), value.values(), strict=True))
    return "{" + ", ".join(f"{key}:{item}" for key, item in pairs) + "}"


def _decimal(value: Any, _: int) -> str:
    if type(value) not in (int, UInt):
        raise _wrong("decimal clause can only be used on integers", value)
    return str(int(value))


def _real(value: Any, clause: str) -> float:
    if type(value) is str and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if type(value) is not float:
        raise _wrong(f"{clause} clause can only be used on doubles", value)
    return float(value)


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    return ("∞" if value > 0 else "-∞") if math.isinf(value) else None


def _fixed(value: Any, digits: int) -> str:
    number = _real(value, "fixed-point")
    return _special(number) or f"{number:,.{digits}f}"


def _scientific(value: Any, digits: int) -> str:
    number = _real(value, "scientific")
    if special := _special(number):
        return special
    mantissa, _, exponent = f"{number:.{digits}e}".partition("e")
    sign = "-" if exponent[0] == "-" else ""
    return f"{mantissa}×10{(sign + exponent[1:]).translate(_SUPERSCRIPT)}"


def _based(letter: str, clause: str) -> Callable[[Any, int], str]:
    def write(value: Any, _: int) -> str:
        if type(value) in (int, UInt):
            return format(int(value), letter)
        if type(value) is bool and letter == "b":
            return str(int(value))
        if letter in "xX" and type(value) in (str, bytes):
            data = value.encode() if isinstance(value, str) else value
            return str(data.hex()) if letter == "x" else str(data.hex().upper())
        raise _wrong(clause, value)

    return write


_VERBS: dict[str, Callable[[Any, int], str]] = {
    "s": _string,
    "d": _decimal,
    "f": _fixed,
    "e": _scientific,
    "b": _based("b", "only integers and bools can be formatted as binary"),
    "x": _based("x", "only integers, byte buffers, and strings can be formatted as hex"),
    "X": _based("X", "only integers, byte buffers, and strings can be formatted as hex"),
    "o": _based("o", "octal clause can only be used on integers"),
}
