"""What becomes of processes: left-behind children, adoption after SIGKILL, recycled pids, orphans, flooded logs."""

from __future__ import annotations

import asyncio
import copy
import os
import signal
import subprocess
import sys
from pathlib import Path

from styr.kinds import meta
from styr.kinds.resources import POD, Object, Resource
from styr.kinds.seams import LogOptions
from styr.kit.process import ProcessId, boot_id, start_time
from styr.node.record import load
from styr.node.runtimes.base import Handle, Launch
from styr.node.runtimes.process import ProcessRuntime
from tests.node.world import (
    SERVER,
    Api,
    World,
    condition,
    container,
    eventually,
    is_ready,
    phase,
    pod,
    python,
    shell,
    world,
)

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open('pid', 'w').write(str(os.getpid()))
        os.environ.clear()
        time.sleep(1000)
    os._exit(0)
while not os.path.exists('pid') or not open('pid').read(): time.sleep(0.01)
"""


def alive(pid: int) -> bool:
    return start_time(pid) != 0


async def daemon_pid(w: World, name: str) -> int:
    path = w.pod_folder(w.api.pod(name) or {}) / "work" / "web" / "pid"
    await eventually(lambda: path.exists() and path.read_text(), "the daemon did not start")
    return int(path.read_text())


async def test_what_daemonised_dies_with_its_container(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("d", *python(DAEMON + "time.sleep(1000)"))
        pid = await daemon_pid(w, "d")
        assert alive(pid)
        await w.api.delete(POD, "d", "default", grace=10)
        await w.gone("d")
        assert not alive(pid)


async def test_what_daemonised_dies_when_the_main_process_ends(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        found = await w.run("d", *python(DAEMON + "print(open('pid').read())"))
        found = await w.until("d", phase("Succeeded"))
        assert not alive(int(w.log(found)))


OWNER = """
import asyncio, json, random, sys
from pathlib import Path
from tests.node.world import Api, is_ready, world
from styr.kinds.resources import POD
async def main():
    api = Api()
    api.objects[POD] = {}
    async with world(Path(sys.argv[1]), api) as w:
        await api.create(POD, json.loads(sys.stdin.readline()))
        await w.until('a', is_ready)
        print(json.dumps(api.pod('a')), flush=True)
        await asyncio.sleep(100)
asyncio.run(main())
"""


def owned_elsewhere(folder: Path, manifest: dict[str, object]) -> dict[str, object]:
    """The pod as a node in another process left it, which was then killed with SIGKILL."""
    import json

    child = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(manifest) + "\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())  # type: ignore[no-any-return]
    finally:
        child.kill()
        child.communicate()


async def test_a_pod_survives_kill_9_of_the_node_and_is_adopted(tmp_path: Path) -> None:
    ports = {"ports": [{"containerPort": 80}]}
    manifest = pod("a", *python(SERVER), container=ports, spec={"restartPolicy": "Always"})
    left = await asyncio.to_thread(owned_elsewhere, tmp_path, manifest)
    record = load(tmp_path / "node" / "pods" / meta.uid(left) / "state.json")
    assert record is not None
    handle = record.container("web").handle
    assert handle is not None
    assert alive(handle.pid)
    api = Api()
    api.objects[POD] = {meta.key(left): left}
    async with world(tmp_path, api) as w:
        await eventually(lambda: w.node._workers, "not adopted")
        os.kill(await app_of(handle.pid), signal.SIGKILL)
        found = await w.until("a", lambda p: container(p)["restartCount"] == 1 and is_ready(p))
        assert container(found)["lastState"]["terminated"]["exitCode"] == 137
        new = load(w.pod_folder(found) / "state.json")
        assert new is not None
        assert new.ports == record.ports


async def app_of(launcher: int) -> int:
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    await eventually(children.read_text, "the launcher started no app")
    return int(children.read_text().split()[0])


class Watched(Api):
    """Keeps every state of every pod."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Object] = []

    def _put(self, resource: Resource, obj: Object) -> Object:
        if resource is POD:
            self.seen.append(copy.deepcopy(obj))
        return super()._put(resource, obj)


async def test_an_adopted_pod_stays_ready_and_untouched(tmp_path: Path) -> None:
    ports = {"ports": [{"containerPort": 80}]}
    left = await asyncio.to_thread(owned_elsewhere, tmp_path, pod("a", *python(SERVER), container=ports))
    api = Watched()
    api.objects[POD] = {meta.key(left): left}
    async with world(tmp_path, api) as w:
        await w.run("other", *shell("exit 0"))
        await w.until("other", phase("Succeeded"))
        assert all(is_ready(state) for state in api.seen if meta.name(state) == "a")
        assert container(api.pod("a") or {})["state"] == container(left)["state"]


async def test_an_exit_while_nobody_watched_is_known(tmp_path: Path) -> None:
    script = "echo up; while ! test -e $HOME/go; do sleep 0.02; done; exit 42"
    left = await asyncio.to_thread(owned_elsewhere, tmp_path, pod("a", *shell(script)))
    folder = tmp_path / "node" / "pods" / meta.uid(left)
    (folder / "work" / "web" / "go").touch()
    await eventually((folder / "containers" / "web" / "0.exit").exists, "no exit file")
    api = Api()
    api.objects[POD] = {meta.key(left): left}
    async with world(tmp_path, api) as w:
        found = await w.until("a", phase("Failed"))
        assert container(found)["state"]["terminated"]["exitCode"] == 42


