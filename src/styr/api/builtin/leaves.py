"""Single values of built-in kinds: what Go's decoder takes for each type, and the form in which Go writes it.

Called by `types`. Pure. Formats: Go's encoding/json, RFC 3339, resource.Quantity.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from styr.api.builtin import quantity

SCHEMAS: dict[str, type] = {"schemaorlist": list, "schemaorbool": bool, "schemaorstrings": list}
"""Places of a JSON schema where something else than a schema may stand."""
GO = {"bytes": "[]uint8", "double": "float64", "quantity": "resource.Quantity", "strings": "[]string"}
"""Go's name of a type where it is another."""

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,12}))?(?:Z|([-+])(\d\d):(\d\d))\Z")


class Misfit(Exception):
    """A value that the type does not take. `message` is a complete text, "" when `wanted`, the type, says it all."""

    def __init__(self, wanted: str, message: str = "") -> None:
        super().__init__(message or wanted)
        self.wanted = wanted
        self.message = message


def _string(value: Any) -> str:
    if type(value) is not str:
        raise Misfit("string")
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise Misfit("bool")
    return value


def _whole(bits: int) -> Callable[[Any], int]:
    limit, name = 1 << (bits - 1), f"int{bits}"

    def read(value: Any) -> int:
        if type(value) is not int or not -limit <= value < limit:
            raise Misfit(name)
        return value

    return read


def _double(value: Any) -> float:
    if type(value) is int or type(value) is float:
        return value
    raise Misfit("float64")


def _bytes(value: Any) -> str:
    if type(value) is not str:
        raise Misfit("[]uint8")
    try:
        raw = base64.b64decode(value.translate({10: None, 13: None}), validate=True)
    except (binascii.Error, ValueError):
        raise Misfit("", f"illegal base64 data at input byte {_bad_byte(value)}") from None
    return base64.b64encode(raw).decode()


def _bad_byte(text: str) -> int:
    match = re.match(r"[A-Za-z0-9+/\r\n]*", text)
    return match.end() if match else 0


def _quantity(value: Any) -> str:
    if type(value) is int or type(value) is float:
        value = str(value)
    if type(value) is not str:
        raise Misfit("", quantity.NOT_ONE)
    try:
        return quantity.canonical(value)
    except quantity.QuantityError as error:
        raise Misfit("", str(error)) from None


def _int_or_string(value: Any) -> int | str:
    if type(value) is str:
        return value
    return _whole(32)(value)


def _moment(value: Any, form: str) -> datetime:
    if type(value) is not str:
        raise Misfit("", "json: cannot unmarshal a value that is no string into Go value of type string")
    match = _TIME.match(value)
    try:
        if match is None:
            raise ValueError(value)
        year, month, day, hour, minute, second = map(int, match.groups()[:6])
        micros = int(((match[7] or "") + "000000")[:6])
        zone = UTC
        if match[8]:
            ahead = timedelta(hours=int(match[9]), minutes=int(match[10]))
            zone = timezone(ahead if match[8] == "+" else -ahead)
        return datetime(year, month, day, hour, minute, second, micros, zone).astimezone(UTC)
    except (ValueError, OverflowError):
        text = value[:80]
        raise Misfit("", f'parsing time "{text}" as "{form}": cannot parse "{text}" as "2006"') from None


def _time(value: Any) -> str | None:
    if value == "":
        return None
    return _moment(value, "2006-01-02T15:04:05Z07:00").replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _micro_time(value: Any) -> str | None:
    if value == "":
        return None
    moment = _moment(value, "2006-01-02T15:04:05.000000Z07:00")
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _strings(value: Any) -> list[str]:
    if type(value) is not list:
        raise Misfit("[]string")
    return [_string("" if item is None else item) for item in value]


def _any(value: Any) -> Any:
    return value


READERS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "bool": _bool,
    "int32": _whole(32),
    "int64": _whole(64),
    "double": _double,
    "bytes": _bytes,
    "strings": _strings,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "time": _time,
    "microtime": _micro_time,
    "json": _any,
    **dict.fromkeys(SCHEMAS, _any),
}
