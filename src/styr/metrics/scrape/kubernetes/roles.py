"""Groups of targets by role, kept up to date from informers, and the `Discovery` that a job runs over them.

Called by `watcher`, which makes one `Discovery` for each role of a job. Calls `pods`, `services`, `endpoints`, `nodes`. A role
is computed once however many jobs use it; a change of an object costs the groups that it is part of, and what comes out as it
was is told to nobody. Never scrapes, never relabels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from styr.client.informer import Informer
from styr.client.informers import Informers
from styr.kinds import meta
from styr.kinds.meta import Key
from styr.kinds.resources import ENDPOINT_SLICE, NODE, POD, SERVICE, Object, Resource
from styr.kit.log import Log
from styr.metrics.scrape.discovery import Group, Publish
from styr.metrics.scrape.kubernetes import endpoints, nodes, pods, services
from styr.metrics.scrape.kubernetes.jobs import Role, RoleName, read_role

log = Log("styr.metrics.scrape")

READS: dict[RoleName, tuple[Resource, ...]] = {
    "pod": (POD,),
    "service": (SERVICE,),
    "endpointslice": (ENDPOINT_SLICE, SERVICE, POD),
    "endpoints": (ENDPOINT_SLICE, SERVICE, POD),
    "node": (NODE,),
}
"""The kinds that a role is made of, the one whose objects become groups first."""


class Roles:
    """One for each connection to an API. `informers` must know, and run, every kind in `READS` and NODE."""

    def __init__(self, informers: Informers) -> None:
        self._informers = informers
        self._known: dict[tuple[RoleName, bool], Catalogue] = {}

    def discovery(self, role: Role | str) -> KubernetesDiscovery:
        """A text is a `kubernetes_sd_config` as JSON, as `ScrapeConfig.kubernetes_sd` has it. Raises BadData."""
        return KubernetesDiscovery(self, read_role(role) if isinstance(role, str) else role)

    def catalogue(self, role: Role) -> Catalogue:
        place = (role.name, role.node)
        if place not in self._known:
            self._known[place] = Catalogue(self._informers, *place)
        return self._known[place]


@dataclass(frozen=True)
class KubernetesDiscovery:
    """Targets of one role in some namespaces. Two of the same are equal, so a reload leaves a running one alone."""

    roles: Roles
    role: Role

    async def run(self, publish: Publish) -> None:
        catalogue = self.roles.catalogue(self.role)
        await catalogue.synced()
        with catalogue.told(lambda groups: publish([group for group in groups if self._mine(group)])):
            publish([group for group in catalogue.groups.values() if self._mine(group)])
            await asyncio.get_running_loop().create_future()

    def _mine(self, group: Group) -> bool:
        wanted = self.role.namespaces
        return not wanted or self.role.name == "node" or group.source.split("/")[1] in wanted


@dataclass
class Catalogue:
    """All groups of a role. `node`: with labels of nodes."""

    informers: Informers
    name: RoleName
    node: bool
    groups: dict[str, Group] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._listeners: list[Callable[[Sequence[Group]], None]] = []
        self._dirty: dict[Key, None] = {}
        self._due = False
        self._users: dict[tuple[str, Key], dict[Key, None]] = {}
        """(plural, key) of an object -> the objects whose groups it is part of."""
        self._uses: dict[Key, tuple[tuple[str, Key], ...]] = {}
        self._subscribe()

    def _informer(self, resource: Resource) -> Informer:
        return self.informers.ensure(resource, pin=True)

    async def synced(self) -> None:
        for resource in (*READS[self.name], *((NODE,) if self.node else ())):
            await self._informer(resource).synced.wait()
        self._flush()

    @contextmanager
    def told(self, listener: Callable[[Sequence[Group]], None]) -> Iterator[None]:
        """`listener` gets what changes while this lasts."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def _subscribe(self) -> None:
        first, *others = READS[self.name]
        informer = self._informer(first)
        informer.subscribe(lambda old, new: self._mark([meta.key(one) for one in (old, new) if one is not None]))
        self._mark(meta.key(obj) for obj in informer.list())
        for resource in (*others, *((NODE,) if self.node else ())):
            self._informer(resource).subscribe(self._part(resource))

    def _part(self, resource: Resource) -> Callable[[Object | None, Object | None], None]:
        def changed(old: Object | None, new: Object | None) -> None:
            if resource == NODE and old is not None and new is not None and _told(old) == _told(new):
                return  # a node's heartbeat
            obj = new if new is not None else old
            assert obj is not None
            self._mark(self._users.get((resource.plural, meta.key(obj)), ()))

        return changed

    def _mark(self, keys: Iterable[Key]) -> None:
        """Later in the same turn of the loop: a list of ten thousand objects is one change."""
        self._dirty.update(dict.fromkeys(keys))
        if self._dirty and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._due = False
        changed: list[Group] = []
        for key in self._dirty:
            group = self._safely(key)
            before = self.groups.get(group.source)
            if group.targets:
                self.groups[group.source] = group
            elif self.groups.pop(group.source, None) is None:
                continue
            if before != group:
                changed.append(group)
        self._dirty.clear()
        if changed:
            for listener in tuple(self._listeners):
                listener(changed)

    def _safely(self, key: Key) -> Group:
        """No targets of an object that no server should have let in: it must not hide the others."""
        try:
            return self._group(key)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.error("an object gives no targets", error, role=self.name, object=key)
            return Group(_source(self.name, key))

    def _group(self, key: Key) -> Group:
        obj = self._informer(READS[self.name][0]).get(key)
        self._remember(key, tuple(self._parts(obj)) if obj is not None else ())
        if obj is None:
            return Group(_source(self.name, key))
        if self.name == "pod":
            return pods.group(obj, self._node_of(obj))
        if self.name == "service":
            return services.group(obj)
        if self.name == "node":
            return nodes.group(obj)
        around = endpoints.Around(self._find(SERVICE), self._find(POD), self._find(NODE) if self.node else None)
        return endpoints.group(obj, around, legacy=self.name == "endpoints")

    def _find(self, resource: Resource) -> endpoints.Find:
        informer = self._informer(resource)
        return lambda namespace, name: informer.get(Key(namespace, name))

    def _node_of(self, pod: Object) -> Object | None:
        name = (pod.get("spec") or {}).get("nodeName") if self.node else None
        return self._informer(NODE).get(Key("", str(name))) if name else None

    def _parts(self, obj: Object) -> Iterator[tuple[str, Key]]:
        """The other objects that its group is made of, whether they are there or not."""
        if self.name == "pod" and self.node:
            yield NODE.plural, Key("", str((obj.get("spec") or {}).get("nodeName") or ""))
        if self.name not in ("endpointslice", "endpoints"):
            return
        yield SERVICE.plural, Key(meta.namespace(obj), str(meta.labels(obj).get(endpoints.SERVICE_NAME, "")))
        yield from ((POD.plural, Key(*pod)) for pod in endpoints.pods_of(obj))
        for endpoint in (obj.get("endpoints") or ()) if self.node else ():
            yield NODE.plural, Key("", str(endpoint.get("nodeName") or ""))

    def _remember(self, key: Key, parts: tuple[tuple[str, Key], ...]) -> None:
        for part in self._uses.pop(key, ()):
            users = self._users.get(part)
            if users is not None:
                users.pop(key, None)
                if not users:
                    del self._users[part]
        if parts:
            self._uses[key] = parts
            for part in parts:
                self._users.setdefault(part, {})[key] = None


def _source(role: RoleName, key: Key) -> str:
    """The group's source of an object that is gone."""
    if role == "node":
        return nodes.source(key.name)
    return {"pod": pods.source, "service": services.source}.get(role, endpoints.source)(*key)


def _told(node: Object) -> object:
    return meta.labels(node), meta.annotations(node)
