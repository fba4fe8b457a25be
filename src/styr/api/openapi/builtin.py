"""What a real API server of the declared version tells of itself: `builtin.json.xz`, made by tests/api/generate_openapi.py.

Called by `documents`, in a thread: loading takes 15 ms and 5 MB, so it is loaded for one document and let go with it.
Source: kube-apiserver (Kubernetes, Apache-2.0), whose descriptions are those of the published api/openapi-spec.
"""

from __future__ import annotations

import hashlib
import lzma
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from styr.kinds.resources import STABLE_LATER

_REFERENCE = re.compile(rb'"\$ref":"#/(?:definitions|components/schemas)/([^"]+)"')


class Custom(msgspec.Struct, frozen=True):
    """How a definition of one's own is published. The names in it stand for others: see `custom`. `definitions` are those
    of v3 that such documents have in another form."""

    definitions: dict[str, Any]
    paths: dict[str, Any]
    kind: dict[str, Any]
    embedded: dict[str, Any]
    list: dict[str, Any]


class Table(msgspec.Struct, frozen=True):
    """`definitions` are of v3, `paths` and `parameters` of v2. What is raw is JSON that need not be read to be sent."""

    source: str
    definitions: dict[str, msgspec.Raw]
    parameters: dict[str, dict[str, Any]]
    paths: dict[str, msgspec.Raw]
    custom: Custom


def _bytes() -> bytes:
    return resources.files(__package__).joinpath("builtin.json.xz").read_bytes()


@cache
def digest() -> str:
    """Of the whole table."""
    return hashlib.sha256(_bytes()).hexdigest()


def load() -> Table:
    table = msgspec.json.decode(lzma.decompress(_bytes()), type=Table)
    for beta, stable in STABLE_LATER.items():
        old, new = beta.rpartition("/")[2], stable.rpartition("/")[2]
        for tables, sign in (
            (table.definitions, beta.partition(".")[0] + "."),
            (table.paths, f"/{beta.partition('/')[0]}/"),
        ):
            _copy(tables, sign, old, new)
    return table


def _copy(known: dict[str, msgspec.Raw], sign: str, old: str, new: str) -> None:
    """What of one version another has not, in its words."""
    for name in [name for name in known if f"{sign}{old}" in name]:
        raw = bytes(known[name])
        for word, other in ((old, new), (old.capitalize(), new.capitalize())):
            raw = raw.replace(word.encode(), other.encode())
        known.setdefault(name.replace(old, new), msgspec.Raw(raw))


def reached(table: Table, roots: Iterable[bytes]) -> dict[str, msgspec.Raw]:
    """The table's definitions that these pieces of JSON refer to, and those that they refer to in turn."""
    found: dict[str, msgspec.Raw] = {}
    waiting = list(roots)
    while waiting:
        for name in _REFERENCE.findall(waiting.pop()):
            text = name.decode()
            if text not in found and text in table.definitions:
                found[text] = table.definitions[text]
                waiting.append(bytes(found[text]))
    return found
