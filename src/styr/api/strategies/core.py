"""The small kinds of the core group: Namespace, Node, Event, ConfigMap, Secret, ServiceAccount."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from styr.api.strategies.base import BuiltinStrategy, immutable, invalid, required
from styr.api.strategies.shapes import BAG, FLAG, TEXT, default, fields, many, root, struct, table
from styr.kinds import meta
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

MAX_DATA = 1 << 20
"""Bytes of data in one ConfigMap or Secret, as in Kubernetes."""

_ACCOUNT_NAME = "kubernetes.io/service-account.name"
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class NamespaceStrategy(BuiltinStrategy):
    shape = root(spec=default(struct(finalizers=many(TEXT)), {}), status=BAG)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Active"}
        obj["spec"] = {"finalizers": ["kubernetes"]}
        metadata = obj["metadata"]
        if isinstance(metadata.get("labels", {}), dict):
            metadata["labels"] = (metadata.get("labels") or {}) | {"kubernetes.io/metadata.name": metadata["name"]}

    def prepare_update(self, new: Object, old: Object) -> None:
        new["spec"] = old.get("spec", {})

    def validate(self, obj: Object) -> list[Cause]:
        name = obj["metadata"]["name"]
        if _DNS_LABEL.fullmatch(name):
            return []
        return [invalid("metadata.name", f'Invalid value: "{name}": must be a lowercase RFC 1123 label')]


class NodeStrategy(BuiltinStrategy):
    shape = root(
        spec=default(
            struct(
                podCIDR=TEXT,
                podCIDRs=many(TEXT),
                providerID=TEXT,
                unschedulable=FLAG,
                taints=many(struct(("key", "effect"), key=TEXT, effect=TEXT, value=TEXT, timeAdded=TEXT)),
                **fields("configSource externalID"),
            ),
            {},
        ),
        status=BAG,
    )


class EventStrategy(BuiltinStrategy):
    shape = root(
        involvedObject=BAG,
        reason=TEXT,
        message=TEXT,
        type=TEXT,
        source=BAG,
        count={"type": "integer"},
        firstTimestamp=TEXT,
        lastTimestamp=TEXT,
        **fields("eventTime series related action reportingComponent reportingInstance"),
    )

    def validate(self, obj: Object) -> list[Cause]:
        about = obj.get("involvedObject")
        if not about:
            return [required("involvedObject")]
        namespace = about.get("namespace") or "default"
        if namespace != obj["metadata"]["namespace"]:
            return [
                invalid("involvedObject.namespace", f'Invalid value: "{namespace}": does not match event.namespace')
            ]
        return []


class ConfigMapStrategy(BuiltinStrategy):
    shape = root(data=table(TEXT), binaryData=table(TEXT), immutable=FLAG)

    def validate(self, obj: Object) -> list[Cause]:
        return list(_data_faults(obj, ("data", "binaryData"), ("binaryData",)))

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        return _sealed(new, old, ("data", "binaryData"))


class SecretStrategy(BuiltinStrategy):
    shape = root(data=table(TEXT), stringData=table(TEXT), type=default(TEXT, "Opaque"), immutable=FLAG)

    def default(self, obj: Object) -> None:
        """`stringData` is write-only: it is folded into `data`."""
        plain = obj.pop("stringData", None)
        if plain:
            coded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
            obj["data"] = obj.get("data", {}) | coded

    def validate(self, obj: Object) -> list[Cause]:
        faults = list(_data_faults(obj, ("data",), ("data",)))
        if obj["type"] == "kubernetes.io/service-account-token" and not meta.annotations(obj).get(_ACCOUNT_NAME):
            faults.append(required(f"metadata.annotations[{_ACCOUNT_NAME}]"))
        return faults

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        faults = _sealed(new, old, ("data",))
        return [*faults, immutable("type")] if new["type"] != old["type"] else faults


class ServiceAccountStrategy(BuiltinStrategy):
    shape = root(secrets=many(BAG), imagePullSecrets=many(BAG), automountServiceAccountToken=FLAG)
    subresources = frozenset({"token"})


def _data_faults(obj: Object, groups: tuple[str, ...], coded: tuple[str, ...]) -> Iterator[Cause]:
    size = 0
    for group in groups:
        for key, value in obj.get(group, {}).items():
            size += len(key) + len(value)
            if not _KEY.fullmatch(key):
                yield invalid(
                    f"{group}[{key}]",
                    f'Invalid value: "{key}": a valid config key must consist of alphanumeric characters, '
                    "'-', '_' or '.'",
                )
            if group in coded and not _is_base64(value):
                yield invalid(f"{group}[{key}]", "Invalid value: not valid base64")
    if size > MAX_DATA * (4 / 3 if coded == groups else 1):
        yield invalid(groups[0], f"Too long: may not be more than {MAX_DATA} bytes", "FieldValueTooLong")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _sealed(new: Object, old: Object, groups: tuple[str, ...]) -> list[Cause]:
    if not old.get("immutable"):
        return []
    faults = [] if new.get("immutable") else [immutable("immutable")]
    faults += [
        invalid(group, "Forbidden: field is immutable when `immutable` is set", "FieldValueForbidden")
        for group in groups
        if _value(new, group) != _value(old, group)
    ]
    return faults


def _value(obj: Object, group: str) -> Any:
    return obj.get(group) or {}
