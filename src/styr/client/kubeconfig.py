"""Reads a kubeconfig file into what a connection needs. Called by `client.transport` and `cli`; never writes.

PyYAML and ssl are imported when a file is read, so that a process that only talks in-process does not pay for them.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit


class KubeconfigError(ValueError):
    """The file cannot be used. The message names the file and the field."""


@dataclass(frozen=True, slots=True)
class Access:
    """`prefix` is the path in front of `/api` (proxies have one), without a trailing slash."""

    host: str
    port: int
    prefix: str = ""
    ssl: SSLContext | None = None
    server_name: str | None = None
    token: str = ""
    namespace: str = "default"


def read_kubeconfig(path: Path, *, context: str = "") -> Access:
    """The cluster and user of `context` (default: the file's current one). Raises KubeconfigError."""
    import yaml

    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise KubeconfigError(f"cannot read kubeconfig {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise KubeconfigError(f"kubeconfig {path} is not YAML: {error}") from error
    try:
        return _access(document, path, context)
    except KubeconfigError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise KubeconfigError(f"kubeconfig {path} is damaged: {type(error).__name__}: {error}") from error


def _access(document: Mapping[str, Any], path: Path, context: str) -> Access:
    chosen = _named(document, "context", context or document.get("current-context") or "", path)
    cluster = _named(document, "cluster", chosen["cluster"], path)
    user = _named(document, "user", chosen["user"], path) if chosen.get("user") else {}
    url = urlsplit(cluster["server"])
    if url.scheme not in ("https", "http") or not url.hostname:
        raise KubeconfigError(
            f"kubeconfig {path}: clusters[].cluster.server {cluster['server']!r} is not an http(s) URL"
        )
    secure = url.scheme == "https"
    token = user.get("token") or ""
    if not token and user.get("tokenFile"):
        token = (path.parent / user["tokenFile"]).read_text().strip()
    has_certificate = user.get("client-certificate") or user.get("client-certificate-data")
    if not token and not has_certificate and (user.get("exec") or user.get("auth-provider")):
        raise KubeconfigError(
            f"kubeconfig {path}: users[].user.exec is not supported; use a token or a client certificate"
        )
    return Access(
        host=url.hostname,
        port=url.port or (443 if secure else 80),
        prefix=url.path.rstrip("/"),
        ssl=_context(cluster, user, path.parent) if secure else None,
        server_name=cluster.get("tls-server-name"),
        token=token,
        namespace=chosen.get("namespace") or "default",
    )


def _named(document: Mapping[str, Any], kind: str, name: str, path: Path) -> dict[str, Any]:
    for entry in document.get(f"{kind}s") or ():
        if entry.get("name") == name:
            return dict(entry[kind])
    raise KubeconfigError(f"kubeconfig {path} has no {kind} {name!r}")


def _context(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> SSLContext:
    import ssl

    if cluster.get("insecure-skip-tls-verify"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        authority = _content(cluster, "certificate-authority", folder)
        context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    certificate, key = _content(user, "client-certificate", folder), _content(user, "client-key", folder)
    if certificate and key:
        # ssl takes a client certificate only from a file.
        descriptor, name = tempfile.mkstemp(prefix="styr-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(certificate + b"\n" + key)
            context.load_cert_chain(name)
        finally:
            os.unlink(name)
    return context


def _content(entry: Mapping[str, Any], field: str, folder: Path) -> bytes:
    """`FIELD-data` (base64), or the file named by `FIELD`, relative to the kubeconfig."""
    if data := entry.get(f"{field}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise KubeconfigError(f"{field}-data is not base64") from error
    return (folder / entry[field]).read_bytes() if entry.get(field) else b""
