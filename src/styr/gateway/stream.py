"""One Envoy's stream: what it has, what it is sent, in which order. No gRPC here: messages in, `Outgoing` out.

Called by `xds`. The order that loses no request, each step waiting for Envoy's ACKs (figures: docs/gateway.md):
clusters, with their endpoints pushed again after each cluster update -> listeners and routes -> after a drain, removals in
a response of their own. One resource a response, so that a NACK names it; batches above 64.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from styr.gateway.ir import CDS, EDS, LDS, RDS, Snapshot, Unit
from styr.kit.clock import Clock
from styr.kit.log import Log

log = Log("styr.gateway.xds")

_SINGLE = 64
_BATCH = 32
_LISTENER_RETRY = 3.0
"""Seconds after which a refused listener is tried again: its port may be free by now."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One DeltaDiscoveryResponse to send."""

    type_url: str
    nonce: str
    units: Sequence[Unit] = ()
    removed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    unit: Unit
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one Envoy said. `applied` is the number of the newest snapshot whose routes it has answered for, 0 for none;
    `waiting` names what a gate has been waiting for longer than its timeout."""

    connected: bool = False
    applied: int = 0
    rejected: tuple[Rejection, ...] = ()
    waiting: tuple[str, ...] = ()


@dataclass(slots=True)
class _Type:
    """What the client has of one type. `sent` is in flight; `forced` must be sent although the client has it."""

    wildcard: bool
    started: bool = False
    known: dict[str, str] = field(default_factory=dict)
    subscribed: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    forced: set[str] = field(default_factory=set)
    rejected: dict[str, Rejection] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        return self.started and (self.wildcard or name in self.subscribed)

    def settled(self, unit: Unit) -> bool:
        """Has the client answered for this version?"""
        if unit.name in self.sent or unit.name in self.forced:
            return False
        return self.known.get(unit.name) == unit.version or self.refused(unit)

    def refused(self, unit: Unit) -> bool:
        rejection = self.rejected.get(unit.name)
        return rejection is not None and rejection.unit.version == unit.version


Count = Callable[[Literal["sent", "rejected"], str], None]
"""Told of each response that is sent and of each resource that is rejected, with its type URL."""


def nothing_counted(_event: Literal["sent", "rejected"], _type_url: str) -> None:
    """For who does not count."""


class Stream:
    """`receive` requests, `publish` snapshots, run `drive` as a task, send what comes out of `outgoing`."""

    def __init__(
        self,
        clock: Clock,
        on_change: Callable[[], None],
        *,
        gate_timeout: float,
        drain: float,
        count: Count = nothing_counted,
    ) -> None:
        self._count = count
        self.clock = clock
        self.on_change = on_change
        self.gate_timeout = gate_timeout
        self.drain = drain
        self.outgoing: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._types = {url: _Type(wildcard=False) for url in (CDS, EDS, LDS, RDS)}
        self._pending: dict[str, Outgoing] = {}
        self.responses = 0
        """Sent so far; the last one's number is its nonce."""
        self._latest: Snapshot | None = None
        self._routed: Snapshot | None = None
        self._applied = 0
        self._waiting: tuple[str, ...] = ()
        self._unwanted: dict[str, float] = {}
        self._refused_at: dict[str, float] = {}
        self._changed = asyncio.Event()

    @property
    def report(self) -> Report:
        rejected = tuple(r for state in self._types.values() for r in state.rejected.values())
        return Report(True, self._applied, rejected, self._waiting)

    # --- what comes in ---

    def publish(self, snapshot: Snapshot) -> None:
        self._latest = snapshot
        self._changed.set()
        self._flush(EDS, snapshot)

    def receive(self, request: Any) -> None:
        """A DeltaDiscoveryRequest: a subscription, an ACK, a NACK, or several of these at once."""
        state = self._types.get(request.type_url)
        if state is None:
            return
        first = not state.started
        if first:
            self._open(state, request)
        for name in request.resource_names_subscribe:
            if name != "*":
                state.subscribed.add(name)
                if name not in request.initial_resource_versions:
                    state.known.pop(name, None)
                    state.sent.pop(name, None)
        for name in request.resource_names_unsubscribe:
            state.subscribed.discard(name)
            state.known.pop(name, None)
            state.sent.pop(name, None)
            state.forced.discard(name)
        if request.response_nonce:
            self._answer(request)
        self._on_request(request.type_url, first)
        self._changed.set()

    @staticmethod
    def _open(state: _Type, request: Any) -> None:
        state.started = True
        state.known = dict(request.initial_resource_versions)
        names = request.resource_names_subscribe
        state.wildcard = request.type_url in (CDS, LDS) and (not names or "*" in names)

    def _on_request(self, type_url: str, first: bool) -> None:
        source = self._latest if type_url in (CDS, EDS) else self._routed
        if source is None:
            return
        before = len(self._pending)
        if type_url != CDS or self._routed is not None:
            self._flush(type_url, source)
        if type_url in (EDS, RDS):
            self._deny_unknown(type_url, source)
        elif first and type_url == LDS and len(self._pending) == before and not self._types[LDS].known:
            self._send(LDS, ())

    def _deny_unknown(self, type_url: str, source: Snapshot) -> None:
        """Tells the client that a subscribed name does not exist, so that nothing warms up waiting for it."""
        state = self._types[type_url]
        missing = [name for name in state.subscribed - source.of(type_url).keys() if name not in state.known]
        if missing:
            self._send(type_url, (), missing)
            state.known.update(dict.fromkeys(missing, ""))

    def _answer(self, request: Any) -> None:
        outgoing = self._pending.pop(request.response_nonce, None)
        if outgoing is None:
            return
        state = self._types[outgoing.type_url]
        failed = request.HasField("error_detail")
        for unit in outgoing.units:
            if state.sent.get(unit.name) == unit.version:
                del state.sent[unit.name]
            if not failed:
                state.known[unit.name] = unit.version
                if state.rejected.pop(unit.name, None) is not None:
                    self.on_change()
        if failed and len(outgoing.units) > 1:
            for unit in outgoing.units:
                self._send(outgoing.type_url, (unit,))
        elif failed:
            self._reject(state, outgoing, request.error_detail.message)

    def _reject(self, state: _Type, outgoing: Outgoing, message: str) -> None:
        for unit in outgoing.units:
            log.warning("Envoy rejects", type=outgoing.type_url.rpartition(".")[2], name=unit.name, cause=message)
            state.rejected[unit.name] = Rejection(unit, message)
            self._count("rejected", outgoing.type_url)
            state.forced.discard(unit.name)
            if outgoing.type_url == LDS:
                self._refused_at[unit.name] = self.clock.monotonic()
        self.on_change()

    # --- what goes out ---

    def _send(self, type_url: str, units: Sequence[Unit], removed: Sequence[str] = ()) -> None:
        for name in removed:
            self._types[type_url].known.pop(name, None)
        self.responses += 1
        outgoing = Outgoing(type_url, str(self.responses), units, removed)
        state = self._types[type_url]
        for unit in units:
            state.sent[unit.name] = unit.version
            state.forced.discard(unit.name)
            if type_url == CDS and self._types[EDS].wants(unit.name):
                self._types[EDS].forced.add(unit.name)
        self._count("sent", type_url)
        self._pending[outgoing.nonce] = outgoing
        self.outgoing.put_nowait(outgoing)

    def _flush(self, type_url: str, snapshot: Snapshot) -> None:
        """Sends what the client lacks of one type. Endpoints of a cluster whose update is under way wait for `_roll`."""
        state = self._types[type_url]
        due = []
        for unit in snapshot.of(type_url).values():
            if not state.wants(unit.name) or state.refused(unit) or state.sent.get(unit.name) == unit.version:
                continue
            if state.known.get(unit.name) != unit.version or unit.name in state.forced or unit.name in state.sent:
                due.append(unit)
        size = 1 if len(due) <= _SINGLE else _BATCH
        for start in range(0, len(due), size):
            self._send(type_url, due[start : start + size])

    # --- the order ---

    async def drive(self) -> None:
        """Until cancelled: takes Envoy from snapshot to snapshot."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reap())
            while True:
                await self._until(lambda: self._latest is not None and self._latest is not self._routed)
                await asyncio.sleep(
                    0
                )  # all that this turn of the loop brings is one roll-out; the gates coalesce the rest
                assert self._latest is not None
                await self._roll(self._latest)

    async def _roll(self, snapshot: Snapshot) -> None:
        await self._until(lambda: self._types[CDS].started)
        self._flush(CDS, snapshot)
        self._flush(EDS, snapshot)
        if not snapshot.of(CDS) and not self._types[CDS].known:
            self._send(CDS, ())
        if not await self._gate(lambda: self._missing(snapshot, (CDS, EDS)), snapshot):
            return
        self._routed = snapshot
        self._flush(LDS, snapshot)
        self._flush(RDS, snapshot)
        if self._types[LDS].started and not self._types[LDS].known and not snapshot.of(LDS):
            self._send(LDS, ())
        if not await self._gate(lambda: self._missing(snapshot, (LDS, RDS)), snapshot):
            return
        self._applied = snapshot.number
        for type_url in (LDS, RDS):
            state = self._types[type_url]
            gone = [name for name in state.known if name not in snapshot.of(type_url)]
            if gone and type_url == LDS:
                self._send(type_url, (), gone)
        self.on_change()

    def _missing(self, snapshot: Snapshot, types: Iterable[str]) -> list[str]:
        """What Envoy has yet to answer for. Clusters and endpoints run ahead of the snapshot that is being rolled out:
        for them the newest version counts."""
        missing = []
        for type_url in types:
            state, parent_url = self._types[type_url], {EDS: CDS, RDS: LDS}.get(type_url)
            newest = self._latest.of(type_url) if self._latest and type_url in (CDS, EDS) else {}
            for name, unit in snapshot.of(type_url).items():
                parent = snapshot.of(parent_url).get(name) if parent_url else None
                if parent_url and parent and self._types[parent_url].refused(parent):
                    continue
                if not state.settled(newest.get(name, unit)):
                    missing.append(f"{type_url.rpartition('.')[2]} {name}")
        return missing

    async def _gate(self, missing: Callable[[], list[str]], snapshot: Snapshot) -> bool:
        """Waits until nothing is missing. After the timeout it says so, and gives up only for a newer snapshot."""
        try:
            async with asyncio.timeout(self.gate_timeout):
                await self._until(lambda: not missing())
        except TimeoutError:
            self._waiting = tuple(missing())
            log.warning("Envoy has not answered; the old routes stay", waiting=self._waiting[:5])
            self.on_change()
            await self._until(lambda: not missing() or self._latest is not snapshot)
        if self._waiting:
            self._waiting = ()
            self.on_change()
        return not missing()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def _reap(self) -> None:
        """Removes clusters that nothing has referred to for the drain time; tries refused listeners again."""
        while True:
            await self.clock.sleep(min(0.25, self.drain / 2))
            now = self.clock.monotonic()
            self._retry_listeners(now)
            if self._latest is None or self._routed is None:
                continue
            wanted = self._latest.of(CDS).keys() | self._routed.of(CDS).keys()
            known = self._types[CDS].known
            self._unwanted = {name: self._unwanted.get(name, now) for name in known if name not in wanted}
            gone = [name for name, since in self._unwanted.items() if now - since >= self.drain]
            if gone and not any(outgoing.removed for outgoing in self._pending.values()):
                self._send(CDS, (), gone)

    def _retry_listeners(self, now: float) -> None:
        state = self._types[LDS]
        for name, since in list(self._refused_at.items()):
            if now - since >= _LISTENER_RETRY:
                del self._refused_at[name]
                rejection = state.rejected.get(name)
                if rejection and self._routed and self._routed.of(LDS).get(name) == rejection.unit:
                    self._send(LDS, (rejection.unit,))
