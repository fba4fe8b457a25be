"""Acting as somebody else: `kubectl --as`. Headers Impersonate-User, -Group, -Uid and -Extra-KEY, each authorized by itself, by
the verb `impersonate`. Called by the server before anything else is decided; pure but for the question to the authorizer.

`serving` joins repeated Impersonate headers by newlines, which no header can hold: a group may have a comma in its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from styr.kinds.errors import BadRequest
from styr.kinds.transport import ANONYMOUS, User

PREFIX = "impersonate-"
_EXTRA = f"{PREFIX}extra-"
_AUTHENTICATION = "authentication.k8s.io"
_ALL, _NOBODY = "system:authenticated", "system:unauthenticated"
_LABEL, _SUBDOMAIN = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_ACCOUNT = re.compile(f"system:serviceaccount:({_LABEL}):({_SUBDOMAIN})")
MAX_PARTS = 1000

Authorize = Callable[[User, str, str, str, str, str, str, str], None]


class Part(NamedTuple):
    """One thing to be, as the authorizer is asked for it."""

    group: str
    resource: str
    name: str
    namespace: str = ""
    subresource: str = ""


def acting(user: User, headers: Mapping[str, str], authorize: Authorize) -> User:
    """Who acts: the user, or whom the headers say. Raises Forbidden, BadRequest."""
    if not any(name.startswith(PREFIX) for name in headers):
        return user
    parts = list(wanted(headers))
    if not parts:
        return user
    if len(parts) > MAX_PARTS:
        raise BadRequest(f"{len(parts)} things to be at once: at most {MAX_PARTS}")
    if parts[0].resource not in ("users", "serviceaccounts"):
        shown = ", ".join(f"{part.resource} {part.name!r}" for part in parts[:5])
        raise BadRequest(f"requested {shown} without impersonating a user")
    for part in parts:
        authorize(user, "impersonate", part.group, part.resource, part.subresource, part.namespace, part.name, "")
    return become(parts)


def wanted(headers: Mapping[str, str]) -> Iterator[Part]:
    """The user first."""
    name = headers.get(f"{PREFIX}user", "")
    if account := _ACCOUNT.fullmatch(name):
        yield Part("", "serviceaccounts", account[2], account[1])
    elif name:
        yield Part("", "users", name)
    for group in _values(headers, f"{PREFIX}group"):
        yield Part("", "groups", group)
    for header in headers:
        if header.startswith(_EXTRA):
            for value in _values(headers, header):
                yield Part(
                    _AUTHENTICATION, "userextras", value, subresource=unquote(header.removeprefix(_EXTRA)).lower()
                )
    if uid := headers.get(f"{PREFIX}uid", ""):
        yield Part(_AUTHENTICATION, "uids", uid)


def _values(headers: Mapping[str, str], header: str) -> list[str]:
    found = headers.get(header)
    return [] if found is None else found.split("\n")


def become(parts: list[Part]) -> User:
    """The user that these parts make. A ServiceAccount has its groups unless others are named."""
    first = parts[0]
    groups = [part.name for part in parts if part.resource == "groups"]
    name = first.name
    if first.resource == "serviceaccounts":
        name = f"system:serviceaccount:{first.namespace}:{first.name}"
        groups = groups or ["system:serviceaccounts", f"system:serviceaccounts:{first.namespace}"]
    usual = _NOBODY if name == ANONYMOUS.name else _ALL
    if usual not in groups and _NOBODY not in groups:
        groups.append(usual)
    extra: dict[str, tuple[str, ...]] = {}
    for part in parts:
        if part.resource == "userextras":
            extra[part.subresource] = (*extra.get(part.subresource, ()), part.name)
    uid = next((part.name for part in parts if part.resource == "uids"), "")
    return User(name, tuple(groups), uid, tuple(sorted(extra.items())))
