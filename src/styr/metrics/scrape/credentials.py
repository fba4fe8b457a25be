"""What a configuration says of authentication and TLS, as headers and contexts. Called by `client`.

Secrets that live in files are read at each use, certificates at each new connection if they have changed: rotated ones are
taken up without a reload, as Prometheus does.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from pathlib import Path

from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.httpconfig import Http, Secret, Tls

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


def read(secret: Secret, what: str) -> str:
    """The value. Raises FetchError when its file cannot be read."""
    if not secret.file:
        return secret.value
    try:
        return Path(secret.file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FetchError(f"unable to read {what} from file {secret.file}: {error}") from None


def in_files(http: Http) -> bool:
    """Whether headers have to be made anew for each request."""
    values = [value for _, inner in http.headers for value in inner]
    return any(each.file for each in (http.username, http.password, http.credentials, *values))


def headers(http: Http) -> list[tuple[str, str]]:
    """Authentication and configured headers. Raises FetchError."""
    made = []
    if http.username or http.password:
        pair = f"{read(http.username, 'username')}:{read(http.password, 'password')}"
        made.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
    elif http.credentials:
        made.append(("Authorization", f"{http.scheme} {read(http.credentials, 'credentials')}"))
    for name, values in http.headers:
        made += [(name, read(value, f"header {name}")) for value in values]
    for name, value in made:
        if "\r" in value or "\n" in value or "\0" in value:
            raise FetchError(f"header {name}: its value has a line break")
    return made


class TlsContexts:
    """The context of one configuration, made again when a file that it came from has changed."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._stamps: list[tuple[int, int]] = []

    def get(self) -> ssl.SSLContext:
        """Raises FetchError."""
        stamps = [_stamp(each.file) for each in (self._tls.ca, self._tls.cert, self._tls.key) if each.file]
        if self._context is None or stamps != self._stamps:
            try:
                self._context, self._stamps = _context(self._tls), stamps
            except (OSError, ssl.SSLError, ValueError) as error:
                raise FetchError(f"tls_config cannot be used: {error}") from None
        return self._context


def _stamp(file: str) -> tuple[int, int]:
    try:
        found = Path(file).stat()
    except OSError:
        return (0, 0)
    return found.st_mtime_ns, found.st_ino


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca.file or None, cadata=tls.ca.value or None)
    if tls.cert:
        _load_chain(context, tls)
    context.minimum_version = _VERSIONS.get(tls.min_version, ssl.TLSVersion.TLSv1_2)
    if tls.max_version:
        context.maximum_version = _VERSIONS[tls.max_version]
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_chain(context: ssl.SSLContext, tls: Tls) -> None:
    """OpenSSL takes a client certificate from files only: those that were given as text lie in one for that moment."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, secret in (("cert", tls.cert), ("key", tls.key)):
            path = Path(secret.file or Path(folder) / name)
            if not secret.file:
                path.touch(mode=0o600)
                path.write_text(secret.value)
            paths.append(path)
        context.load_cert_chain(paths[0], paths[1])
