"""The life of a pod with real processes: start, environment, ends, restarts, deletion."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from styr.kinds.pods import PORTS_ANNOTATION
from styr.kinds.resources import CONFIG_MAP, POD, SECRET
from styr.kit.http import fetch
from tests.node.world import SERVER, condition, container, is_ready, phase, python, shell, world

PORTS = {"ports": [{"name": "http", "containerPort": 8080}]}


async def test_a_server_gets_a_port_and_is_ready_once_it_listens(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("a", *python(SERVER), container=PORTS, spec={"restartPolicy": "Always"})
        found = await w.until("a", is_ready)
        port = json.loads(found["metadata"]["annotations"][PORTS_ANNOTATION])["8080"]
        assert (await fetch("GET", "127.0.0.1", port, "/", timeout=5)).status == 200
        assert found["status"]["phase"] == "Running"
        assert container(found)["ready"]
        assert container(found)["started"]
        assert "running" in container(found)["state"]
        assert found["status"]["podIP"] == "127.0.0.1"


async def test_exit_codes_and_phases(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("good", *shell("exit 0"))
        await w.run("bad", *shell("exit 7"))
        await w.run("signalled", *shell("kill -9 $$$$"))
        await w.run("missing", "/no/such/program")
        good = await w.until("good", phase("Succeeded"))
        assert container(good)["state"]["terminated"]["reason"] == "Completed"
        assert condition(good, "Ready")["reason"] == "PodCompleted"
        bad = await w.until("bad", phase("Failed"))
        assert (
            container(bad)["state"]["terminated"] | {"exitCode": 7, "reason": "Error"}
            == (container(bad)["state"]["terminated"])
        )
        signalled = container(await w.until("signalled", phase("Failed")))["state"]["terminated"]
        assert (signalled["exitCode"], signalled["signal"]) == (137, 9)
        missing = container(await w.until("missing", phase("Failed")))["state"]["terminated"]
        assert (missing["exitCode"], missing["reason"]) == (128, "StartError")
        assert "/no/such/program" in missing["message"]


async def test_environment(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        meta = {"namespace": "default"}
        await w.api.create(CONFIG_MAP, {"metadata": {"name": "c", **meta}, "data": {"COLOUR": "red", "k": "v"}})
        await w.api.create(SECRET, {"metadata": {"name": "s", **meta}, "data": {"word": "b3Blbg=="}})
        env = [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)-$$(A)-$(NONE)"},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "word"}}},
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "GONE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "word", "optional": True}}},
        ]
        extra = {**PORTS, "env": env, "envFrom": [{"configMapRef": {"name": "c"}, "prefix": "P_"}]}
        await w.run("e", "/usr/bin/env", container=extra)
        found = await w.until("e", phase("Succeeded"))
        seen = dict(line.split("=", 1) for line in w.log(found).splitlines())
        wanted = {"A": "1", "B": "1-$(A)-$(NONE)", "WORD": "open", "K": "v", "ME": "e", "P_COLOUR": "red"}
        assert wanted.items() <= seen.items()
        assert seen["PORT"] == seen["PORT_HTTP"]
        assert set(seen) == {
            *wanted,
            "P_k",
            "PORT",
            "PORT_HTTP",
            "PATH",
            "LANG",
            "HOME",
            "TMPDIR",
            "HOSTNAME",
            "PWD",
        } - ({"PWD"} - set(seen))


async def test_a_missing_secret_is_told_and_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        env = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "late", "key": "x"}}}]
        await w.run("s", *shell("echo $X"), container={"env": env})
        found = await w.until("s", lambda p: p["status"].get("containerStatuses"))
        assert container(found)["state"]["waiting"]["reason"] == "CreateContainerConfigError"
        assert "late" in container(found)["state"]["waiting"]["message"]
        await w.api.create(SECRET, {"metadata": {"name": "late", "namespace": "default"}, "data": {"x": "aGk="}})
        found = await w.until("s", phase("Succeeded"), jump=0.1)
        assert w.log(found) == "hi\n"


async def test_restarts_with_backoff(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("c", *shell("echo run; exit 3"), spec={"restartPolicy": "Always"})
        found = await w.until("c", lambda p: "waiting" in container(p)["state"] and container(p)["restartCount"] == 1)
        assert container(found)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert "back-off 10s" in container(found)["state"]["waiting"]["message"]
        assert container(found)["lastState"]["terminated"]["exitCode"] == 3
        assert found["status"]["phase"] == "Running"
        assert not is_ready(found)
        w.clock.jump(10)
        await w.until("c", lambda p: container(p)["restartCount"] == 2 and "waiting" in container(p)["state"])
        w.clock.jump(10)
        assert container(w.api.pod("c") or {})["restartCount"] == 2
        w.clock.jump(10)
        await w.until("c", lambda p: container(p)["restartCount"] == 3)


async def test_on_failure_restarts_until_it_succeeds(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.mkdir()
    script = f"test -e {flag}/x && exit 0; touch {flag}/x; exit 1"
    volumes = {"volumes": [{"name": "f", "hostPath": {"path": str(flag)}}], "restartPolicy": "OnFailure"}
    async with world(tmp_path / "data") as w:
        mounts = {"volumeMounts": [{"name": "f", "mountPath": str(flag)}]}
        await w.run("f", *shell(script), container=mounts, spec=volumes)
        found = await w.until("f", phase("Succeeded"))
        assert container(found)["restartCount"] == 1


async def test_init_containers_run_in_order_before_the_others(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        inits = [
            {"name": "one", "image": "styr.dev/host", "command": list(shell("sleep 0.2; date +%s%N"))},
            {"name": "two", "image": "styr.dev/host", "command": list(shell("date +%s%N"))},
        ]
        await w.run("i", *shell("date +%s%N"), spec={"initContainers": inits})
        found = await w.until("i", phase("Succeeded"))
        times = [int(w.log(found, name)) for name in ("one", "two", "web")]
        assert times == sorted(times)
        assert condition(found, "Initialized")["status"] == "True"
        inits[0]["command"] = list(shell("exit 1"))
        await w.run("j", *shell("echo never"), spec={"initContainers": inits})
        found = await w.until("j", phase("Failed"))
        assert "waiting" in container(found)["state"]


async def test_deletion_asks_first_and_removes_everything(tmp_path: Path) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    async with world(tmp_path) as w:
        found = await w.run("d", *shell(script))
        await w.until("d", lambda p: is_ready(p) and w.log(p) == "up\n")
        await w.api.delete(POD, "d", "default", grace=10)
        await w.gone("d")
        await w.folder_gone(found["metadata"]["uid"])


async def test_sigterm_is_ignored_then_killed_at_the_end_of_grace(tmp_path: Path) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    async with world(tmp_path) as w:
        await w.run("t", *shell(script))
        await w.until("t", lambda p: is_ready(p) and w.log(p) == "up\n")
        await w.api.delete(POD, "t", "default", grace=30)
        await w.until("t", lambda p: condition(p, "Ready").get("reason") == "PodTerminating")
        assert w.api.pod("t") is not None
        w.clock.jump(31)
        await w.gone("t")


async def test_a_pod_past_its_deadline_fails(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("l", *shell("sleep 1000"), spec={"activeDeadlineSeconds": 100, "terminationGracePeriodSeconds": 1})
        await w.until("l", phase("Running"))
        w.clock.jump(101)
        found = await w.until("l", phase("Failed"))
        assert found["status"]["reason"] == "DeadlineExceeded"


async def test_an_app_that_never_listens_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("n", *shell("sleep 1000"), container=PORTS)
        found = await w.until("n", lambda p: "nothing listens" in condition(p, "Ready").get("message", ""))
        assert "containerPort 8080" in condition(found, "Ready")["message"]
        assert not is_ready(found)


async def test_a_port_that_was_taken_is_replaced_at_the_next_start(tmp_path: Path) -> None:
    script = "echo $PORT; while ! test -e $HOME/go; do sleep 0.02; done; exit 1"
    async with world(tmp_path) as w:
        await w.run("p", *shell(script), container=PORTS, spec={"restartPolicy": "Always"})
        found = await w.until("p", w.log)
        port = int(w.log(found))
        with socket.socket() as other:
            other.bind(("127.0.0.1", port))
            other.listen()
            (w.pod_folder(found) / "work" / "web" / "go").touch()
            found = await w.until("p", lambda p: w.log(p, number=1))
            new = int(w.log(found, number=1))
            assert new != port
            assert json.loads(found["metadata"]["annotations"][PORTS_ANNOTATION]) == {"8080": new}
            assert w.api.events("PortTaken")
