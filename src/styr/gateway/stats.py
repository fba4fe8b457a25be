"""Per route and arm: final responses by class, and how long they took, out of Envoy's own counters.

`EnvoyTraffic` is the `TrafficSource` that `plane` hands to `delivery`. Calls Envoy's admin socket, once per tick for all
routes.

Which statistics, and what they were seen to count (Envoy 1.40; `tests/gateway/test_stats.py` repeats it):
- `cluster.NAMESPACE/SERVICE/PORT.upstream_rq_Nxx`: one per *final* response. An attempt that was retried counts nowhere
  here (it is in `retry.*`); answers that Envoy itself gives once an arm is drawn (connection refused after all retries,
  no endpoint, connection reset before the headers) count as 5xx of that arm.
- `...upstream_rq_time`: from the end of the request to the end of the response, retries and their pauses included, of
  responses that came to their end. Envoy's own answers and responses cut off in the middle are not in it, so its sum is
  at most that of the classes. Envoy merges it twice a second: it may lag the counters by half a second.
- A response that breaks off after its headers counts by its status; a client that goes away before the headers, nowhere.
- The share of a backend that does not resolve is answered with 500 before any arm: that arm is left out of the reading.

The counters belong to the Service: two HTTPRoutes that share a Service port read the same numbers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from styr.gateway import admin
from styr.gateway.bootstrap import BOUNDS, OVERFLOW
from styr.gateway.ir import ObjectKey, Route
from styr.kinds.seams import ArmCounters, RouteCounters
from styr.kit.clock import Clock

_QUERY = (
    "/stats?format=json&histogram_buckets=disjoint"
    "&filter=%5Ecluster%5C.%5B%5E.%5D%2B%5C.upstream_rq_(%5B1-5%5Dxx%7Ctime)%24"
)
_TICK = 0.1
"""Seconds for which one answer serves all routes."""
_BUCKETS = {float(bound): position for position, bound in enumerate((*BOUNDS, OVERFLOW))}


@dataclass(slots=True)
class Counters:
    """Of one cluster, cumulative."""

    responses: dict[str, int] = field(default_factory=dict)
    latency: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))


class EnvoyTraffic:
    """`routes()` gives the routes in force; `epoch()` names the running Envoy, "" when there is none."""

    def __init__(
        self,
        socket: Path,
        clock: Clock,
        epoch: Callable[[], str],
        routes: Callable[[], Mapping[ObjectKey, Route]],
    ) -> None:
        self._socket = socket
        self._clock = clock
        self._epoch = epoch
        self._routes = routes
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._reading: tuple[str, dict[str, Counters]] | None = None
        self._last: dict[str, int] = {}
        self._lives: dict[str, int] = {}

    async def read(self, namespace: str, route: str, /) -> RouteCounters | None:
        """None when the route is not in force, Envoy is down or its statistics cannot be read."""
        found = self._routes().get((namespace, route))
        if found is None:
            return None
        async with self._lock:
            if self._clock.monotonic() - self._read_at >= _TICK:
                self._reading = await self._fetch()
                self._read_at = self._clock.monotonic()
        if self._reading is None:
            return None
        epoch, clusters = self._reading
        pairs = {(arm.service, arm.cluster) for rule in found.rules for arm in rule.arms if arm.cluster}
        arms: dict[str, ArmCounters] = {}
        for service in sorted({service for service, _ in pairs}):
            mine = [clusters.get(cluster, Counters()) for name, cluster in sorted(pairs) if name == service]
            arms[service] = _sum(mine)
        lives = sum(self._lives.get(cluster, 0) for _, cluster in pairs)
        return RouteCounters(arms, tuple(float(bound) for bound in BOUNDS), f"{epoch}-{lives}" if lives else epoch)

    async def _fetch(self) -> tuple[str, dict[str, Counters]] | None:
        epoch = self._epoch()
        if not epoch:
            return None
        try:
            clusters = parse(await admin.call(self._socket, _QUERY))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if self._epoch() != epoch:
            return None
        self._note_lives(clusters)
        return epoch, clusters

    def _note_lives(self, clusters: Mapping[str, Counters]) -> None:
        """A cluster that was removed and came back counts from zero in the same Envoy: a new life, told by the epoch."""
        totals = {name: sum(counters.responses.values()) for name, counters in clusters.items()}
        for name, before in self._last.items():
            if totals.get(name, 0) < before:
                self._lives[name] = self._lives.get(name, 0) + 1
        self._last = totals


def _sum(parts: Iterable[Counters]) -> ArmCounters:
    responses: dict[str, int] = {}
    latency = [0] * (len(BOUNDS) + 1)
    for part in parts:
        for name, value in part.responses.items():
            responses[name] = responses.get(name, 0) + value
        latency = [a + b for a, b in zip(latency, part.latency, strict=True)]
    return ArmCounters(responses, tuple(latency))


def parse(answer: bytes) -> dict[str, Counters]:
    """Envoy's JSON statistics by cluster. Raises ValueError, KeyError or TypeError on another shape."""
    found: dict[str, Counters] = {}
    for entry in json.loads(answer)["stats"]:
        if "histograms" in entry:
            for histogram in entry["histograms"]:
                cluster, _ = _split(histogram["name"])
                _fill(found.setdefault(cluster, Counters()).latency, histogram["buckets"])
        else:
            cluster, name = _split(entry["name"])
            found.setdefault(cluster, Counters()).responses[name.removeprefix("upstream_rq_")] = int(entry["value"])
    return found


def _split(name: str) -> tuple[str, str]:
    cluster, _, rest = name.removeprefix("cluster.").rpartition(".")
    return cluster, rest


def _fill(latency: list[int], buckets: Iterable[Mapping[str, Any]]) -> None:
    for bucket in buckets:
        latency[_BUCKETS[float(bucket["upper_bound"])]] += int(bucket["cumulative"])
