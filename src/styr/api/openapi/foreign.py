"""Puts what other servers tell of themselves into the document of OpenAPI v2. Called by `documents`, in a thread. Pure."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from styr.api.openapi import gnostic
from styr.api.openapi.convert import Json


class Foreign(NamedTuple):
    """A document of v2, compressed. Of it, what stands below `roots` (`/apis/GROUP/VERSION`) is taken."""

    roots: tuple[str, ...]
    digest: str
    body: bytes


def merge(document: Json, foreign: Foreign) -> None:
    """Adds its paths, and the definitions and parameters that these need. What is there already stays. Raises ValueError, and
    whatever `gnostic` raises, for what is no such document, and then leaves ours alone."""
    told = msgspec.json.decode(gzip.decompress(foreign.body))
    tables = [_table(told, field) for field in ("paths", "definitions", "parameters")]
    found = {path: item for path, item in tables[0].items() if _below(path, foreign.roots)}
    needed: dict[str, dict[str, Any]] = {"definitions": {}, "parameters": {}}
    sources = {"definitions": tables[1], "parameters": tables[2]}
    open_ends: list[Any] = list(found.values())
    while open_ends:
        for kind, name in _references(open_ends.pop()):
            if name in needed[kind] or name in document[kind]:
                continue
            if not isinstance(sources[kind].get(name), dict):
                raise ValueError(f"{kind} lacks {name}")
            needed[kind][name] = sources[kind][name]
            open_ends.append(sources[kind][name])
    added = {
        "paths": {path: _raw(item) for path, item in found.items()},
        "definitions": {name: _raw(value) for name, value in needed["definitions"].items()},
        "parameters": needed["parameters"],
    }
    gnostic.encode("v2", added)
    for field, table in added.items():
        document[field] = table | document[field]


def _table(told: Any, field: str) -> dict[str, Any]:
    found = told.get(field) if isinstance(told, dict) else None
    if not isinstance(found, dict | None):
        raise ValueError(f"{field} is no table")
    return found or {}


def _below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """(`definitions` or `parameters`, name) of every $ref. Raises ValueError for one that leads elsewhere."""
    open_ends = [value]
    while open_ends:
        value = open_ends.pop()
        if isinstance(value, list):
            open_ends += value
        elif isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str):
                root, _, name = reference.removeprefix("#/").partition("/")
                if root not in ("definitions", "parameters") or not name:
                    raise ValueError(f"$ref leads elsewhere: {json.dumps(reference)[:200]}")
                yield root, name.replace("~1", "/").replace("~0", "~")
            open_ends += value.values()


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
