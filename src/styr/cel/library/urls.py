"""URLs, as Go's net/url reads them: what RFC 3986 calls an absolute URI, or an absolute path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from styr.cel.errors import EvaluationError
from styr.cel.functions import Functions, function, member
from styr.cel.types import BOOL, STRING, list_of, map_of, struct
from styr.cel.values import KINDS

URL = struct("kubernetes.URL", {})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})(.{0,2})", re.DOTALL)
_BAD_HOST = re.compile(r"[ \"<>\\^`{|}]|%(?!25)")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", re.ASCII)
_AS_WRITTEN = re.compile(r"[A-Za-z0-9\-_.~!$&'()*+,;=:@\[\]/%]*", re.ASCII)
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~$&+,/:;=@")


@dataclass(frozen=True, slots=True)
class Url:
    scheme: str
    host: str
    path: str
    """As written, escapes and all."""
    query: str
    rest: str = ""
    """User, opaque part and fragment: they tell two URLs apart, and nothing asks for them."""

    @property
    def hostname(self) -> str:
        return self._split()[0]

    @property
    def port(self) -> str:
        return self._split()[1]

    def _split(self) -> tuple[str, str]:
        host, port = self.host, ""
        colon = host.rfind(":")
        if colon >= 0 and host[colon + 1 :].isdigit() | (host[colon + 1 :] == "") and "]" not in host[colon:]:
            host, port = host[:colon], host[colon + 1 :]
        return (host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host), port

    @property
    def escaped_path(self) -> str:
        if _AS_WRITTEN.fullmatch(self.path):
            return self.path
        raw = unquote_to_bytes(self.path)
        return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)

    @property
    def queries(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for pair in self.query.split("&"):
            key, _, value = pair.partition("=")
            if pair and ";" not in pair and not _BAD_ESCAPE.search(pair):
                found.setdefault(_unescape(key), []).append(_unescape(value))
        return found


KINDS[Url] = "kubernetes.URL"


def _unescape(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def _fault(text: str, message: str) -> EvaluationError:
    return EvaluationError(f'URL parse error during conversion from string: parse "{text[:200]}": {message}')


def parse(text: str) -> Url:
    """Raises EvaluationError."""
    if text == "":
        raise _fault(text, "empty url")
    if _CONTROL.search(text):
        raise _fault(text, "net/url: invalid control character in URL")
    _parts(text, text)  # as a request's URI, to which a fragment is a part of the path
    body, mark, fragment = text.partition("#")
    if mark and _BAD_ESCAPE.search(fragment):
        raise _fault(text, "invalid URL escape")
    return _parts(text, body, fragment)


def _parts(text: str, body: str, fragment: str = "") -> Url:
    match = _SCHEME.match(body)
    scheme = match.group()[:-1].lower() if match else ""
    rest = body[match.end() :] if match else body
    if not match and rest[:1] == ":":
        raise _fault(text, "missing protocol scheme")
    rest, _, query = rest.partition("?")
    if rest[:1] != "/":
        if scheme:
            return Url(scheme, "", "", query, f"{rest}#{fragment}")
        if body != "*":
            raise _fault(text, "invalid URI for request")
    host = user = ""
    if scheme and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        user, _, host = authority.rpartition("@")
        _check_authority(text, user, host)
    if found := _BAD_ESCAPE.search(rest):
        raise _fault(text, f'invalid URL escape "{found.group()}"')
    return Url(scheme, host, rest, query, f"{user}#{fragment}")


def _check_authority(text: str, user: str, host: str) -> None:
    if not _USER.fullmatch(user):
        raise _fault(text, "net/url: invalid userinfo")
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            raise _fault(text, "missing ']' in host")
        tail = host[end + 1 :]
    else:
        tail = host[host.rfind(":") :] if ":" in host else ""
    if tail and not (tail[0] == ":" and (tail[1:] == "" or (tail[1:].isascii() and tail[1:].isdigit()))):
        raise _fault(text, f'invalid port "{tail}" after host')
    if found := _BAD_HOST.search(host):
        raise _fault(text, f'invalid character "{found.group()}" in host name')


def is_url(text: str) -> bool:
    try:
        parse(text)
    except EvaluationError:
        return False
    return True


FUNCTIONS: Functions = {
    "url": (function("string_to_url", (STRING,), URL, parse),),
    "isURL": (function("is_url_string", (STRING,), BOOL, is_url),),
    "getScheme": (member("url_get_scheme", (URL,), STRING, lambda url: url.scheme),),
    "getHost": (member("url_get_host", (URL,), STRING, lambda url: url.host),),
    "getHostname": (member("url_get_hostname", (URL,), STRING, lambda url: url.hostname),),
    "getPort": (member("url_get_port", (URL,), STRING, lambda url: url.port),),
    "getEscapedPath": (member("url_get_escaped_path", (URL,), STRING, lambda url: url.escaped_path),),
    "getQuery": (member("url_get_query", (URL,), map_of(STRING, list_of(STRING)), lambda url: url.queries),),
}
