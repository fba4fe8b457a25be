"""Envoy's life: killed, adopted, replaced, on a long path; and the order of changes under load."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from styr.gateway.envoy import EnvoyFiles, PortTaken, recorded, stop_envoy
from styr.gateway.gateway import check_port, free_port
from styr.kinds.resources import SERVICE
from tests.gateway.conftest import House, make
from tests.gateway.support import (
    App,
    Connection,
    FakeApi,
    backend,
    endpoints,
    eventually,
    gateway,
    route,
    rule,
    service,
)


async def test_killed_envoy_is_started_again_and_gets_its_configuration(house: House) -> None:
    await house.app("app")
    house.api.put(route("r", rule(backend("app")), hosts=["a.localhost"]))
    await house.programmed("r")
    before = house.gateway.envoy.identity
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    await eventually(lambda: house.gateway.envoy.running and house.gateway.envoy.identity != before)
    await eventually(lambda: house.gateway.report.applied)
    assert await house.get("a.localhost") == (200, "app")
    assert house.gateway.envoy.epoch != f"{before.pid}-{before.started}"


async def test_a_new_control_plane_adopts_envoy_and_sends_nothing_that_it_has(house: House) -> None:
    await house.app("app")
    house.api.put(route("r", rule(backend("app")), hosts=["a.localhost"]))
    await house.programmed("r")
    epoch, connection = house.gateway.envoy.epoch, house.connect()
    assert await connection.get("a.localhost") == (200, "app")
    await house.gateway.stop(keep_envoy=True)
    assert await connection.get("a.localhost") == (200, "app")
    house.gateway = make(house.api, house.data_dir, port=house.port)
    await house.gateway.start()
    house.api.wake()
    await eventually(lambda: house.gateway.report.applied == 1)
    assert house.gateway.envoy.adopted
    assert house.gateway.envoy.epoch == epoch
    assert house.gateway._ads is not None
    assert house.gateway._ads._streams[-1].responses == 0
    house.api.put(route("r", rule(backend("app")), hosts=["b.localhost"]))
    await house.programmed("r")
    assert await connection.get("b.localhost") == (200, "app")
    assert (await connection.get("a.localhost"))[0] == 404


async def test_envoy_with_other_settings_is_replaced(house: House) -> None:
    old = house.gateway.envoy.identity
    assert old is not None
    await house.restart(concurrency=1)
    assert not house.gateway.envoy.adopted
    assert not old.alive()


async def test_a_recorded_pid_of_another_process_is_left_alone(house: House) -> None:
    await house.gateway.stop(keep_envoy=False)
    (house.data_dir / "envoy" / "envoy.json").write_text(f'{{"pid": {os.getpid()}, "started": "1", "fingerprint": ""}}')
    assert recorded(house.data_dir / "envoy") is None
    assert not stop_envoy(house.data_dir)
    await house.restart()
    assert house.gateway.envoy.running


async def test_stop_envoy_from_disk(house: House) -> None:
    await house.gateway.stop(keep_envoy=True)
    target = recorded(house.data_dir / "envoy")
    assert target is not None
    assert await asyncio.to_thread(stop_envoy, house.data_dir)
    assert not target.alive()
    assert not stop_envoy(house.data_dir)


async def test_a_long_data_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 60)
    api = FakeApi()
    made = make(api, deep)
    try:
        assert len(str(made.files.xds)) < 104
        assert made.files.run.stat().st_mode & 0o777 == 0o700
        await made.start()
        await eventually(lambda: made.report.connected)
    finally:
        await made.stop(keep_envoy=False)
    assert not made.files.run.exists()


def test_sockets_are_only_for_their_owner(tmp_path: Path) -> None:
    (tmp_path / "envoy").mkdir(mode=0o755)
    EnvoyFiles.prepare(tmp_path / "envoy")
    assert (tmp_path / "envoy").stat().st_mode & 0o777 == 0o700


async def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    other = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    made = make(FakeApi(), tmp_path, port=port)
    with pytest.raises(PortTaken, match=f"port {port} .*styr up --port"):
        await made.start()
    assert not made.envoy.running
    other.close()
    await other.wait_closed()
    check_port(port)


async def test_the_world_may_be_known_before_envoy_is_there(tmp_path: Path) -> None:
    api, port = FakeApi(), free_port()
    app = await App("app").start()
    made = make(api, tmp_path, port=port)
    api.put(*gateway(port), service("app"), *endpoints("app", app.port), route("r", rule(backend("app"))))
    await eventually(lambda: made._latest)
    try:
        await made.start()
        await eventually(lambda: api.condition("Programmed", "r").get("status") == "True")
        assert await Connection(port).get("x") == (200, "app")
    finally:
        await made.stop(keep_envoy=False)
        await app.stop()


async def load(house: House, host: str, stop: asyncio.Event, seen: Counter[int]) -> None:
    connection = Connection(house.port)
    while not stop.is_set():
        try:
            seen[(await connection.get(host))[0]] += 1
        except (OSError, asyncio.IncompleteReadError):
            seen[0] += 1
            connection.close()
    connection.close()


async def test_no_request_fails_while_everything_changes(house: House) -> None:
    """Weights flip, clusters are swapped, endpoints roll, rules are reordered, the control plane restarts."""
    stable = await house.app("s0")
    house.api.put(route("r", rule(backend("s0")), hosts=["a.localhost"]))
    await house.programmed("r")
    stop, seen = asyncio.Event(), Counter[int]()
    clients = [asyncio.create_task(load(house, "a.localhost", stop, seen)) for _ in range(6)]
    try:
        current = "s0"
        for n in range(1, 16):
            fresh = f"s{n}"
            house.api.put(service(fresh), *endpoints(fresh, stable.port))
            house.api.put(route("r", rule(backend(current, 9), backend(fresh, n % 3)), hosts=["a.localhost"]))
            await house.programmed("r")
            house.api.put(route("r", rule(backend(fresh)), hosts=["a.localhost"]))
            await house.programmed("r")
            house.api.remove(SERVICE, current)
            current = fresh
            replacement = await App("next").start()
            house.apps.append(replacement)
            house.api.put(*endpoints(current, stable.port, replacement.port))
            await eventually(lambda app=replacement: app.requests)  # type: ignore[misc]
            if n == 8:
                await house.restart(port=house.port)
                await eventually(lambda: house.gateway.report.applied)
    finally:
        stop.set()
        await asyncio.gather(*clients)
    assert seen.total() > 100
    assert set(seen) == {200}


async def test_an_endpoint_killed_under_load_is_covered_by_the_retry(house: House) -> None:
    await house.app("app")
    victim = await App("victim").start()
    house.api.put(*endpoints("app", house.apps[0].port, victim.port))
    house.api.put(route("r", rule(backend("app")), hosts=["a.localhost"]), *gateway(house.port))
    await house.programmed("r")
    await eventually(lambda: house.gateway._settled())
    stop, seen = asyncio.Event(), Counter[int]()
    clients = [asyncio.create_task(load(house, "a.localhost", stop, seen)) for _ in range(4)]
    try:
        await eventually(lambda: victim.requests > 20)
        await victim.stop()
        count = seen.total()
        await eventually(lambda: seen.total() > count + 200)
    finally:
        stop.set()
        await asyncio.gather(*clients)
    assert set(seen) == {200}