async def test_a_pod_deleted_meanwhile_is_ended_at_the_next_start(tmp_path: Path) -> None:
    left = await asyncio.to_thread(owned_elsewhere, tmp_path, pod("a", *shell("sleep 1000")))
    record = load(tmp_path / "node" / "pods" / meta.uid(left) / "state.json")
    assert record is not None
    handle = record.container("web").handle
    assert handle is not None
    async with world(tmp_path) as w:
        await w.folder_gone(meta.uid(left))
        assert not alive(handle.pid)


async def test_a_damaged_record_leaves_no_process_behind(tmp_path: Path) -> None:
    left = await asyncio.to_thread(owned_elsewhere, tmp_path, pod("a", *shell("sleep 1000")))
    state = tmp_path / "node" / "pods" / meta.uid(left) / "state.json"
    record = load(state)
    assert record is not None
    handle = record.container("web").handle
    assert handle is not None
    app = await app_of(handle.pid)
    state.write_bytes(state.read_bytes()[:20])
    left["status"] = {"phase": "Running"}
    api = Api()
    api.objects[POD] = {meta.key(left): left}
    async with world(tmp_path, api) as w:
        await w.until("a", lambda p: is_ready(p))
        assert not alive(app)


async def test_a_recycled_pid_is_never_signalled() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    try:
        started = start_time(child.pid)
        assert started
        runtime = ProcessRuntime()
        stale = Handle(child.pid, started - 1, boot_id())
        other_boot = Handle(child.pid, started, "another boot")
        for handle in (stale, other_boot):
            runtime.terminate(handle)
            await runtime.kill(handle, Path("/nowhere"))
            assert not runtime.alive(handle)
            assert not (await runtime.wait(handle, Path("/nowhere"))).known
        assert child.poll() is None
        descriptor = ProcessId(child.pid, started).open()
        assert descriptor is not None
        os.close(descriptor)
    finally:
        child.kill()
        child.wait()


async def test_a_killed_launcher_takes_its_app_along(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("k", *python(DAEMON.replace("os.environ.clear()", "") + "time.sleep(1000)"))
        daemon = await daemon_pid(w, "k")
        record = load(w.pod_folder(w.api.pod("k") or {}) / "state.json")
        assert record is not None
        handle = record.container("web").handle
        assert handle is not None
        app = await app_of(handle.pid)
        os.kill(handle.pid, signal.SIGKILL)
        found = await w.until("k", phase("Failed"))
        assert container(found)["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
        await eventually(lambda: not alive(app) and not alive(daemon), "something was left behind")


async def test_a_flooding_log_is_capped(tmp_path: Path) -> None:
    async with world(tmp_path, runtime=ProcessRuntime(log_cap=1 << 20)) as w:
        await w.run("f", *shell("yes 0123456789 | head -c 40000000; echo end; sleep 1000"))
        found = await w.until("f", phase("Running"))
        folder = w.pod_folder(found) / "containers" / "web"
        await eventually((folder / "0.log.1").exists, "never rotated")

        def read(name: str) -> bytes:
            try:
                return (folder / name).read_bytes()
            except FileNotFoundError:  # just turned over
                return b""

        def logs() -> bytes:
            return read("0.log.1") + read("0.log")

        await eventually(lambda: b"end\n" in logs()[-100:], "the end is missing")
        assert len(logs()) < 5 << 20
        tail = w.node.logs("default", "f", meta.uid(found), LogOptions(tail_lines=2))
        assert b"".join([chunk async for chunk in tail]) == b"0123456789\n0123456end\n"


async def test_a_failing_launcher_order_starts_nothing(tmp_path: Path) -> None:
    """The node dies between the launcher's start and the end of its orders."""
    from styr.node.runtimes import launcher

    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-E", launcher.__file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert child.stdin is not None
    child.stdin.write((1000).to_bytes(8, "big") + b"half")
    child.stdin.close()
    assert child.wait(10) == 3


async def test_execution_that_takes_too_long_is_killed_without_the_node(tmp_path: Path) -> None:
    runtime = ProcessRuntime()
    launch = Launch(
        argv=("sleep", "1000"), env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, log=tmp_path / "l", exit=tmp_path / "e",
        writable=(tmp_path,), timeout=0.2,
    )  # fmt: skip
    handle = runtime.start(launch, lambda _: None)
    assert (await runtime.wait(handle, launch.exit)).signal == 9


async def test_draining_waits_before_sigterm(tmp_path: Path) -> None:
    ports = {"ports": [{"containerPort": 80}]}
    async with world(tmp_path, drain=500.0) as w:
        await w.run("a", *python(SERVER), container=ports)
        found = await w.until("a", is_ready)
        record = load(w.pod_folder(found) / "state.json")
        assert record is not None
        handle = record.container("web").handle
        assert handle is not None
        await w.api.delete(POD, "a", "default", grace=10)
        await w.until("a", lambda p: condition(p, "Ready").get("reason") == "PodTerminating")
        assert alive(handle.pid)
        w.clock.jump(501)
        await w.gone("a")
        assert not alive(handle.pid)
