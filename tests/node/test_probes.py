"""The three probes in all three ways, hooks, and how fast a pod gets ready."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from styr.kinds.resources import POD
from tests.node.world import SERVER, condition, container, is_ready, python, shell, world

PORTS: dict[str, Any] = {"ports": [{"name": "http", "containerPort": 8080}]}
ALWAYS = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 1}

WAYS = [
    {"httpGet": {"path": "/", "port": "http"}},
    {"tcpSocket": {"port": 8080}},
    {"exec": {"command": ["/bin/sh", "-c", "test -n $PORT && test $(pwd) = $HOME"]}},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: next(iter(way)))
@pytest.mark.parametrize("kind", ["readinessProbe", "livenessProbe", "startupProbe"])
async def test_a_good_probe(tmp_path: Path, kind: str, way: dict[str, Any]) -> None:
    async with world(tmp_path) as w:
        await w.run("p", *python(SERVER), container={**PORTS, kind: way}, spec=ALWAYS)
        found = await w.until("p", is_ready)
        assert container(found)["restartCount"] == 0


async def test_readiness_comes_and_goes(tmp_path: Path) -> None:
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "failureThreshold": 2}
    async with world(tmp_path) as w:
        await w.run("p", *python(SERVER), container={**PORTS, "readinessProbe": probe}, spec=ALWAYS)
        found = await w.until("p", is_ready)
        sick = w.pod_folder(found) / "work" / "web" / "sick"
        sick.touch()
        found = await w.until("p", lambda p: not is_ready(p), jump=0.1)
        assert "answered 500" in condition(found, "Ready")["message"]
        assert any("Readiness" in message for message in w.api.events("Unhealthy"))
        sick.unlink()
        found = await w.until("p", is_ready, jump=0.1)
        assert container(found)["restartCount"] == 0


async def test_a_failing_liveness_probe_restarts(tmp_path: Path) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 8}
    async with world(tmp_path) as w:
        await w.run("p", *python(SERVER), container={**PORTS, "livenessProbe": probe}, spec=ALWAYS)
        found = await w.until("p", is_ready)
        (w.pod_folder(found) / "work" / "web" / "sick").touch()
        found = await w.until("p", lambda p: container(p)["restartCount"] == 1, jump=0.1)
        await w.until("p", is_ready)
        assert any("failed liveness probe" in message for message in w.api.events("Killing"))


async def test_a_failing_startup_probe_restarts_and_holds_back_the_others(tmp_path: Path) -> None:
    probes = {
        "startupProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2},
        "readinessProbe": {"exec": {"command": ["true"]}},
    }
    async with world(tmp_path) as w:
        await w.run("p", *shell("sleep 1000"), container=probes, spec=ALWAYS)
        found = await w.until("p", lambda p: container(p)["restartCount"] == 1, jump=0.1)
        assert not is_ready(found)
        assert not container(found)["started"]


async def test_a_probe_that_hangs_fails(tmp_path: Path) -> None:
    probe = {"exec": {"command": ["sleep", "1000"]}, "timeoutSeconds": 1, "periodSeconds": 1}
    async with world(tmp_path) as w:
        await w.run("p", *shell("sleep 1000"), container={"readinessProbe": probe})
        await w.until("p", lambda p: "killed after 1 s" in condition(p, "Ready").get("message", ""))


async def test_a_probe_of_an_unknown_port_says_so(tmp_path: Path) -> None:
    probe = {"httpGet": {"port": "nope"}}
    async with world(tmp_path) as w:
        await w.run("p", *shell("sleep 1000"), container={"readinessProbe": probe})
        await w.until("p", lambda p: "no port 'nope'" in condition(p, "Ready").get("message", ""))


async def test_ready_long_before_the_first_period(tmp_path: Path) -> None:
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 10}
    script = "import time; time.sleep(0.3)\n" + SERVER
    async with world(tmp_path) as w:
        start = time.monotonic()
        await w.run("p", *python(script), container={**PORTS, "readinessProbe": probe}, spec=ALWAYS)
        await w.until("p", is_ready)
        assert time.monotonic() - start < 5


async def test_hooks(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    hooks = {
        "postStart": {"exec": {"command": list(shell(f"echo started > {share}/a"))}},
        "preStop": {"exec": {"command": list(shell(f"echo stopping > {share}/b"))}},
    }
    mount = {"volumeMounts": [{"name": "s", "mountPath": str(share)}], "lifecycle": hooks}
    spec = {"volumes": [{"name": "s", "hostPath": {"path": str(share)}}]}
    async with world(tmp_path / "data") as w:
        await w.run("h", *shell("sleep 1000"), container=mount, spec=spec)
        await w.until("h", lambda p: is_ready(p) and (share / "a").exists())
        await w.api.delete(POD, "h", "default", grace=10)
        await w.gone("h")
        assert (share / "b").read_text() == "stopping\n"
