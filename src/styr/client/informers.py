"""The informers of a manager, one per kind, started when first asked for. `client.controller` and `Context` call it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from styr.client.client import Client
from styr.client.informer import Informer
from styr.kinds.resources import Resource
from styr.kit.tasks import Tasks

_Id = tuple[str, str, str, str]


class Informers:
    """A kind is known by group, version and plural: one found by discovery is the same as a built-in constant. A part of a kind
    (`fields`) has an informer of its own, which `get` does not know."""

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
        informer = self._known.get(_id(resource, fields))
        if informer is None:
            informer = Informer(self._client, resource, self._random, fields=fields)
            self._known[_id(resource, fields)] = informer
            self._spawn(informer)
        if pin:
            self._pinned.add(_id(resource, fields))
        return informer

    async def drop(self, resource: Resource) -> None:
        """Stops and forgets the informer of a kind that is no longer served, unless a controller declared it."""
        if _id(resource) in self._known and _id(resource) not in self._pinned:
            del self._known[_id(resource)]
            if self._tasks is not None:
                await self._tasks.cancel(_name(resource))

    def start(self, tasks: Tasks) -> None:
        self._tasks = tasks
        for informer in self:
            self._spawn(informer)

    def _spawn(self, informer: Informer) -> None:
        if self._tasks is not None:
            self._tasks.spawn(informer.run(), name=_name(informer.resource))


def _id(resource: Resource, fields: str = "") -> _Id:
    return resource.group, resource.version, resource.plural, fields


def _name(resource: Resource) -> str:
    return f"informer {resource.api_version}/{resource.plural}"
