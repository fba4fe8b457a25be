"""Which groups and versions other servers serve: the APIServices that name a Service. Follows the store from its write path.

Called by the server on every request of a resource: without such an APIService that costs one look at an empty dict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from styr.api.builtin.tables import Subresource
from styr.api.discovery import Served
from styr.api.store.commit import Store
from styr.api.store.records import Change
from styr.kinds import conditions
from styr.kinds.resources import API_SERVICE, Object, Resource

KEY = API_SERVICE.group_resource


@dataclass(frozen=True, slots=True)
class Remote:
    """An APIService. `service` is its reference; `bundle` base64 PEM, "" for the machine's own authorities."""

    name: str
    group: str
    version: str
    service: Mapping[str, Any]
    bundle: str
    unchecked: bool
    """insecureSkipTLSVerify"""
    available: bool

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/{self.version}"

    @property
    def host(self) -> str:
        """The name that the other server's certificate must have."""
        return f"{self.service['name']}.{self.service['namespace']}.svc"


class Services:
    """`resources` has what each other server has told of itself, since it was first heard of."""

    def __init__(self) -> None:
        self._remotes: dict[tuple[str, str], Remote] = {}
        self._resources: dict[tuple[str, str], tuple[Served, ...]] = {}
        self._discovered: tuple[Served, ...] = ()

    def follow(self, store: Store) -> None:
        """Loads what is there and follows every later change."""
        for record in store.state(KEY).values():
            self._put(record.decode())
        store.on_commit(self._see)

    def find(self, group: str, version: str) -> Remote | None:
        return self._remotes.get((group, version)) if self._remotes else None

    def of_path(self, path: str) -> Remote | None:
        """For `/apis/GROUP/VERSION`, and its document of OpenAPI v3."""
        if not self._remotes:
            return None
        parts = path.removeprefix("/openapi/v3").strip("/").split("/")
        return self.find(parts[1], parts[2]) if len(parts) == 3 and parts[0] == "apis" else None

    @property
    def all(self) -> list[Remote]:
        return list(self._remotes.values())

    @property
    def discovered(self) -> tuple[Served, ...]:
        return self._discovered

    def documents(self) -> list[str]:
        """Names of the documents of OpenAPI v3 that other servers have."""
        return [remote.path[1:] for remote in self.all if remote.available]

    def told(self, remote: Remote, document: Object) -> None:
        """The other server's APIResourceList."""
        self._resources[remote.group, remote.version] = tuple(read(remote, document))
        self._order()

    def _see(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.key.resource == KEY:
                if change.new is None:
                    self._drop(change.shown.decode())
                else:
                    self._put(change.new.decode())

    def _put(self, obj: Object) -> None:
        spec = obj.get("spec") or {}
        if spec.get("service") is None:
            self._drop(obj)
            return
        group, version = spec.get("group", ""), spec.get("version", "")
        self._remotes[group, version] = Remote(
            obj["metadata"]["name"],
            group,
            version,
            spec["service"],
            spec.get("caBundle") or "",
            spec.get("insecureSkipTLSVerify") is True,
            conditions.is_true(obj, "Available"),
        )
        self._order()

    def _drop(self, obj: Object) -> None:
        spec = obj.get("spec") or {}
        place = (spec.get("group", ""), spec.get("version", ""))
        if self._remotes.pop(place, None) is not None:
            self._resources.pop(place, None)
            self._order()

    def _order(self) -> None:
        self._discovered = tuple(
            served for place, found in sorted(self._resources.items()) if place in self._remotes for served in found
        )


def read(remote: Remote, document: Object) -> Iterable[Served]:
    """What an APIResourceList tells; entries that make no sense are left out."""
    listed = document.get("resources") or ()
    entries = [entry for entry in listed if isinstance(entry, dict) and isinstance(entry.get("name"), str)]
    subresources: dict[str, list[Subresource]] = {}
    for entry in entries:
        plural, slash, sub = str(entry["name"]).partition("/")
        if slash:
            verbs = tuple(str(verb) for verb in entry.get("verbs") or ())
            kind = str(entry.get("kind") or "")
            found = Subresource(sub, verbs, kind, str(entry.get("group") or ""), str(entry.get("version") or ""))
            subresources.setdefault(plural, []).append(found)
    for entry in entries:
        name = str(entry["name"])
        if "/" not in name:
            subs = tuple(subresources.get(name, ()))
            resource = Resource(
                remote.group,
                remote.version,
                str(entry.get("kind") or ""),
                name,
                entry.get("namespaced") is True,
                singular=str(entry.get("singularName") or ""),
                short_names=tuple(str(word) for word in entry.get("shortNames") or ()),
                categories=tuple(str(word) for word in entry.get("categories") or ()),
                status=any(sub.name == "status" for sub in subs),
            )
            yield Served(resource, tuple(str(verb) for verb in entry.get("verbs") or ()), subs)
