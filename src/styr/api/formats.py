"""Values of `format` in a schema. Called by `schema`; pure. A format that is not named here is not checked, as in
Kubernetes. A value of a type that the format does not speak of passes."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

_HOSTNAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*\Z"
)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}\Z")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}\Z")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}\Z")
_DURATION = re.compile(r"[-+]?(?:\d{1,20}(?:\.\d{0,20})?(?:ns|us|µs|ms|s|m|h)){1,8}\Z|0\Z")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:[Zz]|[-+]\d\d:\d\d)\Z")


def _text(holds: Callable[[str], object]) -> Callable[[Any], bool]:
    """For strings only; a ValueError is a no."""

    def check(value: Any) -> bool:
        if not isinstance(value, str):
            return True
        try:
            return bool(holds(value))
        except ValueError:
            return False

    return check


def _date_time(value: str) -> bool:
    if not _DATE_TIME.match(value):
        return False
    whole, _, rest = value.upper().partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    datetime.fromisoformat((whole + zone).replace("Z", "+00:00"))
    return True


def _integer(bits: int) -> Callable[[Any], bool]:
    limit = 1 << (bits - 1)

    def check(value: Any) -> bool:
        return isinstance(value, bool) or not isinstance(value, (int, float)) or -limit <= value < limit

    return check


CHECKS: dict[str, Callable[[Any], bool]] = {
    "int32": _integer(32),
    "int64": _integer(64),
    "date": _text(date.fromisoformat),
    "date-time": _text(_date_time),
    "datetime": _text(_date_time),
    "duration": _text(_DURATION.match),
    "ipv4": _text(ipaddress.IPv4Address),
    "ipv6": _text(ipaddress.IPv6Address),
    "cidr": _text(lambda value: "/" in value and ipaddress.ip_network(value, strict=False)),
    "uri": _text(lambda value: urlsplit(value).scheme or value.startswith("/")),
    "hostname": _text(_HOSTNAME.match),
    "email": _text(_EMAIL.match),
    "mac": _text(_MAC.match),
    "uuid": _text(_UUID.match),
    "byte": _text(lambda value: base64.b64decode(value, validate=True) or bool(value)),
}
