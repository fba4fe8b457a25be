"""Strings: cel-go's extension in the version 2 that Kubernetes has."""

from __future__ import annotations

from typing import Any

from styr.cel.errors import CostExceeded, EvaluationError
from styr.cel.functions import Functions, function, member
from styr.cel.library.formatting import formatted
from styr.cel.library.standard import MAX_TEXT
from styr.cel.types import DYN, INT, STRING, list_of
from styr.cel.values import kind_of

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_QUOTED = str.maketrans(
    {
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\v": "\\v",
        "\\": "\\\\",
        '"': '\\"',
    }
)
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


def _out(index: int) -> EvaluationError:
    return EvaluationError(f"index out of range: {index}")


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise _out(index)
    return text[index : index + 1]


def _index_of(text: str, part: str, offset: int = 0) -> int:
    if part == "":
        return offset
    if offset < 0:
        raise _out(offset)
    return text.find(part, offset)


def _last_index_of(text: str, part: str) -> int:
    return len(text) if part == "" else text.rfind(part)


def _last_index_from(text: str, part: str, offset: int) -> int:
    if part == "":
        return offset
    if offset < 0:
        raise _out(offset)
    return -1 if offset >= len(text) else text.rfind(part, 0, min(offset + len(part), len(text)))


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    found = text.count(old) if count < 0 else min(count, text.count(old))
    if len(text) + found * (len(new) - len(old)) > MAX_TEXT:
        raise CostExceeded
    return text.replace(old, new, count if count >= 0 else -1)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if separator == "":
        if 0 < count < len(text):
            return [*text[: count - 1], text[count - 1 :]]
        return list(text)
    return text.split(separator, count - 1 if count > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    last = len(text) if end is None else end
    if start > last and end is not None:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    if not 0 <= start <= len(text):
        raise _out(start)
    if not 0 <= last <= len(text):
        raise _out(last)
    return text[start:last]


def _join(items: list[Any], separator: str = "") -> str:
    for item in items:
        if type(item) is not str:
            raise EvaluationError(f"join: invalid input: {kind_of(item)}")
    if sum(map(len, items)) + len(items) * len(separator) > MAX_TEXT:
        raise CostExceeded
    return separator.join(items)


FUNCTIONS: Functions = {
    "charAt": (member("string_char_at_int", (STRING, INT), STRING, _char_at),),
    "indexOf": (
        member("string_index_of_string", (STRING, STRING), INT, _index_of),
        member("string_index_of_string_int", (STRING, STRING, INT), INT, _index_of),
    ),
    "lastIndexOf": (
        member("string_last_index_of_string", (STRING, STRING), INT, _last_index_of),
        member("string_last_index_of_string_int", (STRING, STRING, INT), INT, _last_index_from),
    ),
    "lowerAscii": (member("string_lower_ascii", (STRING,), STRING, lambda text: text.translate(_LOWER)),),
    "upperAscii": (member("string_upper_ascii", (STRING,), STRING, lambda text: text.translate(_UPPER)),),
    "trim": (member("string_trim", (STRING,), STRING, lambda text: text.strip(_SPACE)),),
    "replace": (
        member("string_replace_string_string", (STRING, STRING, STRING), STRING, _replace),
        member("string_replace_string_string_int", (STRING, STRING, STRING, INT), STRING, _replace),
    ),
    "split": (
        member("string_split_string", (STRING, STRING), list_of(STRING), _split),
        member("string_split_string_int", (STRING, STRING, INT), list_of(STRING), _split),
    ),
    "substring": (
        member("string_substring_int", (STRING, INT), STRING, _substring),
        member("string_substring_int_int", (STRING, INT, INT), STRING, _substring),
    ),
    "join": (
        member("list_join", (list_of(STRING),), STRING, _join),
        member("list_join_string", (list_of(STRING), STRING), STRING, _join),
    ),
    "format": (member("string_format", (STRING, list_of(DYN)), STRING, formatted),),
    "strings.quote": (function("strings_quote", (STRING,), STRING, lambda text: f'"{text.translate(_QUOTED)}"'),),
}
