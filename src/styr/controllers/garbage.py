"""Garbage collection: what belongs to nothing that exists is deleted.

Promise, for every kind that the server serves, custom ones included:
- an object all of whose owners are gone is deleted; one that has another owner only loses the references to the gone;
- Foreground: an owner that waits (finalizer `foregroundDeletion`) goes after the dependents that block it;
- Orphan (finalizer `orphan`): dependents lose their reference to the owner, which then goes.

An owner counts as gone only when the server says so: the cache may be behind. An owner in another namespace is none.
Kinds come and go with their CustomResourceDefinitions; the controller's own resource is that, all else runs beside it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from styr.client.controller import Context, Controller, Done, Key, Outcome, Retry
from styr.client.discovery import resource_of, served
from styr.client.informer import Handler, Informer
from styr.client.workqueue import Backoff, WorkQueue
from styr.kinds import meta
from styr.kinds.errors import ApiError, Conflict, NotFound
from styr.kinds.resources import CRD, EVENT, Object, Resource
from styr.kit.log import Log
from styr.kit.tasks import Tasks

log = Log("styr.controllers.garbage")

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_GONE_REMEMBERED = 4096
_WORKERS = 4


class Item(NamedTuple):
    resource: Resource
    key: Key


@dataclass(frozen=True)
class Verdict:
    """What to do with an object, given the state of each owner: "delete" (with `policy`), "unlink" (`keep` are the
    references that stay), or "keep"."""

    action: str
    policy: str = ""
    keep: tuple[dict[str, Any], ...] = ()


def plan(obj: Object, owners: list[tuple[dict[str, Any], str]], blocked: bool) -> Verdict:
    """`owners` pairs each reference with "solid", "gone" or "waiting" (deleted in the foreground); `blocked`: does the
    object have dependents of its own?"""
    states = [state for _, state in owners]
    if not owners or all(state == "solid" for state in states):
        return Verdict("keep")
    if "solid" in states:
        return Verdict("unlink", keep=tuple(reference for reference, state in owners if state == "solid"))
    if "waiting" in states:
        return Verdict("delete", "Foreground" if blocked else "Background")
    finalizers = meta.metadata(obj).get("finalizers") or ()
    return Verdict(
        "delete", "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
    )


@dataclass
class Garbage:
    """One run of the collector over a manager's informers."""

    ctx: Context
    queue: WorkQueue[Item] = field(default_factory=WorkQueue)
    kinds: dict[tuple[str, str], Resource] = field(default_factory=dict)
    """By group and kind."""
    _followed: dict[Resource, tuple[Informer, Handler]] = field(default_factory=dict)
    _where: dict[str, Item] = field(default_factory=dict)
    """Where the object with this uid is."""
    _gone: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Uids that the server has said are no more."""

    # following every kind

    async def follow(self) -> None:
        """Asks the server what it serves, and follows just that. Raises ApiError."""
        found = [kind for kind in await served(self.ctx.client) if kind.group_resource not in _IGNORED]
        self.kinds = {(kind.group, kind.kind): kind for kind in found}
        for kind in [kind for kind in self._followed if kind not in found]:
            informer, handler = self._followed.pop(kind)
            informer.unsubscribe(handler)
            await self.ctx.informers.drop(informer)
        for kind in [kind for kind in found if kind not in self._followed]:
            informer, handler = self.ctx.informers.bones(kind), self._handler(kind)
            self._followed[kind] = (informer, handler)
            for obj in informer.list():
                handler(None, obj)
            informer.subscribe(handler)

    def leave(self) -> None:
        for informer, handler in self._followed.values():
            informer.unsubscribe(handler)
        self._followed.clear()
        self.queue.close()

    def _handler(self, resource: Resource) -> Handler:
        def handle(old: Object | None, new: Object | None) -> None:
            if old is not None and (new is None or meta.uid(new) != meta.uid(old)):
                self._ended(old)
            if new is not None:
                self._changed(Item(resource, meta.key(new)), old, new)

        return handle

    def _ended(self, obj: Object) -> None:
        self._where.pop(meta.uid(obj), None)
        self._remember(meta.uid(obj))
        self._queue_dependents(meta.uid(obj))
        self._queue_owners(obj)

    def _changed(self, item: Item, old: Object | None, new: Object) -> None:
        self._where[meta.uid(new)] = item
        if meta.owners(new) or (meta.deleting(new) and _held(new)):
            self.queue.add(item)
        if meta.deleting(new) and FOREGROUND in _held(new):
            self._queue_dependents(meta.uid(new))
        if old is not None and meta.owners(old) != meta.owners(new):
            self._queue_owners(old)

    def _queue_dependents(self, uid: str) -> None:
        for item, _ in self._dependents(uid):
            self.queue.add(item)

    def _queue_owners(self, obj: Object) -> None:
        for reference in meta.owners(obj):
            if (item := self._where.get(str(reference.get("uid")))) is not None:
                self.queue.add(item)

    def _dependents(self, uid: str) -> list[tuple[Item, Object]]:
        return [
            (Item(resource, meta.key(obj)), obj)
            for resource, (informer, _) in self._followed.items()
            for obj in informer.owned_by(uid)
        ]

    def _remember(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > _GONE_REMEMBERED:
            self._gone.popitem(last=False)

    # acting on one object

    async def examine(self, item: Item) -> None:
        followed = self._followed.get(item.resource)
        obj = followed[0].get(item.key) if followed is not None else None
        if obj is None:
            return
        if meta.deleting(obj):
            await self._finish(item, obj)
            return
        states = [(reference, await self._state(obj, reference)) for reference in meta.owners(obj)]
        verdict = plan(obj, states, bool(self._dependents(meta.uid(obj))))
        if verdict.action == "delete":
            await self._delete(item, obj, verdict.policy)
        elif verdict.action == "unlink":
            await self.ctx.patch(item.resource, obj, _owners_patch(obj, list(verdict.keep)))

    async def _finish(self, item: Item, obj: Object) -> None:
        """Takes off the collector's finalizers once what they stand for is done."""
        finalizers = _held(obj)
        if not finalizers:
            return
        if not all(informer.synced.is_set() for informer, _ in self._followed.values()):
            raise Retry("not every kind has been listed yet")
        if ORPHAN in finalizers:
            for dependent, child in self._dependents(meta.uid(obj)):
                rest = [reference for reference in meta.owners(child) if reference.get("uid") != meta.uid(obj)]
                try:
                    await self.ctx.patch(dependent.resource, child, _owners_patch(child, rest))
                except NotFound:
                    continue
            await self._take_off(item, obj, ORPHAN)
            return
        blocking = [
            dependent
            for dependent, child in self._dependents(meta.uid(obj))
            for reference in meta.owners(child)
            if reference.get("uid") == meta.uid(obj) and reference.get("blockOwnerDeletion")
        ]
        if not blocking:
            await self._take_off(item, obj, FOREGROUND)
        for dependent in blocking:
            self.queue.add(dependent)

    async def _take_off(self, item: Item, obj: Object, finalizer: str) -> None:
        rest = [name for name in meta.metadata(obj).get("finalizers") or () if name != finalizer]
        patch = {"metadata": {"finalizers": rest or None, "resourceVersion": meta.resource_version(obj)}}
        try:
            await self.ctx.patch(item.resource, obj, patch)
        except NotFound:
            return

    async def _delete(self, item: Item, obj: Object, policy: str) -> None:
        """Exactly the object that was judged: Conflict when it has changed since."""
        try:
            await self.ctx.client.delete(
                item.resource,
                item.key.name,
                item.key.namespace,
                uid=meta.uid(obj),
                resource_version=meta.resource_version(obj),
                propagation=policy,
            )
        except NotFound:
            return

    async def _state(self, obj: Object, reference: dict[str, Any]) -> str:
        uid = str(reference.get("uid"))
        if uid in self._gone:
            return "gone"
        item = self._where.get(uid)
        owner = self._followed[item.resource][0].get(item.key) if item and item.resource in self._followed else None
        if item is not None and owner is not None and meta.uid(owner) == uid:
            if item.resource.namespaced and item.key.namespace != meta.namespace(obj):
                return "gone"
        else:
            owner = await self._ask(obj, reference)
        if owner is None:
            self._remember(uid)
            return "gone"
        return "waiting" if meta.deleting(owner) and FOREGROUND in _held(owner) else "solid"

    async def _ask(self, obj: Object, reference: dict[str, Any]) -> Object | None:
        """The owner as the server has it; None if it is not there under this uid."""
        api_version, kind = str(reference.get("apiVersion", "")), str(reference.get("kind", ""))
        resource = self.kinds.get((api_version.rpartition("/")[0], kind))
        resource = resource or await resource_of(self.ctx.client, api_version, kind)
        if resource is None:
            raise Retry(f"owner {kind} {reference.get('name')}: no kind {kind} in {api_version} is served")
        namespace = meta.namespace(obj) if resource.namespaced else ""
        if resource.namespaced and not namespace:
            return None
        try:
            owner = await self.ctx.client.get(resource, str(reference.get("name")), namespace)
        except NotFound:
            return None
        return owner if meta.uid(owner) == reference.get("uid") else None


