"""Which kinds Kubernetes has, from `resources.json`: made by tests/builtin/generate_resources.py from the discovery documents
of the version that it names.

Called by the registry, once at start, and by whoever asks what a kind's subresources take. Reads that file; nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from styr.kinds.resources import STABLE_LATER, Resource

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
"""What every stored resource can do, with few exceptions."""


@dataclass(frozen=True, slots=True)
class Subresource:
    """`name` as in the path (`status`, `log`); `kind` is what it takes or returns, "" for the kind of its parent."""

    name: str
    verbs: tuple[str, ...] = ("get", "patch", "update")
    kind: str = ""
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource in one version. `selectable` are the field selectors beside metadata.name and metadata.namespace."""

    resource: Resource
    verbs: tuple[str, ...] = VERBS
    subresources: dict[str, Subresource] = field(default_factory=dict)
    answered: bool = False
    """A question, whose answer is stored nowhere."""
    counts_generation: bool = False
    creates_on_update: bool = False
    allows_blind_update: bool = True
    """May a PUT leave resourceVersion out?"""
    selectable: tuple[str, ...] = ()
    storage: str = ""
    """The version that objects are stored in, when it is another one."""


@cache
def kinds() -> tuple[Kind, ...]:
    """All of them, in the order of discovery."""
    raw = resources.files(__package__).joinpath("resources.json").read_bytes()
    published = [_kind(entry) for entry in msgspec.json.decode(raw)["resources"]]
    return tuple(sorted((*published, *_stable(published)), key=_place))


def _place(kind: Kind) -> tuple[str, str, str]:
    return kind.resource.group, kind.resource.version, kind.resource.plural


def _stable(published: list[Kind]) -> Iterator[Kind]:
    """The kinds of `STABLE_LATER`."""
    for kind in published:
        resource = kind.resource
        if home := STABLE_LATER.get(resource.api_version):
            yield replace(kind, resource=replace(resource, version=home.rpartition("/")[2]), storage=resource.version)


def _kind(entry: dict[str, Any]) -> Kind:
    subresources = {name: _subresource(name, sub) for name, sub in entry.get("subresources", {}).items()}
    resource = Resource(
        entry["group"],
        entry["version"],
        entry["kind"],
        entry["plural"],
        namespaced=not entry.get("cluster"),
        singular=entry["singular"],
        short_names=tuple(entry.get("short", ())),
        categories=tuple(entry.get("categories", ())),
        status="status" in subresources,
    )
    verbs = tuple(entry["verbs"].split()) if "verbs" in entry else VERBS
    return Kind(
        resource,
        verbs,
        subresources,
        answered="answered" in entry,
        counts_generation="counts" in entry,
        creates_on_update="upsert" in entry,
        allows_blind_update="careful" not in entry,
        selectable=tuple(entry.get("select", ())),
    )


def _subresource(name: str, entry: dict[str, str]) -> Subresource:
    verbs = tuple(entry.get("verbs", "get patch update").split())
    where, _, kind = entry.get("of", "").rpartition("/")
    group, _, version = where.rpartition("/")
    return Subresource(name, verbs, kind, group, version)
