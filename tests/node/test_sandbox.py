"""What a pod cannot reach under Landlock and seccomp, and what the node tells of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from styr.kinds.resources import NODE
from styr.node.registration import SANDBOX_ANNOTATION
from styr.node.runtimes import sandbox
from styr.node.runtimes.process import ProcessRuntime
from tests.node.world import Api, World, phase, shell, world

KERNEL = sandbox.probe()
landlocked = pytest.mark.skipif(not KERNEL.landlock, reason="this kernel has no Landlock")
scoped = pytest.mark.skipif(KERNEL.landlock < 6, reason="this kernel's Landlock cannot scope signals")
filtered = pytest.mark.skipif(not KERNEL.seccomp, reason="no seccomp filter for this machine")


async def output(w: World, name: str, script: str, **extra: object) -> str:
    await w.run(name, *shell(script), **extra)
    return w.log(await w.until(name, phase("Succeeded", "Failed")))


@landlocked
async def test_files_of_others_cannot_be_read_or_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the admin's token")
    async with world(tmp_path / "data") as w:
        text = await output(w, "r", f"cat {secret}; echo x > {secret}; ls {tmp_path}; ls {Path.home()}; echo done")
        assert "token" not in text
        assert text.count("ermission denied") == 4
        assert "done\n" in text
        text = await output(w, "t", f"echo x > /etc/styr-was-here; echo x > {tmp_path}/new; echo x > /tmp/styr-x; true")
        assert text.count("ermission denied") + text.count("annot create") >= 3
        assert not (tmp_path / "new").exists()
    assert secret.read_text() == "the admin's token"


@landlocked
async def test_another_pods_folder_is_closed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await output(w, "a", "echo mine > $HOME/file; sleep 0.01")
        other = w.pod_folder(w.api.pod("a") or {})
        assert "ermission denied" in await output(w, "b", f"ls {other}")


async def test_its_own_folders_work(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        text = await output(
            w, "a", "pwd; echo $HOME; echo 1 > f && cat f; echo 2 > $TMPDIR/f && cat $TMPDIR/f; echo > /dev/null"
        )
        here, home, *rest = text.splitlines()
        assert here == home
        assert rest == ["1", "2"]


@scoped
async def test_the_control_plane_cannot_be_signalled(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        text = await output(
            w,
            "k",
            f"kill -0 {os.getpid()} && echo reached; kill -0 $PPID && echo parent; sleep 1000 & kill $! && echo own",
        )
        assert "reached" not in text
        assert "parent" not in text
        assert "own" in text


@filtered
async def test_dangerous_syscalls_are_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        text = await output(
            w,
            "s",
            "grep Seccomp: /proc/self/status; grep NoNewPrivs /proc/self/status; unshare -U true && echo escaped",
        )
        assert "Seccomp:\t2" in text
        assert "NoNewPrivs:\t1" in text
        assert "escaped" not in text


async def test_no_variable_or_file_of_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYR_TOKEN", "secret")
    async with world(tmp_path) as w:
        text = await output(w, "e", "env; ls /proc/self/fd | wc -l; ulimit -c; umask")
        assert "secret" not in text
        assert text.splitlines()[-3:] == ["4", "0", "0022"]  # 0, 1, 2 and the listing itself


async def test_host_paths_are_opened_as_asked(tmp_path: Path) -> None:
    for name in ("read", "write"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name + "\n")
    volumes = [{"name": n, "hostPath": {"path": str(tmp_path / n), "type": "Directory"}} for n in ("read", "write")]
    mounts = [{"name": n, "mountPath": str(tmp_path / n), "readOnly": n == "read"} for n in ("read", "write")]
    script = f"cat {tmp_path}/read/f {tmp_path}/write/f; echo new > {tmp_path}/write/f; echo new > {tmp_path}/read/f"
    async with world(tmp_path / "data") as w:
        text = await output(w, "h", script, container={"volumeMounts": mounts}, spec={"volumes": volumes})
        assert text.startswith("read\nwrite\n")
    assert (tmp_path / "write" / "f").read_text() == "new\n"
    if KERNEL.landlock:
        assert (tmp_path / "read" / "f").read_text() == "read\n"


async def test_the_node_tells_what_is_isolated(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        node = await w.api.get(NODE, "n1")
        told = json.loads(node["metadata"]["annotations"][SANDBOX_ANNOTATION])
        assert told == KERNEL.describe()
        assert told["network"].startswith("none")
        types = {c["type"]: c["status"] for c in node["status"]["conditions"]}
        assert types["Ready"] == "True"
        assert types["Sandboxed"] == ("True" if KERNEL.landlock >= 6 and KERNEL.seccomp else "False")


async def test_without_landlock_it_runs_and_says_so(tmp_path: Path) -> None:
    api = Api()
    async with world(tmp_path, api, runtime=ProcessRuntime(use_sandbox=False)) as w:
        assert await output(w, "p", "echo hello") == "hello\n"
        node = await api.get(NODE, "n1")
        told = next(c for c in node["status"]["conditions"] if c["type"] == "Sandboxed")
        assert told["status"] == "False"
        assert "files: none" in told["message"]


def test_the_filter_is_known_for_two_machines_only() -> None:
    for machine in ("x86_64", "aarch64"):
        program = sandbox.seccomp_program(machine)
        assert len(program) % 8 == 0
        assert 0 < len(program) // 8 < 4096
    assert sandbox.seccomp_program("riscv64") == b""
