"""The ADS server against a small fake Envoy: a gRPC client that answers as it is told."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from styr.gateway.ir import CDS, EDS, LDS, RDS, Snapshot, Source, Unit, make_unit
from styr.gateway.protos import Protos, find_binary
from styr.gateway.xds import SERVICE, AdsServer
from styr.kit.clock import SystemClock
from tests.gateway.support import eventually


@pytest.fixture(scope="module")
def protos(tmp_path_factory: pytest.TempPathFactory) -> Protos:
    return Protos.load(find_binary()[0], tmp_path_factory.mktemp("protos"))


def unit(url: str, name: str, marker: str = "") -> Unit:
    bodies: dict[str, dict[str, Any]] = {
        CDS: {"name": name, "alt_stat_name": marker},
        EDS: {"cluster_name": name, "named_endpoints": {}, "policy": {"overprovisioning_factor": len(marker) + 1}},
        LDS: {"name": name, "stat_prefix": marker},
        RDS: {"name": name, "internal_only_headers": [marker]},
    }
    return make_unit(url, name, bodies[url], (Source("Test", "d", name),))


def snapshot(number: int, clusters: dict[str, str], *, routes: str = "") -> Snapshot:
    return Snapshot(
        number,
        {
            CDS: {name: unit(CDS, name, marker.split("/")[0]) for name, marker in clusters.items()},
            EDS: {name: unit(EDS, name, marker.partition("/")[2]) for name, marker in clusters.items()},
            LDS: {"http-1": unit(LDS, "http-1")},
            RDS: {"http-1": unit(RDS, "http-1", routes or str(number))},
        },
    )


class FakeEnvoy:
    """Subscribes as Envoy does (endpoints of each cluster, routes of each listener), acknowledges unless told not to."""

    def __init__(self, protos: Protos, call: Any) -> None:
        self.protos = protos
        self.call = call
        self.log: list[tuple[str, str]] = []
        self.has: dict[str, dict[str, str]] = {CDS: {}, EDS: {}, LDS: {}, RDS: {}}
        self.subscribed: dict[str, set[str]] = {EDS: set(), RDS: set()}
        self.mute: set[str] = set()
        self.reject: dict[str, str] = {}
        self.unanswered: list[Any] = []
        self.writing = asyncio.Lock()

    async def ask(self, url: str, **fields: Any) -> None:
        request = self.protos.message("envoy.service.discovery.v3.DeltaDiscoveryRequest")(type_url=url, **fields)
        async with self.writing:  # gRPC takes one write at a time
            await self.call.write(request)

    async def run(self, initial: dict[str, dict[str, str]] | None = None) -> None:
        for url, known in (initial or {}).items():
            self.has[url] = dict(known)
        await self.ask(CDS, initial_resource_versions=self.has[CDS])
        if initial:
            for url in (EDS, LDS, RDS):
                names = list(self.has[url]) if url in self.subscribed else []
                self.subscribed.get(url, set()).update(names)
                await self.ask(url, initial_resource_versions=self.has[url], resource_names_subscribe=names)
        else:
            await self.ask(LDS)
        while (response := await self.call.read()) is not grpc.aio.EOF:
            await self.take(response)

    async def take(self, response: Any) -> None:
        url, short = response.type_url, response.type_url.rpartition(".")[2]
        names = [resource.name for resource in response.resources]
        self.log += [(short, name) for name in names] + [(short, f"-{name}") for name in response.removed_resources]
        bad = next((self.reject[name] for name in names if name in self.reject), None)
        if bad is None:
            self.has[url].update({resource.name: resource.version for resource in response.resources})
            for name in response.removed_resources:
                self.has[url].pop(name, None)
            child = {CDS: EDS, LDS: RDS}.get(url)
            if child and (new := set(names) - self.subscribed[child]):
                self.subscribed[child] |= new
                await self.ask(child, resource_names_subscribe=sorted(new))
        if short in self.mute:
            self.unanswered.append((url, response.nonce))
            return
        if bad is None:
            await self.ask(url, response_nonce=response.nonce)
        else:
            await self.ask(url, response_nonce=response.nonce, error_detail={"code": 13, "message": bad})

    async def unmute(self) -> None:
        self.mute.clear()
        for url, nonce in self.unanswered:
            await self.ask(url, response_nonce=nonce)
        self.unanswered.clear()


@asynccontextmanager
async def serving(protos: Protos, **options: Any) -> AsyncIterator[AdsServer]:
    with tempfile.TemporaryDirectory(prefix="x") as folder:
        server = AdsServer(protos, Path(folder) / "xds", SystemClock(), lambda: None, **{"drain": 0.2, **options})
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


@asynccontextmanager
async def envoy(protos: Protos, server: AdsServer, initial: Any = None, **state: Any) -> AsyncIterator[FakeEnvoy]:
    async with grpc.aio.insecure_channel(f"unix:{server.socket}") as channel:
        method = channel.stream_stream(
            f"/{SERVICE}/DeltaAggregatedResources",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=protos.message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString,
        )
        fake = FakeEnvoy(protos, method())
        for name, value in state.items():
            setattr(fake, name, value)
        task = asyncio.create_task(fake.run(initial))
        try:
            yield fake
        finally:
            fake.call.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_clusters_then_endpoints_then_listeners_then_routes(protos: Protos) -> None:
    async with serving(protos) as server, envoy(protos, server) as fake:
        server.publish(snapshot(1, {"a": "", "b": ""}))
        await eventually(lambda: server.report.applied == 1)
        kinds = [kind for kind, _ in fake.log]
        assert kinds.index("RouteConfiguration") > kinds.index("Listener")
        assert kinds.index("Listener") > max(i for i, kind in enumerate(kinds) if kind == "ClusterLoadAssignment")
        assert set(fake.has[CDS]) == set(fake.has[EDS]) == {"a", "b"}


async def test_routes_wait_for_the_new_clusters_endpoints(protos: Protos) -> None:
    async with serving(protos, gate_timeout=0.2) as server, envoy(protos, server) as fake:
        server.publish(snapshot(1, {"a": ""}))
        await eventually(lambda: server.report.applied == 1)
        fake.mute.add("ClusterLoadAssignment")
        server.publish(snapshot(2, {"b": ""}))
        await eventually(lambda: server.report.waiting)
        assert server.report.waiting == ("ClusterLoadAssignment b",)
        assert fake.has[RDS] == {"http-1": unit(RDS, "http-1", "1").version}
        assert "a" in fake.has[CDS]
        await fake.unmute()
        await eventually(lambda: server.report.applied == 2)
        assert not server.report.waiting
        assert fake.has[RDS] == {"http-1": unit(RDS, "http-1", "2").version}


async def test_an_updated_cluster_gets_its_endpoints_again(protos: Protos) -> None:
    async with serving(protos) as server, envoy(protos, server) as fake:
        server.publish(snapshot(1, {"a": "", "b": ""}))
        await eventually(lambda: server.report.applied == 1)
        fake.log.clear()
        server.publish(snapshot(2, {"a": "changed", "b": ""}, routes="1"))
        await eventually(lambda: server.report.applied == 2)
        assert fake.log == [("Cluster", "a"), ("ClusterLoadAssignment", "a")]


async def test_removals_come_after_the_drain_alone(protos: Protos) -> None:
    async with serving(protos) as server, envoy(protos, server) as fake:
        server.publish(snapshot(1, {"a": "", "b": ""}))
        await eventually(lambda: server.report.applied == 1)
        server.publish(snapshot(2, {"b": ""}))
        await eventually(lambda: server.report.applied == 2)
        assert "a" in fake.has[CDS]
        await eventually(lambda: "a" not in fake.has[CDS])
        assert fake.log[-1] == ("Cluster", "-a")
        server.publish(snapshot(3, {"a": "", "b": ""}))
        await eventually(lambda: "a" in fake.has[CDS])


async def test_endpoints_do_not_wait_for_a_stuck_gate(protos: Protos) -> None:
    async with serving(protos, gate_timeout=0.1) as server, envoy(protos, server) as fake:
        server.publish(snapshot(1, {"a": ""}))
        await eventually(lambda: server.report.applied == 1)
        fake.mute.add("Cluster")
        server.publish(snapshot(2, {"a": "", "b": ""}))
        await eventually(lambda: server.report.waiting)
        server.publish(snapshot(3, {"a": "/more", "b": ""}))
        await eventually(lambda: fake.has[EDS]["a"] == unit(EDS, "a", "more").version)
        await fake.unmute()
        await eventually(lambda: server.report.applied == 3)


async def test_endpoints_that_change_during_a_gate_do_not_stall_it(protos: Protos) -> None:
    async with serving(protos, gate_timeout=5.0) as server, envoy(protos, server) as fake:
        fake.mute.add("Cluster")
        server.publish(snapshot(1, {"a": ""}))
        await eventually(lambda: "a" in fake.has[EDS])
        server.publish(snapshot(2, {"a": "/more"}))
        await fake.unmute()
        await eventually(lambda: server.report.applied == 2, seconds=3)
        assert fake.has[EDS]["a"] == unit(EDS, "a", "more").version


async def test_a_restarted_server_sends_only_what_differs(protos: Protos) -> None:
    first = snapshot(1, {"a": "", "b": "", "gone": ""})
    held = {url: {name: u.version for name, u in first.of(url).items()} for url in (CDS, EDS, LDS, RDS)}
    async with serving(protos) as server, envoy(protos, server, held) as fake:
        await asyncio.sleep(0.05)  # nothing must come before the first snapshot
        assert not fake.log
        server.publish(snapshot(1, {"a": "", "b": "/more"}, routes="1"))
        await eventually(lambda: server.report.applied == 1)
        assert fake.log == [("ClusterLoadAssignment", "b")]
        await eventually(lambda: "gone" not in fake.has[CDS])


async def test_a_rejection_is_told_with_its_unit_and_not_sent_again(protos: Protos) -> None:
    async with serving(protos) as server, envoy(protos, server, reject={"b": "no such thing"}) as fake:
        server.publish(snapshot(1, {"a": "", "b": "", "c": ""}))
        await eventually(lambda: server.report.applied == 1)
        (rejection,) = server.report.rejected
        assert (rejection.unit.name, rejection.message) == ("b", "no such thing")
        assert rejection.unit.sources == (Source("Test", "d", "b"),)
        assert set(fake.has[CDS]) == {"a", "c"}
        server.publish(snapshot(2, {"a": "", "b": "", "c": ""}))
        await eventually(lambda: server.report.applied == 2)
        assert fake.log.count(("Cluster", "b")) == 1
        fake.reject.clear()
        server.publish(snapshot(3, {"a": "", "b": "fixed", "c": ""}))
        await eventually(lambda: server.report.applied == 3)
        assert not server.report.rejected


async def test_one_bad_of_many_in_batches_is_still_alone(protos: Protos) -> None:
    names = {f"c{n:03}": "" for n in range(150)}
    async with serving(protos) as server, envoy(protos, server, reject={"c077": "bad"}) as fake:
        server.publish(snapshot(1, names))
        await eventually(lambda: server.report.applied == 1)
        assert [rejection.unit.name for rejection in server.report.rejected] == ["c077"]
        assert set(fake.has[CDS]) == set(names) - {"c077"}


async def test_a_burst_of_snapshots_ends_with_the_last(protos: Protos) -> None:
    async with serving(protos) as server, envoy(protos, server) as fake:
        for number in range(1, 60):
            server.publish(snapshot(number, {f"c{number % 7}": str(number), "a": ""}))
            if number % 5 == 0:
                await asyncio.sleep(0.002)
        await eventually(lambda: server.report.applied == 59)
        assert fake.has[RDS]["http-1"] == unit(RDS, "http-1", "59").version
        await eventually(lambda: set(fake.has[CDS]) == {"a", "c3"})


async def test_nonsense_from_the_peer_is_ignored(protos: Protos) -> None:
    async with serving(protos) as server, envoy(protos, server) as fake:
        await eventually(lambda: server.report.connected)
        await fake.ask("type.googleapis.com/unknown.Type", resource_names_subscribe=["x"])
        await fake.ask(CDS, response_nonce="never sent", error_detail={"code": 1, "message": "no"})
        await fake.ask(EDS, resource_names_subscribe=["unknown"])
        server.publish(snapshot(1, {"a": ""}))
        await eventually(lambda: server.report.applied == 1)
        assert not server.report.rejected
        assert ("ClusterLoadAssignment", "-unknown") in fake.log
