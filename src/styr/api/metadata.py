"""The rules of `metadata`, the same for every kind: what it may hold, what the server sets, generated names.

Called by the write verbs. Pure: time and randomness are handed in. Format: "Object Names and IDs", "Labels and Selectors".
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterator
from typing import Any

from styr.kinds.errors import Cause
from styr.kinds.resources import Object

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own: no vowels, so that no words come out."""
MAX_ANNOTATIONS = 256 << 10

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
FIELDS = frozenset(
    (
        *("annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers"),
        *("generateName", "generation", "labels", "managedFields", "name", "namespace", "ownerReferences"),
        *("resourceVersion", "selfLink", "uid"),
    )
)
"""All that metadata may have."""
OWNER_FIELDS = frozenset(("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"))
_TEXTS = ("name", "generateName", "namespace", "uid", "resourceVersion")


def generate(base: str, source: random.Random) -> str:
    return base[:58] + "".join(source.choice(ALPHABET) for _ in range(5))


def new_uid(source: random.Random) -> str:
    return str(uuid.UUID(int=source.getrandbits(128), version=4))


def tidy(obj: Object) -> None:
    """Drops nulls and what nobody but the server may say."""
    metadata = obj["metadata"]
    for key in [key for key, value in metadata.items() if value is None]:
        del metadata[key]
    metadata.pop("selfLink", None)


def faults(obj: Object, *, path_name: bool = False) -> list[Cause]:
    """`path_name`: the name may be anything that fits a path segment (RBAC)."""
    metadata = obj["metadata"]
    found = [_fault(key, "must be a string") for key in _TEXTS if not isinstance(metadata.get(key, ""), str)]
    if found:
        return found
    return [*_name_faults(metadata, path_name), *_map_faults(metadata), *_list_faults(metadata)]


def _fault(field: str, message: str, reason: str = "FieldValueInvalid") -> Cause:
    return {"reason": reason, "field": f"metadata.{field}", "message": f"Invalid value: {message}"}


def _name_faults(metadata: dict[str, Any], path_name: bool) -> Iterator[Cause]:
    name = metadata.get("name", "")
    if not name:
        yield {
            "reason": "FieldValueRequired",
            "field": "metadata.name",
            "message": "Required value: name or generateName is required",
        }
    elif path_name:
        if name in (".", "..") or "/" in name or "%" in name or not name.isprintable():
            yield _fault("name", f"{name!r}: may not be '.', '..', or contain '/' or '%'")
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        yield _fault(
            "name",
            f'"{name[:300]}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '
            "'-' or '.', and must start and end with an alphanumeric character",
        )


def _map_faults(metadata: dict[str, Any]) -> Iterator[Cause]:
    for field in ("labels", "annotations"):
        entries = metadata.get(field, {})
        if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
            yield _fault(field, "must be a map from strings to strings")
            continue
        for key, value in entries.items():
            if not _is_qualified(key):
                yield _fault(
                    field, f"\"{key[:300]}\": name part must consist of alphanumeric characters, '-', '_' or '.'"
                )
            elif field == "labels" and not _LABEL_VALUE.fullmatch(value):
                yield _fault(
                    field, f'"{value[:100]}": a valid label must be an empty string or at most 63 alphanumerics'
                )
    if isinstance(notes := metadata.get("annotations"), dict):
        size = sum(len(key) + len(value) for key, value in notes.items() if isinstance(value, str))
        if size > MAX_ANNOTATIONS:
            yield _fault("annotations", f"may not be more than {MAX_ANNOTATIONS} bytes", "FieldValueTooLong")


def _list_faults(metadata: dict[str, Any]) -> Iterator[Cause]:
    finalizers = metadata.get("finalizers", [])
    if not isinstance(finalizers, list) or not all(isinstance(item, str) and item for item in finalizers):
        yield _fault("finalizers", "must be a list of names")
    owners = metadata.get("ownerReferences", [])
    if not isinstance(owners, list) or not all(isinstance(owner, dict) for owner in owners):
        yield _fault("ownerReferences", "must be a list of objects")
        return
    for index, owner in enumerate(owners):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not isinstance(owner.get(key), str) or not owner[key]:
                yield _fault(f"ownerReferences[{index}].{key}", "must not be empty", "FieldValueRequired")
    if sum(owner.get("controller") is True for owner in owners) > 1:
        yield _fault("ownerReferences", "Only one reference can have Controller set to true")


def _is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return False
    return bool(_LABEL_NAME.fullmatch(name))
