"""The functions of text/template itself. Called by `execute`. Pure. `and`, `or` and `call` are the executor's, since
they do not evaluate all of their arguments, or call one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

from styr.metrics.model.histogram import Histogram
from styr.metrics.rules.templates.printing import bounded, plain, sprint, sprintf, sprintln
from styr.metrics.rules.templates.values import ANY, REFLECT, CallFailed, Function, GoList, GoMap, Html, Struct, is_true
from styr.metrics.rules.templates.values import type_name as name_of

_BAD = "invalid type for comparison"


def _index(item: Any, *indexes: Any) -> Any:
    if item is None:
        raise CallFailed("index of untyped nil")
    for index in indexes:
        if item is None:
            raise CallFailed("index of nil pointer")
        if isinstance(item, GoMap):
            if not isinstance(index, str):
                if index is None:
                    raise CallFailed("value is nil; should be of type string")
                raise CallFailed(f"value has type {name_of(index)}; should be string")
            item = item.get(index, item.zero)
        elif isinstance(item, (GoList, str)):
            units: Any = item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item
            at = _position(index, len(units))
            if at == len(units):
                raise CallFailed(
                    f"error calling index: reflect: {'string' if isinstance(item, str) else 'slice'} index out of range"
                )
            item = units[at]
        else:
            raise CallFailed(f"can't index item of type {name_of(item)}")
    return item


def _position(index: Any, most: int) -> int:
    if index is None:
        raise CallFailed("cannot index slice/array with nil")
    if not isinstance(index, int) or isinstance(index, bool):
        raise CallFailed(f"cannot index slice/array with type {name_of(index)}")
    if not 0 <= index <= most:
        raise CallFailed(f"index out of range: {index}")
    return index


def _slice(item: Any, *indexes: Any) -> Any:
    if item is None:
        raise CallFailed("slice of untyped nil")
    if len(indexes) > 3:
        raise CallFailed(f"too many slice indexes: {len(indexes)}")
    if isinstance(item, str):
        if len(indexes) == 3:
            raise CallFailed("cannot 3-index slice a string")
        units: Any = item.encode("utf-8", "surrogatepass")
    elif isinstance(item, GoList):
        units = item
    else:
        raise CallFailed(f"can't slice item of type {name_of(item)}")
    bounds = [0, len(units)]
    for place, index in enumerate(indexes[:2]):
        bounds[place] = _position(index, len(units))
    if bounds[0] > bounds[1]:
        raise CallFailed(f"invalid slice index: {bounds[0]} > {bounds[1]}")
    if len(indexes) == 3 and bounds[1] > _position(indexes[2], len(units)):
        raise CallFailed(f"invalid slice index: {bounds[1]} > {indexes[2]}")
    part = units[bounds[0] : bounds[1]]
    if isinstance(item, GoList):
        return GoList(part, item.elem, item.type, item.methods)
    return part.decode("utf-8", "replace")


def _len(item: Any) -> int:
    if item is None:
        raise CallFailed("reflect: call of reflect.Value.Type on zero Value")
    if isinstance(item, str):
        return len(item.encode("utf-8", "surrogatepass"))
    if isinstance(item, (GoMap, GoList)):
        return len(item)
    raise CallFailed(f"len of type {name_of(item)}")


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    return {int: "int", float: "float", complex: "complex"}.get(type(value), "")


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise CallFailed("missing argument for comparison")
    kind = _kind(first)
    for other in others:
        if kind != _kind(other):
            if first is not None and other is not None:
                raise CallFailed(f"incompatible types for comparison: {name_of(first)} and {name_of(other)}")
            same = False
        elif kind:
            same = first == other
        elif first is None or other is None:
            same = first is other
        elif isinstance(other, (GoMap, GoList)):
            raise CallFailed(f"non-comparable type {plain(other)}: {name_of(other)}")
        else:
            same = _identical(first, other)
        if same:
            return True
    return False


def _identical(first: Any, other: Any) -> bool:
    if isinstance(first, Struct) and isinstance(other, Struct) and first.shown and other.shown:
        return first.type == other.type and not first.pointer and first.shown() == other.shown()
    return first is other and isinstance(first, (Struct, Histogram))


def _less(first: Any, other: Any) -> bool:
    kinds = _kind(first), _kind(other)
    if not all(kinds):
        raise CallFailed(_BAD)
    if kinds[0] != kinds[1]:
        raise CallFailed(f"incompatible types for comparison: {name_of(first)} and {name_of(other)}")
    if kinds[0] in ("bool", "complex"):
        raise CallFailed(_BAD)
    less: bool = first < other
    return less


def _less_or_equal(first: Any, other: Any) -> bool:
    return _less(first, other) or _eq(first, other)


def _text(args: tuple[Any, ...]) -> str:
    return args[0] if len(args) == 1 and type(args[0]) is str else sprint(args)


_HTML = str.maketrans({'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"})
_JS = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}


def html_escape(text: str) -> str:
    return text.translate(_HTML)


def js_escape(text: str) -> str:
    out = []
    for char in text:
        if char in _JS:
            out.append(_JS[char])
        elif char < " ":
            out.append(f"\\u{ord(char):04X}")
        elif char.isascii() or char.isprintable():
            out.append(char)
        else:
            out.append(f"\\u{ord(char):04X}")
    return "".join(out)


BUILTINS: dict[str, Function] = {
    "and": Function(lambda *_: None, (REFLECT,), REFLECT),
    "or": Function(lambda *_: None, (REFLECT,), REFLECT),
    "call": Function(lambda *_: None, (REFLECT,), REFLECT),
    "html": Function(lambda *args: bounded(html_escape(_text(args))), (), ANY),
    "index": Function(_index, (REFLECT,), REFLECT),
    "slice": Function(_slice, (REFLECT,), REFLECT),
    "js": Function(lambda *args: bounded(js_escape(_text(args))), (), ANY),
    "len": Function(_len, (REFLECT,)),
    "not": Function(lambda value: not is_true(value), (REFLECT,)),
    "print": Function(lambda *args: sprint(args), (), ANY),
    "printf": Function(lambda form, *args: sprintf(form, args), ("string",), ANY),
    "println": Function(lambda *args: sprintln(args), (), ANY),
    "urlquery": Function(lambda *args: quote_plus(_text(args), safe="~"), (), ANY),
    "eq": Function(_eq, (REFLECT,), REFLECT),
    "ne": Function(lambda a, b: not _eq(a, b), (REFLECT, REFLECT)),
    "lt": Function(_less, (REFLECT, REFLECT)),
    "le": Function(_less_or_equal, (REFLECT, REFLECT)),
    "gt": Function(lambda a, b: not _less_or_equal(a, b), (REFLECT, REFLECT)),
    "ge": Function(lambda a, b: not _less(a, b), (REFLECT, REFLECT)),
}
__all__ = ["BUILTINS", "Html", "html_escape"]
