"""Secrets and ConfigMaps that a monitor names, put into its job: tokens, passwords, certificates. Pure.

Called by `monitors`, `probes` and `scrapeconfigs` with a way to read objects. Only keys in the monitor's own namespace: a file
of this machine would give whoever may write a monitor what the engine may read, so fields that name one are not honoured.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from styr.kinds.resources import CONFIG_MAP, SECRET, Object, Resource
from styr.metrics.model.errors import BadData

Read = Callable[[Resource, str, str], Object | None]
"""By kind, namespace and name."""


class Refused(BadData):
    """The object cannot be acted upon; the message names the field and what is wrong."""


@dataclass
class Keys:
    """Reads keys in one namespace, and remembers which objects were asked for: a change of one concerns the monitor."""

    read: Read
    namespace: str
    asked: set[tuple[Resource, str]] = field(default_factory=set)

    def text(self, reference: Mapping[str, Any] | None, path: str, resource: Resource = SECRET) -> str:
        """ "" for no reference, or an optional one that leads nowhere. Raises `Refused`."""
        if not reference or not reference.get("name"):
            return ""
        name, key = str(reference["name"]), str(reference.get("key", ""))
        self.asked.add((resource, name))
        found = self.read(resource, self.namespace, name)
        value = ((found or {}).get("data") or {}).get(key)
        if value is None:
            if reference.get("optional"):
                return ""
            missing = f"has no key {key!r}" if found else "does not exist"
            raise Refused(f"{path}: {resource.kind} {self.namespace}/{name} {missing}")
        return _decoded(str(value), path) if resource == SECRET else str(value)

    def either(self, reference: Mapping[str, Any] | None, path: str) -> str:
        """From a Secret or a ConfigMap."""
        found = self.text((reference or {}).get("secret"), f"{path}.secret")
        return found or self.text((reference or {}).get("configMap"), f"{path}.configMap", CONFIG_MAP)


def _decoded(value: str, path: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refused(f"{path}: the Secret's value is no text: {error}") from error


def credentials(spec: Mapping[str, Any], keys: Keys, path: str) -> dict[str, Any]:
    """`tls_config` and the one way of authentication of a job, with the values themselves. Raises `Refused`."""
    found: dict[str, Any] = {}
    if tls := _tls(spec.get("tlsConfig") or {}, keys, f"{path}.tlsConfig"):
        found["tls_config"] = tls
    ways = [name for name in ("basicAuth", "authorization", "oauth2", "bearerTokenSecret") if _is_set(spec.get(name))]
    if len(ways) > 1:
        raise Refused(f"{path}: {' and '.join(ways)} exclude each other")
    if basic := spec.get("basicAuth"):
        found["basic_auth"] = {
            word: keys.text(basic.get(word), f"{path}.basicAuth.{word}") for word in ("username", "password")
        }
    elif given := spec.get("authorization"):
        kind = str(given.get("type") or "Bearer").strip()
        if kind.lower() == "basic":
            raise Refused(f"{path}.authorization.type: for Basic there is basicAuth")
        found["authorization"] = {
            "type": kind,
            "credentials": keys.text(given.get("credentials"), f"{path}.authorization.credentials"),
        }
    elif given := spec.get("oauth2"):
        found["oauth2"] = _oauth2(given, keys, f"{path}.oauth2")
    elif token := keys.text(spec.get("bearerTokenSecret"), f"{path}.bearerTokenSecret"):
        found["authorization"] = {"type": "Bearer", "credentials": token}
    return found


def proxy(spec: Mapping[str, Any], keys: Keys, path: str) -> dict[str, Any]:
    """`proxy_url` and what belongs to it. Raises `Refused`."""
    names = {"proxyUrl": "proxy_url", "noProxy": "no_proxy", "proxyFromEnvironment": "proxy_from_environment"}
    found = {new: spec[old] for old, new in names.items() if spec.get(old)}
    if sent := spec.get("proxyConnectHeader"):
        found["proxy_connect_header"] = {
            name: [keys.text(each, f"{path}.proxyConnectHeader.{name}[{i}]") for i, each in enumerate(values or ())]
            for name, values in sent.items()
        }
    return found


def _oauth2(spec: Mapping[str, Any], keys: Keys, path: str) -> dict[str, Any]:
    found = {
        "client_id": keys.either(spec.get("clientId"), f"{path}.clientId"),
        "client_secret": keys.text(spec.get("clientSecret"), f"{path}.clientSecret"),
        "token_url": str(spec.get("tokenUrl") or ""),
        "scopes": list(spec.get("scopes") or ()),
        "endpoint_params": dict(spec.get("endpointParams") or {}),
        **proxy(spec, keys, path),
    }
    if tls := _tls(spec.get("tlsConfig") or {}, keys, f"{path}.tlsConfig"):
        found["tls_config"] = tls
    return found


def _is_set(value: Any) -> bool:
    """An empty `bearerTokenSecret: {key: ""}` stands in what prometheus-operator's own tools write."""
    return isinstance(value, Mapping) and any(value.values())


def _tls(tls: Mapping[str, Any], keys: Keys, path: str) -> dict[str, Any]:
    texts = {
        "ca": keys.either(tls.get("ca"), f"{path}.ca"),
        "cert": keys.either(tls.get("cert"), f"{path}.cert"),
        "key": keys.text(tls.get("keySecret"), f"{path}.keySecret"),
        "server_name": str(tls.get("serverName") or ""),
        "min_version": str(tls.get("minVersion") or ""),
        "max_version": str(tls.get("maxVersion") or ""),
    }
    found: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if tls.get("insecureSkipVerify"):
        found["insecure_skip_verify"] = True
    if bool(found.get("cert")) != bool(found.get("key")):
        raise Refused(f"{path}: cert and keySecret go together")
    return found
