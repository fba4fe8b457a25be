"""POST of a JSON body over HTTP or HTTPS. Called by the receivers that are webhooks and by `alertmanager`. Follows no
redirects; an answer that tells to come later or a failure of the peer can be tried again, one that blames the request cannot.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from styr.kit.http import HttpError, HttpResponse, fetch
from styr.metrics.rules.fields import Fields, Secret

MOST_ANSWER = 64 << 10
"""Bytes of an answer that are looked at."""


class NotSent(Exception):
    """`again`: trying once more may help."""

    def __init__(self, reason: str, *, again: bool) -> None:
        self.again = again
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Access:
    """How a peer is talked to: TLS and credentials."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure: bool = False
    username: str = ""
    password: Secret = field(default_factory=Secret)
    scheme: str = "Bearer"
    token: Secret = field(default_factory=Secret)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)


def read_access(data: object, path: str) -> Access:
    """`http_config`. Raises BadData."""
    fields = Fields.of(data, path)
    tls, basic, bearer = fields.inner("tls_config"), fields.inner("basic_auth"), fields.inner("authorization")
    fields.flag("follow_redirects", True)
    fields.flag("enable_http2", True)
    headers = fields.texts("http_headers")
    access = Access(
        tls.text("ca_file"),
        tls.text("cert_file"),
        tls.text("key_file"),
        tls.text("server_name"),
        tls.flag("insecure_skip_verify", False),
        basic.text("username"),
        basic.secret("password"),
        bearer.text("type", "Bearer"),
        bearer.secret("credentials"),
        headers,
    )
    for each in (tls, basic, bearer, fields):
        each.end()
    return access


@lru_cache(maxsize=64)
def _context(ca: str, cert: str, key: str, insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca or None)
    if cert:
        context.load_cert_chain(cert, key or None)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def credentials(access: Access) -> dict[str, str]:
    """Raises OSError when a file with a secret cannot be read."""
    if access.token:
        return {"authorization": f"{access.scheme} {access.token.read()}"}
    if access.username:
        pair = f"{access.username}:{access.password.read()}"
        return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}


async def post(
    url: str,
    body: bytes,
    access: Access,
    timeout: float,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """The answer, whatever its status. Raises NotSent when there is none; the text never holds the address's path, since chat
    services put secrets there."""
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port or (443 if split.scheme == "https" else 80)
        if split.scheme not in ("http", "https") or not host:
            raise ValueError
    except ValueError:
        raise NotSent("the address is no http or https address", again=False) from None
    peer = f"{split.scheme}://{host}:{port}"
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    try:
        context = (
            _context(access.ca_file, access.cert_file, access.key_file, access.insecure)
            if split.scheme == "https"
            else None
        )
        sent = {"content-type": "application/json", "user-agent": "styr", **access.headers, **credentials(access)}
        return await fetch(
            method,
            host,
            port,
            target,
            host_header=access.server_name,
            headers={**sent, **(headers or {})},
            body=body,
            timeout=timeout,
            ssl=context,
            max_body=MOST_ANSWER,
        )
    except HttpError as error:
        raise NotSent(f"{peer}: {_without(str(error), target)}", again=True) from None
    except (OSError, ValueError) as error:
        raise NotSent(f"{peer}: {_without(str(error), target)}", again=False) from None


def _without(text: str, target: str) -> str:
    return text.replace(target, "...") if len(target) > 1 else text


def check(answer: HttpResponse, *, again_on: frozenset[int] = frozenset({429})) -> None:
    """Raises NotSent unless the status is 2xx; 5xx and `again_on` are worth another try."""
    if 200 <= answer.status < 300:
        return
    said = answer.body[:200].decode("utf-8", "replace").strip()
    again = answer.status >= 500 or answer.status in again_on
    raise NotSent(f"unexpected status code {answer.status}" + (f": {said}" if said else ""), again=again)
