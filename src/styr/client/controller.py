"""Controllers: a key comes, everything is read, the difference is written. `plane` builds a `Manager` and adds them.

A reconciler is `async def reconcile(context, key) -> Outcome`. It is called when the object, a child or a watched object
may have changed, and for every object at start. It may run twice, or stop at any await: the result must be the same.

    the reconciler ...                  the manager then ...
    ----------------------------------  ----------------------------------------------------------------
    returns Done()                      forgets earlier failures; waits for the next change
    returns After(seconds)              forgets earlier failures; calls again then, or at a change before
    raises Retry(message, after=None)   calls again after `after` seconds, or with backoff; logs one line
    raises Fatal(message)               does not call again until something changes; logs and writes a Warning event
    raises Conflict                     calls again with backoff, silently: the cache was a moment behind
    raises any other ApiError           calls again with backoff, or after the server's Retry-After; logs one line
    raises anything else                calls again with backoff; logs the traceback: that is a bug
    is cancelled                        the manager is stopping: nothing
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import Random

from styr.client.client import Client
from styr.client.context import Context
from styr.client.informer import Handler
from styr.client.informers import Informers
from styr.client.metrics import ControllerMetrics
from styr.client.workqueue import Backoff, WorkQueue
from styr.kinds import meta
from styr.kinds.errors import ApiError, Conflict
from styr.kinds.meta import Key
from styr.kinds.resources import Object, Resource
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.kit.metrics import CollectorRegistry
from styr.kit.tasks import Tasks

__all__ = ["After", "Context", "Controller", "Done", "Fatal", "Key", "Manager", "Outcome", "Retry", "Watch"]

log = Log("styr.client.controller")


@dataclass(frozen=True, slots=True)
class Done:
    """All is as it should be."""


@dataclass(frozen=True, slots=True)
class After:
    """All is well until then: look again in so many seconds."""

    seconds: float


Outcome = Done | After


class Retry(Exception):
    """Not now: call again. `after` is seconds, None for backoff."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Fatal(Exception):
    """Trying again cannot help: the object itself must change. The message is written for its author."""


@dataclass(frozen=True)
class Watch:
    """Another kind whose changes matter: `keys` maps one of its objects to the keys to look at. Called with the old and
    the new state of every change; `keys=nothing` declares a kind that is only read."""

    resource: Resource
    keys: Callable[[Object, Context], Iterable[Key]]
    fields: str = ""
    """A field selector: only what matches is kept and wakes the reconciler, which then reads it through the client."""


def nothing(_obj: Object, _context: Context) -> Iterable[Key]:
    """For kinds that a reconciler reads but is not woken by."""
    return ()


@dataclass(frozen=True)
class Controller:
    name: str
    resource: Resource
    """The kind whose keys are queued."""
    reconcile: Callable[[Context, Key], Awaitable[Outcome]]
    owns: tuple[Resource, ...] = ()
    """Children: a change of one queues the key of its controlling owner."""
    watches: tuple[Watch, ...] = ()
    workers: int = 2
    background: Callable[[Context], Awaitable[None]] | None = None
    """Runs beside the workers until the manager stops; started again, with backoff, should it end."""

    @property
    def reads(self) -> tuple[Resource, ...]:
        """Every kind it needs in the cache, each once."""
        whole = (watch.resource for watch in self.watches if not watch.fields)
        return tuple(dict.fromkeys((self.resource, *self.owns, *whole)))


@dataclass
class _Running:
    controller: Controller
    context: Context
    queue: WorkQueue[Key]
    backoff: Backoff[Key]


