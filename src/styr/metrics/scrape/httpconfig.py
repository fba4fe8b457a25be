"""How to talk to a server: authentication, TLS, proxies, headers, as a prometheus.yml says it. Called by `config` for a job and
for its discoveries over HTTP; read by `credentials`, `oauth2`, `proxies` and `client`. Pure: a file that a setting names is
read when it is needed. Every error is a BadData that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from styr.metrics.scrape.fields import Fields

_TLS_VERSIONS = ("", "TLS10", "TLS11", "TLS12", "TLS13")
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_WAYS = ("basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file")


@dataclass(frozen=True)
class Secret:
    """A value, or the file that holds it and is read before each use."""

    value: str = field(default="", repr=False)
    file: str = ""

    def __bool__(self) -> bool:
        return bool(self.value or self.file)


Headers = tuple[tuple[str, tuple[Secret, ...]], ...]


@dataclass(frozen=True)
class Tls:
    """`ca`, `cert` and `key` are PEM texts or files of them."""

    ca: Secret = Secret()
    cert: Secret = Secret()
    key: Secret = Secret()
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""


@dataclass(frozen=True)
class Proxy:
    """`url`: through which proxy, but not to the hosts of `no_proxy`; or both as the environment says. `headers` go with
    CONNECT."""

    url: str = field(default="", repr=False)
    no_proxy: str = ""
    from_environment: bool = False
    headers: Headers = ()


@dataclass(frozen=True)
class Jwt:
    """What a client shows instead of a secret (RFC 7523): a token of its own, signed with an RSA key. `claims` are JSON."""

    key_id: str = ""
    algorithm: str = "RS256"
    issuer: str = ""
    audience: str = ""
    claims: str = "{}"


@dataclass(frozen=True)
class OAuth2:
    """Where a token is got for client credentials (RFC 6749, 4.4), and how to talk to that server. With `jwt` the
    `client_secret` is its key, as PEM."""

    client_id: str
    client_secret: Secret
    token_url: str
    scopes: tuple[str, ...] = ()
    endpoint_params: tuple[tuple[str, str], ...] = ()
    tls: Tls = Tls()
    proxy: Proxy = Proxy()
    jwt: Jwt | None = None


@dataclass(frozen=True)
class Http:
    """`username` and `password` are basic auth, `credentials` the Authorization header with `scheme`, `oauth2` that header with
    a token; only one of them is there."""

    username: Secret = Secret()
    password: Secret = Secret()
    scheme: str = "Bearer"
    credentials: Secret = Secret()
    tls: Tls = Tls()
    follow_redirects: bool = True
    headers: Headers = ()
    proxy: Proxy = Proxy()
    oauth2: OAuth2 | None = None


DEFAULT = Http()


def parse_http(fields: Fields) -> Http:
    """The settings of an HTTP client; they stand in the same mapping as the job's."""
    fields.flag("enable_http2", True)
    has_auth = [name for name in _WAYS if name in fields]
    if len(has_auth) > 1:
        raise fields.error(has_auth[1], f"only one of it and {has_auth[0]}")
    basic, authorization = fields.section("basic_auth"), fields.section("authorization")
    username, password = _secret(basic, "username"), _secret(basic, "password")
    scheme, credentials = authorization.text("type", "Bearer").strip(), _secret(authorization, "credentials")
    basic.end()
    authorization.end()
    if scheme.lower() == "basic":
        raise authorization.error("type", "use basic_auth for Basic")
    if "bearer_token" in fields or "bearer_token_file" in fields:
        credentials = _secret(fields, "bearer_token")
    return Http(
        username,
        password,
        scheme,
        credentials,
        _tls(fields.section("tls_config")),
        fields.flag("follow_redirects", True),
        _headers(fields.section("http_headers")),
        _proxy(fields),
        _oauth2(fields.section("oauth2")) if "oauth2" in has_auth else None,
    )


def under(http: Http, folder: Path) -> Http:
    """With the relative names of files beginning in `folder`."""
    found: Http = _under(http, folder)
    return found


def _under(value: Any, folder: Path) -> Any:
    if isinstance(value, Secret):
        return replace(value, file=str(folder / value.file)) if value.file else value
    if isinstance(value, tuple):
        return tuple(_under(each, folder) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{each.name: _under(getattr(value, each.name), folder) for each in dataclass_fields(value)}
        )
    return value


