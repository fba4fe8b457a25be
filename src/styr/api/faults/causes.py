"""The causes of a refusal, worded as Kubernetes words them. Each function makes one `Cause`; the rules of the kinds yield them.

Pure. A path is a dotted text, such as `spec.ports[0].name`; `OMITTED` stands for a value that the text leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from styr.kinds.errors import Cause

Faults = Iterator[Cause]
OMITTED: Any = object()


def required(path: str, detail: str = "") -> Cause:
    return _cause("FieldValueRequired", path, _with("Required value", detail))


def invalid(path: str, value: Any, detail: str = "") -> Cause:
    return _cause("FieldValueInvalid", path, _with(f"Invalid value{_shown(value)}", detail))


def unsupported(path: str, value: Any, options: Iterable[str]) -> Cause:
    listed = ", ".join(quoted(option) for option in options)
    detail = f"supported values: {listed}" if listed else ""
    return _cause("FieldValueNotSupported", path, _with(f"Unsupported value{_shown(value)}", detail))


def duplicate(path: str, value: Any) -> Cause:
    return _cause("FieldValueDuplicate", path, f"Duplicate value{_shown(value)}")


def forbidden(path: str, detail: str = "") -> Cause:
    return _cause("FieldValueForbidden", path, _with("Forbidden", detail))


def not_found(path: str, value: Any) -> Cause:
    return _cause("FieldValueNotFound", path, f"Not found{_shown(value)}")


def too_long(path: str, most: int) -> Cause:
    return _cause("FieldValueTooLong", path, f"Too long: may not be more than {most} byte{'' if most == 1 else 's'}")


def too_many(path: str, count: int, most: int) -> Cause:
    words = f"Too many: {count}: must have at most {most} item{'' if most == 1 else 's'}"
    return _cause("FieldValueTooMany", path, words)


def internal(path: str, detail: str) -> Cause:
    return _cause("InternalError", path, _with("Internal error", detail))


def each(path: str, value: Any, details: Iterable[str]) -> Faults:
    """One `invalid` for each thing that is wrong with a value."""
    for detail in details:
        yield invalid(path, value, detail)


def immutable(path: str, new: Any, old: Any) -> Faults:
    """For a field that never changes."""
    if new != old:
        yield invalid(path, new, "field is immutable")


def not_negative(path: str, value: Any) -> Faults:
    if value is not None and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def one_of(path: str, value: Any, options: Sequence[str], *, needed: bool = True) -> Faults:
    """An enum; "" and None are a missing value where it is `needed`, else nothing."""
    if value in (None, ""):
        if needed:
            yield required(path)
    elif value not in options:
        yield unsupported(path, value, options)


def quoted(text: str) -> str:
    """As Go quotes a text."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_ESCAPES.get(char) or (char if char.isprintable() else _escape(char)) for char in text) + '"'


def get(value: Any, *steps: str) -> Any:
    """What stands below, None where a step leads nowhere."""
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _shown(value: Any) -> str:
    if value is OMITTED:
        return ""
    if isinstance(value, str):
        return f": {quoted(value)}"
    if isinstance(value, bool):
        return f": {'true' if value else 'false'}"
    if isinstance(value, int | float):
        return f": {value}"
    return f": {json.dumps(value, separators=(',', ':'), sort_keys=isinstance(value, dict), ensure_ascii=False)}"


def _with(head: str, detail: str) -> str:
    return f"{head}: {detail}" if detail else head


def _cause(reason: str, path: str, message: str) -> Cause:
    return {"reason": reason, "field": path, "message": message}
