"""SIGKILL under load: writers that count what was acknowledged, watchers that resume where they were, and a server that dies at
random moments. `Scene.run` plays it; `Scene.check` says what must hold:

- every acknowledged write was seen by every watcher, at the revision that was acknowledged, and is in the final state;
- no revision was given to two writes; every watcher's revisions rise, without gap or duplicate over all deaths;
- what a watcher has put together from events is what a list then says.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from styr.client.client import Client
from styr.client.kubeconfig import Access
from styr.client.transport import HttpsTransport
from styr.kinds.errors import Unavailable
from styr.kinds.resources import CONFIG_MAP, Object

AWAY = 0.02
"""Seconds until somebody who found the server away asks again."""


@dataclass
class Ack:
    """A create or update that was answered."""

    name: str
    value: str


@dataclass
class Watcher:
    """What one watch has shown, over all its reconnections."""

    revision: int
    events: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    """revision -> (type, name, value)."""
    resumed: int = 0

    def saw(self, kind: str, obj: Object) -> None:
        revision = int(obj["metadata"]["resourceVersion"])
        if kind != "BOOKMARK":
            assert revision > self.revision, f"{kind} {revision} came after {self.revision}"
            self.events[revision] = (kind, obj["metadata"]["name"], obj["data"]["value"])
        self.revision = max(revision, self.revision)

    def state(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for _, (kind, name, value) in sorted(self.events.items()):
            if kind == "DELETED":
                del found[name]
            else:
                found[name] = value
        return found


class Scene:
    """`folder` is for the store; `choice` decides when the server dies and what the writers do."""

    def __init__(self, folder: Path, choice: random.Random, *, writers: int, watchers: int) -> None:
        self.folder, self.choice = folder, choice
        self.acks: dict[int, Ack] = {}
        self.deleted: set[str] = set()
        self.watchers: list[Watcher] = [Watcher(0) for _ in range(watchers)]
        self._writers = writers
        self._port = 0
        self._stopped = False
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, deaths: int) -> None:
        """Raises AssertionError when something does not hold."""
        await self._start()
        client = self._client()
        newest = int((await client.list(CONFIG_MAP, "default")).resource_version)
        for watcher in self.watchers:
            watcher.revision = newest
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(self._watch(watcher)) for watcher in self.watchers]
            writing = [group.create_task(self._write(client, number)) for number in range(self._writers)]
            for _ in range(deaths):
                await self._busy()
                await self._die()
                await self._start()
            self._stopped = True
            await asyncio.gather(*writing)
            final = await client.list(CONFIG_MAP, "default")
            await self._until(
                lambda: all(watcher.revision >= int(final.resource_version) for watcher in self.watchers), 30.0
            )
            for task in watching:
                task.cancel()
        self.check({obj["metadata"]["name"]: obj["data"]["value"] for obj in final.items})
        await client.close()

    def check(self, final: dict[str, str]) -> None:
        first = self.watchers[0]
        assert all(watcher.events == first.events for watcher in self.watchers), "two watchers saw different things"
        assert first.state() == final
        for revision, ack in self.acks.items():
            assert revision in first.events, f"{ack} was acknowledged at {revision}; no watcher saw it"
            kind, name, value = first.events[revision]
            assert kind != "DELETED"
            assert (name, value) == (ack.name, ack.value)
        assert not self.deleted & final.keys(), "a delete was acknowledged and undone"

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self._die()

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.server", str(self.folder / "store.db"), str(self._port)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._port = int(await self._process.stdout.readline())

    async def _busy(self) -> None:
        """A random while, in which something was written."""
        known = len(self.acks)
        await asyncio.sleep(self.choice.uniform(0.0, 0.3))
        await self._until(lambda: len(self.acks) > known)

    async def _die(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    def _client(self) -> Client:
        return Client(HttpsTransport(Access("127.0.0.1", self._port), limit=self._writers))

    async def _until(self, holds: Callable[[], bool], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.005)

    def _acknowledged(self, obj: Object, value: str) -> None:
        revision = int(obj["metadata"]["resourceVersion"])
        assert revision not in self.acks, f"revision {revision} was given out twice"
        self.acks[revision] = Ack(obj["metadata"]["name"], value)

    async def _write(self, client: Client, number: int) -> None:
        """Creates, counts up and deletes objects of its own. After a lost answer it looks what became of it."""
        turn = 0
        while not self._stopped:
            turn += 1
            name = f"w{number}-{turn}"
            try:
                await self._life(client, name)
            except Unavailable:
                await asyncio.sleep(AWAY)

    async def _life(self, client: Client, name: str) -> None:
        made: Object = {"metadata": {"name": name, "namespace": "default"}, "data": {"value": "0"}}
        obj = await client.create(CONFIG_MAP, made)
        self._acknowledged(obj, "0")
        for value in range(1, self.choice.randint(2, 5)):
            obj["data"]["value"] = str(value)
            obj = await client.update(CONFIG_MAP, obj)
            self._acknowledged(obj, str(value))
        if self.choice.random() < 0.5:
            await client.delete(CONFIG_MAP, name, "default")
            self.deleted.add(name)

    async def _watch(self, watcher: Watcher) -> None:
        client = self._client()
        while True:
            try:
                async with contextlib.aclosing(
                    client.watch(CONFIG_MAP, "default", resource_version=str(watcher.revision))
                ) as events:
                    async for event in events:
                        watcher.saw(event.type, event.object)
            except Unavailable:
                await asyncio.sleep(AWAY)
            watcher.resumed += 1


@contextlib.asynccontextmanager
async def scene(folder: Path, seed: int, *, writers: int = 200, watchers: int = 5) -> AsyncIterator[Scene]:
    made = Scene(folder, random.Random(seed), writers=writers, watchers=watchers)
    try:
        yield made
    finally:
        await made.close()
