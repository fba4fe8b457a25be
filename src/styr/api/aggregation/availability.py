"""Keeps APIServices: those of what this server serves are there and `Available`; of every other one the Service,
its endpoints and its discovery document are looked at, after each change of them and every 30 s, and the condition says what is
the matter.

Made by the server. Runs only while there is something to look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from styr.api import callout
from styr.api.aggregation import local
from styr.api.aggregation.proxy import Proxy
from styr.api.aggregation.services import KEY, Remote, Services
from styr.api.callout import CalloutFailed
from styr.api.registry import Registry
from styr.api.store.commit import Store, Txn
from styr.api.store.records import Change, ObjectKey
from styr.kinds import conditions
from styr.kinds.errors import ApiError, Unavailable
from styr.kinds.resources import CRD, ENDPOINT_SLICE, SERVICE, Object
from styr.kit.clock import Clock, rfc3339
from styr.kit.log import Log
from styr.serving.relay import Unreachable

log = Log("styr.api.aggregation")

EVERY = 30.0
SOON = 1.0
"""Seconds to the next look at one that is not available, twice as many each time."""
PATIENCE = 5.0
"""Seconds for one look at another server's document."""
Finding = tuple[bool, str, str]
"""Available, reason, message."""


class Availability:
    def __init__(
        self, store: Store, registry: Registry, services: Services, proxy: Proxy, clock: Clock, uid: Callable[[], str]
    ) -> None:
        self._store = store
        self._registry = registry
        self._services = services
        self._proxy = proxy
        self._clock = clock
        self._uid = uid
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stale = True
        """Must the local ones be looked at again?"""

    async def start(self) -> None:
        """Writes the local ones that are missing, then follows the store."""
        await self._keep_local()
        self._store.on_commit(self._see)
        self._wake()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _see(self, changes: Iterable[Change]) -> None:
        for change in changes:
            resource = change.key.resource
            if resource == CRD.group_resource or (resource == KEY and change.new is None):
                self._stale = True
                self._wake()
            elif resource == KEY:
                if change.old is None or _spec(change.old.decode()) != _spec(change.new.decode()):  # type: ignore[union-attr]
                    self._wake()
            elif resource in (SERVICE.group_resource, ENDPOINT_SLICE.group_resource) and self._concerns(change):
                self._wake()

    def _concerns(self, change: Change) -> bool:
        return any(remote.service["namespace"] == change.key.namespace for remote in self._services.all)

    def _wake(self) -> None:
        if not (self._stale or self._services.all):
            return
        self._bell.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="API services")

    async def _run(self) -> None:
        pause = SOON
        while self._stale or self._services.all:
            self._bell.clear()
            well = True
            try:
                if self._stale:
                    await self._keep_local()
                remotes = self._services.all
                found = await asyncio.gather(*map(self._look, remotes))
                well = all(available for available, _, _ in found)
                for remote, finding in zip(remotes, found, strict=True):
                    await self._tell(remote, *finding)
            except Unavailable:
                return  # the store is closed
            except ApiError as error:
                well = False
                log.warning("the state of an APIService was not written", error=error)
            if self._services.all and not self._bell.is_set():
                await self._wait(EVERY if well else pause)
            pause = SOON if well or self._bell.is_set() else min(2 * pause, EVERY)

    async def _wait(self, seconds: float) -> None:
        waiting = asyncio.ensure_future(self._bell.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait([waiting, sleeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            sleeping.cancel()

    # those of others

    async def _look(self, remote: Remote) -> Finding:
        name, namespace = remote.service["name"], remote.service["namespace"]
        port = int(remote.service.get("port", 443))
        record = self._store.get(ObjectKey(SERVICE.group_resource, namespace, name))
        if record is None:
            return False, "ServiceNotFound", f'service/{name} in "{namespace}" is not present'
        spec = record.decode()["spec"]
        if spec.get("type", "ClusterIP") == "ClusterIP":
            named = [entry.get("name") or "" for entry in spec.get("ports") or () if entry.get("port") == port]
            if not named:
                return False, "ServicePortError", f'service/{name} in "{namespace}" is not listening on port {port}'
            try:
                self._proxy.resolve(remote)
            except CalloutFailed:
                told = (
                    f'endpointslices for service/{name} in "{namespace}" have no addresses with port name "{named[0]}"'
                )
                return False, "MissingEndpoints", told
        return await self._ask(remote)

    async def _ask(self, remote: Remote) -> Finding:
        url = f"https://{remote.host}:{remote.service.get('port', 443)}{remote.path}"
        try:
            async with asyncio.timeout(PATIENCE):
                status, body = await self._proxy.look(remote, remote.path)
        except (CalloutFailed, Unreachable, Unavailable, OSError) as error:
            return False, "FailedDiscoveryCheck", f"failing or missing response from {url}: {callout.reason(error)}"
        if not 200 <= status < 300:
            why = f"failing or missing response from {url}: bad status from {url}: {status}"
            return False, "FailedDiscoveryCheck", why
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            document = None
        if isinstance(document, dict):
            self._services.told(remote, document)
        return True, "Passed", "all checks passed"

    async def _tell(self, remote: Remote, available: bool, reason: str, message: str) -> None:
        def write(txn: Txn) -> None:
            key = ObjectKey(KEY, "", remote.name)
            record = txn.get(key)
            if record is None:
                return
            obj = record.decode()
            made = _told(obj, available, reason, message, self._now())
            if made.get("status") != obj.get("status"):
                txn.put(key, made)

        await self._store.write(write)

    # our own

    async def _keep_local(self) -> None:
        self._stale = False
        wanted: dict[str, Object] = {}
        for served in self._registry.all():
            group, version = served.resource.group, served.resource.version
            wanted.setdefault(local.name_of(group, version), local.api_service(group, version, custom=served.custom))
        await self._store.write(lambda txn: self._write_local(txn, wanted))

    def _write_local(self, txn: Txn, wanted: dict[str, Object]) -> None:
        known = {key.name: record.decode() for key, record in txn.list(KEY)}
        for name in local.surplus(known.values(), set(wanted)):
            txn.delete(ObjectKey(KEY, "", name))
        for name, obj in wanted.items():
            if name not in known:
                meta = {**obj["metadata"], "uid": self._uid(), "creationTimestamp": self._now()}
                made = _told({**obj, "metadata": meta}, True, local.REASON, local.MESSAGE, self._now())
                txn.put(ObjectKey(KEY, "", name), made)

    def _now(self) -> str:
        return rfc3339(self._clock.time())


def _told(obj: Object, available: bool, reason: str, message: str, now: str) -> Object:
    known = (obj.get("status") or {}).get("conditions")
    told = conditions.put(known, "Available", available, now=now, reason=reason, message=message)
    return {**obj, "status": {**(obj.get("status") or {}), "conditions": told}}


def _spec(obj: Object) -> object:
    return obj.get("spec")
