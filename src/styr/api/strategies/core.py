"""The small kinds of the core group: Namespace, ConfigMap, Secret, ServiceAccount, ControllerRevision of apps."""

from __future__ import annotations

import base64
import json
from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, forbidden, get, immutable, invalid, not_negative, required, too_long
from styr.api.strategies.base import TypedStrategy
from styr.kinds.resources import Object

MAX_DATA = 1 << 20
"""Bytes of data in one ConfigMap or Secret."""
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_SEALED = "field is immutable when `immutable` is set"


def finalizer(name: str, path: str) -> Faults:
    found = names.qualified(name)
    yield from each(path, name, found)
    if not found and "/" not in name and name not in _STANDARD_FINALIZERS:
        yield invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")


class NamespaceStrategy(TypedStrategy):
    name_check = staticmethod(names.dns_label)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Active"}
        known = obj["spec"].get("finalizers") or []
        if "kubernetes" not in known:
            obj["spec"]["finalizers"] = [*known, "kubernetes"]

    def prepare_update(self, new: Object, old: Object) -> None:
        new["spec"] = old.get("spec", {})
        new["status"] = old.get("status", {})

    def rules(self, obj: Object) -> Faults:
        for name in obj["spec"].get("finalizers") or ():
            yield from finalizer(name, "spec.finalizers")

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from ()

    def status_rules(self, new: Object, old: Object) -> Faults:
        phase = new["status"].get("phase", "")
        if "deletionTimestamp" in new["metadata"]:
            if phase != "Terminating":
                yield invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
        elif phase != "Active":
            yield invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")


class ConfigMapStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        size = 0
        for key, value in data.items():
            yield from each(f"data[{key}]", key, names.config_key(key))
            if key in binary:
                yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
            size += len(value.encode())
        for key, value in binary.items():
            yield from each(f"binaryData[{key}]", key, names.config_key(key))
            size += _decoded_size(value)
        if size > MAX_DATA:
            yield too_long("[]", MAX_DATA)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from _sealed(new, old, ("data", "binaryData"))
        yield from self.rules(new)


class SecretStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        data = obj.get("data") or {}
        for key in data:
            yield from each(f"data[{key}]", key, names.config_key(key))
        if sum(map(_decoded_size, data.values())) > MAX_DATA:
            yield too_long("data", MAX_DATA)
        yield from _secret_type(obj, data)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from immutable("type", new.get("type"), old.get("type"))
        yield from _sealed(new, old, ("data",))
        yield from self.rules(new)


def _secret_type(obj: Object, data: dict[str, str]) -> Faults:
    kind = obj.get("type", "")
    if kind == "kubernetes.io/service-account-token":
        name = "kubernetes.io/service-account.name"
        if not get(obj, "metadata", "annotations", name):
            yield required(f"metadata.annotations[{name}]")
    elif kind in ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson"):
        key = ".dockercfg" if kind.endswith("cfg") else ".dockerconfigjson"
        if key not in data:
            yield required(f"data[{key}]")
        elif fault := _not_json(data[key]):
            yield invalid(f"data[{key}]", "<secret contents redacted>", fault)
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            yield required("data[username]")
            yield required("data[password]")
    elif kind == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            yield required("data[ssh-privatekey]")
    elif kind == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in data:
                yield required(f"data[{key}]")


def _not_json(coded: str) -> str:
    raw = base64.b64decode(coded)
    if not raw:
        return "unexpected end of JSON input"
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return "invalid character in JSON"
    return (
        ""
        if found is None or isinstance(found, dict)
        else "json: cannot unmarshal it into Go value of type map[string]interface {}"
    )


def _decoded_size(text: str) -> int:
    return len(text) * 3 // 4 - text.count("=", -2)


def _sealed(new: Object, old: Object, groups: tuple[str, ...]) -> Faults:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden("immutable", _SEALED)
    for group in groups:
        if (new.get(group) or {}) != (old.get(group) or {}):
            yield forbidden(group, _SEALED)


class ServiceAccountStrategy(TypedStrategy):
    """Of the secrets that it names, the names alone are kept."""

    def prepare_create(self, obj: Object) -> None:
        for secret in obj.get("secrets") or ():
            for key in secret.keys() - {"name"}:
                del secret[key]

    def prepare_update(self, new: Object, old: Object) -> None:
        self.prepare_create(new)


class ControllerRevisionStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        data: Any = obj.get("data")
        if data is None:
            yield required("data", "data is mandatory")
        yield from not_negative("revision", obj.get("revision"))

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from not_negative("revision", new.get("revision"))
        yield from immutable("data", new.get("data"), old.get("data"))