def _secret(fields: Fields, name: str) -> Secret:
    secret = Secret(fields.text(name), fields.text(f"{name}_file"))
    if secret.value and secret.file:
        raise fields.error(name, f"only one of it and {name}_file")
    return secret


def _headers(fields: Fields) -> Headers:
    headers = []
    for name in fields.names():
        inner = fields.section(name)
        values = [Secret(each) for each in (*inner.texts("values"), *inner.texts("secrets"))]
        values += [Secret(file=each) for each in inner.texts("files")]
        inner.end()
        headers.append((name, tuple(values)))
    return tuple(headers)


def _tls(fields: Fields) -> Tls:
    tls = Tls(
        ca=_secret(fields, "ca"),
        cert=_secret(fields, "cert"),
        key=_secret(fields, "key"),
        server_name=fields.text("server_name"),
        insecure_skip_verify=fields.flag("insecure_skip_verify", False),
        min_version=fields.choice("min_version", _TLS_VERSIONS, ""),
        max_version=fields.choice("max_version", _TLS_VERSIONS, ""),
    )
    if bool(tls.cert) != bool(tls.key):
        raise fields.error("cert", "a certificate and its key go together")
    fields.end()
    return tls


def _proxy(fields: Fields) -> Proxy:
    sent = fields.section("proxy_connect_header")
    proxy = Proxy(
        fields.text("proxy_url"),
        fields.text("no_proxy"),
        fields.flag("proxy_from_environment", False),
        tuple((name, tuple(Secret(each) for each in sent.texts(name))) for name in sent.names()),
    )
    if proxy.url:
        _check_url(fields, "proxy_url", proxy.url, ("http", "https", "socks5", "socks5h"))
    if proxy.from_environment and (proxy.url or proxy.no_proxy):
        raise fields.error("proxy_from_environment", "not together with proxy_url or no_proxy")
    if proxy.no_proxy and not proxy.url:
        raise fields.error("no_proxy", "needs proxy_url")
    if proxy.headers and not (proxy.url or proxy.from_environment):
        raise fields.error("proxy_connect_header", "needs proxy_url or proxy_from_environment")
    return proxy


def _oauth2(fields: Fields) -> OAuth2:
    grant = fields.choice("grant_type", ("", "client_credentials", JWT_BEARER), "")
    name = "client_certificate_key" if grant == JWT_BEARER else "client_secret"
    secrets = {each: _secret(fields, each) for each in ("client_secret", "client_certificate_key")}
    jwt = _jwt(fields)
    params = fields.mapping("endpoint_params")
    found = OAuth2(
        fields.text("client_id"),
        secrets[name],
        fields.text("token_url"),
        fields.texts("scopes"),
        tuple(sorted(params.items())),
        _tls(fields.section("tls_config")),
        _proxy(fields),
        jwt if grant == JWT_BEARER else None,
    )
    for needed, value in (("client_id", found.client_id), (name, found.client_secret), ("token_url", found.token_url)):
        if not value:
            raise fields.error(needed, "is needed")
    _check_url(fields, "token_url", found.token_url, ("http", "https"))
    if found.scopes and "scope" in params:
        raise fields.error("endpoint_params.scope", "only one of it and scopes")
    fields.end()
    return found


def _jwt(fields: Fields) -> Jwt:
    """What only that grant looks at."""
    key_id = fields.text("client_certificate_key_id")
    algorithm = fields.choice("signature_algorithm", ("", "RS256", "RS384", "RS512"), "") or "RS256"
    issuer, audience, claims = fields.text("iss"), fields.text("audience"), fields.raw("claims")
    if not isinstance(claims, Mapping | None):
        raise fields.error("claims", "a mapping is needed")
    try:
        return Jwt(key_id, algorithm, issuer, audience, json.dumps(claims or {}, sort_keys=True))
    except (TypeError, ValueError) as error:
        raise fields.error("claims", f"cannot be sent as JSON: {error}") from None


def _check_url(fields: Fields, name: str, url: str, schemes: tuple[str, ...]) -> None:
    """The URL itself is not told: it may hold a password."""
    try:
        found = urlsplit(url)
        usable = found.scheme in schemes and bool(found.hostname) and found.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise fields.error(name, f"no URL with {' or '.join(schemes)}")
