"""A local copy of one kind, kept by list and watch, and told to whoever subscribed. `client.controller.Manager` runs one
per kind and shares it; reconcilers read it through `Context`. It never writes to the API.

The copy is the watch's state plus this process's own later writes (`observe`): a reconciler that has just written sees
what it wrote. An object is replaced only by a newer one (resourceVersions compare as integers), so late answers and
replayed events cannot take it back in time. When the answer to a write was lost (`doubt`), nobody knows whether the copy
is behind: reconcilers wait for a fresh list (`sure`) before they count on it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from random import Random

from styr.client.client import Client, ObjectList
from styr.client.workqueue import Backoff
from styr.kinds import meta, selectors
from styr.kinds.errors import ApiError, Expired
from styr.kinds.meta import Key
from styr.kinds.resources import Object, Resource
from styr.kinds.selectors import Selector
from styr.kit.log import Log

log = Log("styr.client.informer")

Handler = Callable[[Object | None, Object | None], None]
"""Called with (old, new); new is None when the object is gone, old when it is new. Must not raise or block."""

WATCH_SECONDS = 240.0
"""How long a watch is asked to last; then it is simply opened again."""


def whole(obj: Object) -> Object:
    """All but who owns which field: no reader needs it, and it would be a third of a small object."""
    metadata = meta.metadata(obj)
    if "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


_BONES = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "deletionTimestamp")


def bones(obj: Object) -> Object:
    """What garbage collection needs to know of an object."""
    metadata = meta.metadata(obj)
    return {"metadata": {name: metadata[name] for name in _BONES if name in metadata}}


class Informer:
    """`fields` is a field selector: then it holds only what matches. `keep` makes of an object what is held of it."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        random: Random,
        *,
        page: int = 500,
        fields: str = "",
        keep: Callable[[Object], Object] = whole,
    ) -> None:
        self.resource = resource
        self.fields = fields
        self._keep = keep
        self.synced = asyncio.Event()
        self._client = client
        self._random = random
        self._page = page
        self._backoff: Backoff[str] = Backoff(random)
        self._handlers: list[Handler] = []
        self._objects: dict[Key, Object] = {}
        self._by_namespace: dict[str, dict[Key, Object]] = {}
        self._by_owner: dict[str, dict[Key, Object]] = {}
        self._gone: set[str] = set()
        """Uids this process has deleted, whose last events may still be under way."""
        self._version = ""
        """Where the watch stands; "" when only a list can tell."""
        self._doubts = 0

    @property
    def size(self) -> int:
        """Objects in the cache."""
        return len(self._objects)

    # reading: objects are shared, callers never change them

    def get(self, key: Key) -> Object | None:
        return self._objects.get(key)

    def list(self, namespace: str = "", selector: Selector = ()) -> list[Object]:
        """In the order of their keys. All namespaces when none is given."""
        pool = self._by_namespace.get(namespace, {}) if namespace else self._objects
        return [obj for _, obj in sorted(pool.items()) if selectors.matches(selector, meta.labels(obj))]

    def owned_by(self, uid: str) -> Iterable[Object]:
        """Every object with an owner reference to this uid, controlling or not, in the order of their keys."""
        return [obj for _, obj in sorted(self._by_owner.get(uid, {}).items())]

    def subscribe(self, handler: Handler) -> None:
        """Later changes only: subscribe before `run`."""
        self._handlers.append(handler)

    def unsubscribe(self, handler: Handler) -> None:
        self._handlers.remove(handler)

    # own writes

    def observe(self, obj: Object) -> None:
        """Takes in the answer to a write, unless the watch has already passed it."""
        if _number(obj) > _integer(self._version) and meta.uid(obj) not in self._gone:
            self._put(obj)

    def forget(self, key: Key, uid: str) -> None:
        """Takes in the answer to a delete that left nothing."""
        old = self._objects.get(key)
        if old is not None and meta.uid(old) == uid:
            self._gone.add(uid)
            self._remove(key)

    def doubt(self) -> None:
        """An answer to a write of this kind was lost."""
        self._doubts += 1

    async def sure(self) -> None:
        """Returns at once, or after a list if a write's answer was lost since the last one. Raises ApiError."""
        while doubts := self._doubts:
            self._replace(await self._list())
            self._doubts -= doubts

    # keeping up

    async def run(self) -> None:
        """Until cancelled. Every failure is logged and retried with backoff; an expired watch lists again."""
        while True:
            started = asyncio.get_running_loop().time()
            try:
                if not self._version:
                    self._replace(await self._list())
                    self.synced.set()
                await self._follow()
                problem: Exception | None = None
            except Expired as error:
                self._version, problem = "", error
            except ApiError as error:
                problem = error
            except Exception as error:  # a bug here must not end the plane's view of the world
                log.error("informer failed, listing again", error, resource=self.resource)
                self._version, problem = "", error
            if asyncio.get_running_loop().time() - started > 5.0:
                self._backoff.forget("")
                if problem is None:
                    continue
            if problem is not None:
                log.info("watch ended", resource=self.resource, error=problem)
            await asyncio.sleep(self._backoff.next(""))

    async def _list(self) -> ObjectList:
        return await self._client.list(self.resource, fields=self.fields, limit=self._page, keep=self._keep)

    async def _follow(self) -> None:
        """One watch from where we stand to its end."""
        seconds = WATCH_SECONDS * (1 + self._random.random() / 4)
        version = self._version
        events = self._client.watch(self.resource, fields=self.fields, resource_version=version, timeout=seconds)
        async with aclosing(events) as stream:
            async for event in stream:
                if event.type == "DELETED":
                    self._deleted(event.object)
                elif event.type in ("ADDED", "MODIFIED") and meta.uid(event.object) not in self._gone:
                    self._put(event.object)
                self._advance(meta.resource_version(event.object))

    def _replace(self, found: ObjectList) -> None:
        """The list's state, but for own writes that are younger than it."""
        newest = _integer(found.resource_version)
        if self._version and newest < _integer(self._version):
            return  # the watch has seen more than this list
        self._gone.clear()
        listed = {meta.key(obj): obj for obj in found.items}
        for key, old in list(self._objects.items()):
            if key not in listed and _number(old) <= newest:
                self._remove(key)
        for obj in listed.values():
            self._put(obj)
        self._advance(found.resource_version)

    def _advance(self, version: str) -> None:
        """Never back: a list may have overtaken the watch, whose older events then change nothing."""
        if not self._version or _integer(version) >= _integer(self._version):
            self._version = version or self._version

    def _put(self, obj: Object) -> None:
        key = meta.key(obj)
        old = self._objects.get(key)
        if old is not None:
            if 0 < _number(obj) <= _number(old):
                return
            self._unindex(key, old)
        obj = self._keep(obj)
        self._objects[key] = obj
        self._by_namespace.setdefault(key.namespace, {})[key] = obj
        for owner in meta.owners(obj):
            self._by_owner.setdefault(str(owner.get("uid")), {})[key] = obj
        self._tell(old, obj)

    def _deleted(self, last: Object) -> None:
        self._gone.discard(meta.uid(last))
        old = self._objects.get(meta.key(last))
        if old is not None and (meta.uid(old) == meta.uid(last) or _number(old) < _number(last)):
            self._remove(meta.key(last))

    def _remove(self, key: Key) -> None:
        old = self._objects.pop(key)
        self._unindex(key, old)
        self._tell(old, None)

    def _unindex(self, key: Key, old: Object) -> None:
        _drop(self._by_namespace, key.namespace, key)
        for owner in meta.owners(old):
            _drop(self._by_owner, str(owner.get("uid")), key)

    def _tell(self, old: Object | None, new: Object | None) -> None:
        for handler in tuple(self._handlers):
            handler(old, new)


def _drop(index: dict[str, dict[Key, Object]], name: str, key: Key) -> None:
    entries = index.get(name)
    if entries is not None:
        entries.pop(key, None)
        if not entries:
            del index[name]


def _integer(version: str) -> int:
    return int(version) if version.isdecimal() else 0


def _number(obj: Object) -> int:
    return _integer(meta.resource_version(obj))
