"""The informers of a manager, one per kind, started when first asked for. `client.controller` and `Context` call it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from styr.client.client import Client
from styr.client.informer import Informer, bones
from styr.kinds.resources import Resource
from styr.kit.tasks import Tasks

_Id = tuple[str, str, str, str]
_BONES = "bones"
"""In the place of a field selector, which no selector looks like."""


class Informers:
    """A kind is known by group, version and plural: one found by discovery is the same as a built-in constant. A part of a
    kind (`fields`) and the bones of one have informers of their own, which `get` does not know."""

    def __init__(self, client: Client, random: Random) -> None:
        self._client = client
        self._random = random
        self._known: dict[_Id, Informer] = {}
        self._pinned: set[_Id] = set()
        self._tasks: Tasks | None = None

    def __iter__(self) -> Iterator[Informer]:
        return iter(list(self._known.values()))

    def get(self, resource: Resource) -> Informer | None:
        return self._known.get(_id(resource))

    def ensure(self, resource: Resource, *, pin: bool = False, fields: str = "") -> Informer:
        """The informer of this kind, running if the manager is. A pinned one is never dropped."""
        known = _id(resource, fields)
        if pin:
            self._pinned.add(known)
        return self._known.get(known) or self._add(known, Informer(self._client, resource, self._random, fields=fields))

    def bones(self, resource: Resource) -> Informer:
        """One that may hold no more than `informer.bones` of each object: the whole one where there is one."""
        known = _id(resource, _BONES)
        found = self.get(resource) or self._known.get(known)
        return found or self._add(known, Informer(self._client, resource, self._random, keep=bones))

    async def drop(self, informer: Informer) -> None:
        """Stops and forgets the informer of a kind that is no longer served, unless a controller declared it."""
        for known in [known for known, one in self._known.items() if one is informer and known not in self._pinned]:
            del self._known[known]
            if self._tasks is not None:
                await self._tasks.cancel(_name(known))

    def start(self, tasks: Tasks) -> None:
        self._tasks = tasks
        for known, informer in list(self._known.items()):
            tasks.spawn(informer.run(), name=_name(known))

    def _add(self, known: _Id, informer: Informer) -> Informer:
        self._known[known] = informer
        if self._tasks is not None:
            self._tasks.spawn(informer.run(), name=_name(known))
        return informer


def _id(resource: Resource, part: str = "") -> _Id:
    return resource.group, resource.version, resource.plural, part


def _name(known: _Id) -> str:
    return f"informer {'/'.join(filter(None, known))}"