class Manager:
    """Runs controllers over one client; informers are shared by kind. `registry` is where they are counted."""

    def __init__(self, client: Client, clock: Clock, random: Random, registry: CollectorRegistry | None = None) -> None:
        self.client = client
        self.clock = clock
        self.random = random
        self._informers = Informers(client, random)
        self._running: list[_Running] = []
        self._started = False
        self._metrics = ControllerMetrics(registry, lambda: asyncio.get_running_loop().time(), self._sizes)

    def add(self, controller: Controller) -> None:
        """Before `run`."""
        if self._started:
            raise RuntimeError(f"controller {controller.name} added after the manager was started")
        context = Context(self.client, self.clock, self.random, self._informers, controller.name)
        queue: WorkQueue[Key] = WorkQueue(self._metrics.queue(controller.name))
        running = _Running(controller, context, queue, Backoff(self.random))
        self._running.append(running)
        for resource in controller.reads:
            self._informers.ensure(resource, pin=True)
        self._informers.ensure(controller.resource).subscribe(_each(running.queue, lambda obj: (meta.key(obj),)))
        for resource in controller.owns:
            self._informers.ensure(resource).subscribe(_each(running.queue, _owner_keys(controller.resource)))
        for watch in controller.watches:
            informer = self._informers.ensure(watch.resource, pin=True, fields=watch.fields)
            informer.subscribe(_each(running.queue, _watch_keys(watch, context)))

    def context(self, name: str, *reads: Resource) -> Context:
        """A context for code that is no controller (a status page, a ticker) over the same cache. Before `run`."""
        for resource in reads:
            self._informers.ensure(resource, pin=True)
        return Context(self.client, self.clock, self.random, self._informers, name)

    async def run(self) -> None:
        """Until cancelled; everything it started has then ended."""
        self._started = True
        async with Tasks("manager") as tasks:
            try:
                self._informers.start(tasks)
                for running in self._running:
                    if running.controller.background is not None:
                        tasks.spawn(self._beside(running), name=f"{running.controller.name} background")
                    for number in range(running.controller.workers):
                        tasks.spawn(self._work(running), name=f"{running.controller.name} {number}")
                await asyncio.get_running_loop().create_future()
            finally:
                for running in self._running:
                    running.queue.close()

    async def synced(self) -> None:
        """Every informer has listed once."""
        for informer in self._informers:
            await informer.synced.wait()

    def _sizes(self) -> list[tuple[tuple[str, ...], float]]:
        return [((informer.resource.group_resource,), float(informer.size)) for informer in self._informers]

    @property
    def idle(self) -> bool:
        """No key waits or is being worked on (delayed ones may be)."""
        return all(running.queue.idle for running in self._running)

    async def _work(self, running: _Running) -> None:
        for resource in running.controller.reads:
            await self._informers.ensure(resource).synced.wait()
        while True:
            key = await running.queue.get()
            try:
                await self._once(running, key)
            finally:
                running.queue.done(key)

    async def _beside(self, running: _Running) -> None:
        background, key = running.controller.background, Key("", "")
        assert background is not None
        while True:
            try:
                await background(running.context)
            except Exception as error:
                log.error("background task failed", error, controller=running.controller.name)
            await self.clock.sleep(running.backoff.next(key))

    async def _once(self, running: _Running, key: Key) -> None:
        """One call, and what the table says of its outcome."""
        name, queue, backoff = running.controller.name, running.queue, running.backoff
        try:
            for resource in running.controller.reads:
                await self._informers.ensure(resource).sure()
            outcome = await running.controller.reconcile(running.context, key)
        except Fatal as error:
            backoff.forget(key)
            self._metrics.gave_up(name)
            log.warning("gave up until it changes", controller=name, key=key, error=error)
            obj = running.context.get(running.controller.resource, key)
            if obj is not None:
                await running.context.event(obj, "Warning", "ReconcileFailed", str(error))
        except Retry as error:
            self._metrics.result(name, "error")
            delay = backoff.next(key) if error.after is None else error.after
            log.info("trying again", controller=name, key=key, after=f"{delay:.2f}s", reason=error)
            queue.add_after(key, delay)
        except Conflict:
            self._metrics.result(name, "error")
            queue.add_after(key, backoff.next(key))
        except ApiError as error:
            self._metrics.result(name, "error")
            delay = max(backoff.next(key), error.retry_after or 0.0)
            log.info("the API refused", controller=name, key=key, after=f"{delay:.2f}s", error=error)
            queue.add_after(key, delay)
        except Exception as error:
            self._metrics.result(name, "error")
            self._metrics.bug(name)
            delay = backoff.next(key)
            log.error("reconcile failed", error, controller=name, key=key, after=f"{delay:.2f}s")
            queue.add_after(key, delay)
        else:
            backoff.forget(key)
            self._metrics.result(name, "requeue_after" if isinstance(outcome, After) else "success")
            if isinstance(outcome, After):
                queue.add_after(key, outcome.seconds)


def _each(queue: WorkQueue[Key], keys: Callable[[Object], Iterable[Key]]) -> Handler:
    """Both states of a change are mapped: a pod that leaves a Service's selector concerns that Service."""

    def handle(old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None:
                for key in keys(obj):
                    queue.add(key)

    return handle


def _owner_keys(resource: Resource) -> Callable[[Object], Iterable[Key]]:
    def keys(obj: Object) -> Iterable[Key]:
        owner = meta.controller_of(obj)
        group = str((owner or {}).get("apiVersion", "")).rpartition("/")[0]
        if owner is None or owner.get("kind") != resource.kind or group != resource.group:
            return ()
        return (Key(meta.namespace(obj) if resource.namespaced else "", str(owner.get("name", ""))),)

    return keys


def _watch_keys(watch: Watch, context: Context) -> Callable[[Object], Iterable[Key]]:
    def keys(obj: Object) -> Iterable[Key]:
        try:
            return tuple(watch.keys(obj, context))
        except Exception as error:  # a bad mapping of one object must not blind the informer to all others
            log.error("mapping a watched object failed", error, resource=watch.resource, object=meta.key(obj))
            return ()

    return keys