_IGNORED = (EVENT.group_resource, "events.events.k8s.io", "leases.coordination.k8s.io")
"""Many, short-lived, and nobody's dependents."""


def _held(obj: Object) -> list[str]:
    return [name for name in meta.metadata(obj).get("finalizers") or () if name in (FOREGROUND, ORPHAN)]


def _owners_patch(obj: Object, owners: list[dict[str, Any]]) -> Object:
    return {"metadata": {"ownerReferences": owners or None, "resourceVersion": meta.resource_version(obj)}}


async def _work(garbage: Garbage, backoff: Backoff[Item]) -> None:
    while True:
        item = await garbage.queue.get()
        try:
            await garbage.examine(item)
            backoff.forget(item)
        except Exception as error:
            delay = backoff.next(item)
            if not isinstance(error, (ApiError, Retry)):
                log.error("garbage collection failed", error, resource=item.resource, key=item.key)
            elif not isinstance(error, Conflict):
                log.info("garbage collection waits", resource=item.resource, key=item.key, reason=error)
            garbage.queue.add_after(item, delay)
        finally:
            garbage.queue.done(item)


def _runner(kinds_changed: asyncio.Event) -> Callable[[Context], Awaitable[None]]:
    async def run(ctx: Context) -> None:
        garbage, backoff = Garbage(ctx), Backoff[Item](ctx.random)
        async with Tasks("garbage") as tasks:
            try:
                for number in range(_WORKERS):
                    tasks.spawn(_work(garbage, backoff), name=f"worker {number}")
                while True:
                    kinds_changed.clear()
                    try:
                        await garbage.follow()
                    except ApiError as error:
                        log.info("kinds not known yet", error=error)
                        kinds_changed.set()
                        await ctx.clock.sleep(1.0)
                    await kinds_changed.wait()
            finally:
                garbage.leave()

    return run


def controller() -> Controller:
    kinds_changed = asyncio.Event()

    async def reconcile(_ctx: Context, _key: Key) -> Outcome:
        kinds_changed.set()
        return Done()

    return Controller("garbage", CRD, reconcile, workers=1, background=_runner(kinds_changed))
