"""What a reconciler is handed: the cache to read, and writes that do only what differs. Made by `client.controller.Manager`.

Writes go through the cache (`Informer.observe`), so the next pass sees them even when the watch is slow or broken.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from styr.client.apply import difference, same, wanted_parts
from styr.client.client import Client
from styr.client.informer import Informer
from styr.client.informers import Informers
from styr.client.transport import TransportError
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, ApiError, Conflict, NotFound
from styr.kinds.meta import Key
from styr.kinds.resources import EVENT, Object, Resource
from styr.kinds.selectors import Selector
from styr.kit.clock import Clock, rfc3339
from styr.kit.log import Log

log = Log("styr.client.context")

Objects = list[Object]

_EVENTS_REMEMBERED = 512
_MESSAGE_LIMIT = 1024


class Context:
    """One per controller. `name` is the controller's and stands as the source of its events."""

    def __init__(self, client: Client, clock: Clock, random: Random, informers: Informers, name: str = "styr") -> None:
        self.client = client
        self.clock = clock
        self.random = random
        self.name = name
        self.informers = informers
        self._events: OrderedDict[str, int] = OrderedDict()

    def now(self) -> str:
        """The time as objects carry it."""
        return rfc3339(self.clock.time())

    # reading: objects are shared, never changed

    def get(self, resource: Resource, key: Key) -> Object | None:
        return self._informer(resource).get(key)

    def list(self, resource: Resource, namespace: str = "", selector: Selector = ()) -> Objects:
        return self._informer(resource).list(namespace, selector)

    def children(self, resource: Resource, owner: Object) -> Objects:
        """Those whose controlling reference has the owner's uid."""
        return [obj for obj in self._informer(resource).owned_by(meta.uid(owner)) if meta.is_controlled_by(obj, owner)]

    # writing

    async def create(self, resource: Resource, obj: Object) -> Object:
        """Creates under a name that the caller chose. When the answer is lost, looks whether it was done."""
        try:
            made = await self.client.create(resource, obj)
        except TransportError as lost:
            try:
                made = await self.client.get(resource, meta.name(obj), meta.namespace(obj))
            except ApiError:
                self._doubt(resource)
                raise lost from None
            if meta.owners(made) != meta.owners(obj):
                raise
        self._observe(resource, made)
        return made

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        return self._observe(resource, await self.client.update(resource, obj, subresource=subresource))

    async def patch(
        self, resource: Resource, obj: Object, patch: Mapping[str, Any] | Iterable[Any], *, subresource: str = ""
    ) -> Object:
        """Merge patch (dict) or JSON patch (list) of this object."""
        body = patch if isinstance(patch, Mapping) else tuple(patch)
        answer = await self.client.patch(resource, meta.name(obj), meta.namespace(obj), body, subresource=subresource)
        return self._observe(resource, answer)

    async def delete(
        self, resource: Resource, obj: Object, *, grace: int | None = None, propagation: str = "Background"
    ) -> None:
        """Deletes this very object (by uid); that it is gone already is success."""
        name, namespace, uid = meta.name(obj), meta.namespace(obj), meta.uid(obj)
        try:
            answer = await self.client.delete(resource, name, namespace, uid=uid, grace=grace, propagation=propagation)
        except (NotFound, Conflict):
            return
        except TransportError:
            self._doubt(resource)
            raise
        if answer.get("kind") == resource.kind and meta.deleting(answer):
            self._observe(resource, answer)
        elif answer.get("kind") == "Status" and (informer := self.informers.get(resource)) is not None:
            informer.forget(meta.key(obj), uid)

    async def refresh(self, resource: Resource, key: Key) -> Object:
        """Reads the object from the server into the cache. Raises NotFound."""
        return self._observe(resource, await self.client.get(resource, key.name, key.namespace))

    async def apply_children(
        self, resource: Resource, owner: Object, want: Iterable[Object], have: Iterable[Object]
    ) -> None:
        """Makes the owner's children of this kind be those of `want`, compared by name: creates with a controlling owner
        reference and the owner's namespace, patches what differs (`apply.difference`), deletes the rest. A child on its
        way out is left alone until it is gone. Raises AlreadyExists when another owner's object has a child's name."""
        present = {meta.name(child): child for child in have}
        for child in want:
            name = meta.name(child)
            existing = present.pop(name, None)
            if existing is None:
                await self._adopt_or_create(resource, owner, child)
            elif not meta.deleting(existing) and (patch := difference(wanted_parts(child), existing)):
                await self.patch(resource, existing, patch)
        for surplus in present.values():
            if not meta.deleting(surplus):
                await self.delete(resource, surplus)

    async def set_status(self, resource: Resource, obj: Object, status: Mapping[str, Any]) -> Object:
        """Makes `status` the whole status, writing only if it differs. Raises Conflict when the cached object is stale."""
        told = obj.get("status") or {}
        if told == status or (_typed(resource) and same(told, status)):
            return obj
        answer = await self.client.update_status(resource, {**obj, "status": dict(status)})
        return self._observe(resource, answer)

    async def event(self, obj: Object, type: str, reason: str, message: str) -> None:
        """Tells people. The same event again raises the count of the first. Never raises: no event is worth a failure."""
        try:
            await self._record(obj, type, reason, message[:_MESSAGE_LIMIT])
        except ApiError as error:
            log.info("event not recorded", object=meta.key(obj), reason=reason, error=error)

    # inside

    def _informer(self, resource: Resource) -> Informer:
        informer = self.informers.get(resource)
        if informer is None:
            raise LookupError(f"controller {self.name} reads {resource} but does not declare it")
        return informer

    def _observe(self, resource: Resource, obj: Object) -> Object:
        obj.setdefault("apiVersion", resource.api_version)
        obj.setdefault("kind", resource.kind)
        informer = self.informers.get(resource)
        if informer is not None:
            informer.observe(obj)
        return obj

    def _doubt(self, resource: Resource) -> None:
        informer = self.informers.get(resource)
        if informer is not None:
            informer.doubt()

    async def _adopt_or_create(self, resource: Resource, owner: Object, child: Object) -> None:
        made = owned(child, owner, resource)
        try:
            await self.create(resource, made)
        except AlreadyExists:
            live = await self.client.get(resource, meta.name(made), meta.namespace(made))
            if not meta.is_controlled_by(live, owner):
                raise
            self._observe(resource, live)
            if not meta.deleting(live) and (patch := difference(wanted_parts(child), live)):
                await self.patch(resource, live, patch)

    async def _record(self, obj: Object, type: str, reason: str, message: str) -> None:
        digest = hashlib.sha256("\0".join((meta.uid(obj), self.name, type, reason, message)).encode()).hexdigest()
        namespace = meta.namespace(obj) or "default"
        name = f"{meta.name(obj)[:200]}.{digest[:16]}"
        count = self._events.get(name)
        if count is None:
            event = _event(obj, name, namespace, type, reason, message, self.name, self.now())
            try:
                await self.client.create(EVENT, event)
            except AlreadyExists:
                count = int((await self.client.get(EVENT, name, namespace)).get("count") or 1)
        if count is not None:
            try:
                await self.client.patch(EVENT, name, namespace, {"count": count + 1, "lastTimestamp": self.now()})
            except NotFound:  # aged out: the next one begins anew
                self._events.pop(name, None)
                return
        self._events[name] = (count or 0) + 1
        self._events.move_to_end(name)
        if len(self._events) > _EVENTS_REMEMBERED:
            self._events.popitem(last=False)


def owned(child: Mapping[str, Any], owner: Object, resource: Resource) -> Object:
    """The child with its kind, its owner's namespace and a controlling reference to it. Changes nothing it is given."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta.name(owner),
        "uid": meta.uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    identity = {"ownerReferences": [reference]}
    if resource.namespaced:
        identity["namespace"] = meta.namespace(owner) or meta.namespace(child)  # type: ignore[assignment]
    return {
        **child,
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {**meta.metadata(child), **identity},
    }


def _event(
    obj: Object, name: str, namespace: str, type: str, reason: str, message: str, source: str, now: str
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": obj.get("apiVersion", ""),
            "kind": obj.get("kind", ""),
            "name": meta.name(obj),
            "namespace": meta.namespace(obj),
            "uid": meta.uid(obj),
            "resourceVersion": meta.resource_version(obj),
        },
        "type": type,
        "reason": reason,
        "message": message,
        "source": {"component": source},
        "reportingComponent": source,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _typed(resource: Resource) -> bool:
    """Does the server leave out of its objects what is empty?"""
    return "." not in resource.group or resource.group.endswith(".k8s.io")
