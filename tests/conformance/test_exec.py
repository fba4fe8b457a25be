"""`kubectl exec` and the Python clients' exec, against real pods."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from styr.kinds.resources import POD
from styr.kit import descriptors
from tests.api.wire_helpers import until
from tests.conformance.streaming import KUBECTLS, Streaming, streaming
from tests.node.world import shell


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Streaming]:
    async with streaming(tmp_path) as made:
        await made.run("web", *shell("sleep 1000"))
        yield made


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in KUBECTLS])
def kubectl(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_output_error_and_exit_code(cluster: Streaming, kubectl: str) -> None:
    out, err = await cluster.kubectl(kubectl, "exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert out == b"out\n"
    assert err == "err\ncommand terminated with exit code 7\n"


async def test_input_goes_in_and_ends(cluster: Streaming, kubectl: str) -> None:
    data = bytes(range(256)) * 4096
    out, _ = await cluster.kubectl(kubectl, "exec", "-i", "web", "--", "cat", stdin=data)
    assert out == data


async def test_a_terminal(cluster: Streaming, kubectl: str) -> None:
    """A real one on the client's side: size, signals, and what the shell sees."""
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 123, 0, 0))
    process = await cluster.start(kubectl, "exec", "-it", "web", "--", "sh", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = b""

    async def expect(text: bytes) -> None:
        nonlocal seen
        async with asyncio.timeout(20):
            while text not in seen:
                seen += await descriptors.read(ours)

    async def say(text: bytes) -> None:
        await descriptors.write(ours, text)

    await expect(b"$ " if os.getuid() else b"# ")
    await say(b"stty size; tty; echo $TERM\n")
    await expect(b"41 123")
    await expect(b"xterm")
    assert b"/dev/pts/" in seen
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 99, 0, 0))
    process.send_signal(signal.SIGWINCH)
    await say(b"while [ \"$(stty size)\" != '50 99' ]; do sleep 0.02; done; echo res''ized\n")
    await expect(b"resized")
    await say(b"sleep 1357\n")
    await expect(b"sleep 1357")
    await until(lambda: bool(running("sleep", "1357")))
    await say(b"\x03")
    await say(b"echo inter''rupted; exit 3\n")
    await expect(b"interrupted")
    assert await asyncio.wait_for(process.wait(), 20) == 3
    os.close(ours)


async def test_the_client_goes_and_its_command_with_it(cluster: Streaming, kubectl: str) -> None:
    process = await cluster.start(kubectl, "exec", "-i", "web", "--", "sh", "-c", "echo up; exec sleep 4321")
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"up\n"
    await until(lambda: bool(running("sleep", "4321")))
    process.kill()
    await process.wait()
    await until(lambda: not running("sleep", "4321"))


async def test_what_runs_in_the_background_ends_with_the_container(cluster: Streaming, kubectl: str) -> None:
    script = "nohup sleep 8765 >/dev/null 2>&1 & echo started"
    out, _ = await cluster.kubectl(kubectl, "exec", "web", "--", "sh", "-c", script)
    assert out == b"started\n"
    await until(lambda: bool(running("sleep", "8765")))
    await cluster.client.delete(POD, "web", "default", grace=0)
    await until(lambda: not running("sleep", "8765"))


async def test_the_container_ends_and_its_commands_with_it(cluster: Streaming, kubectl: str) -> None:
    process = await cluster.start(kubectl, "exec", "web", "--", "sh", "-c", "echo up; sleep 6543")
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 20)
    await cluster.client.delete(POD, "web", "default", grace=0)
    assert await asyncio.wait_for(process.wait(), 20) == 137
    assert not running("sleep", "6543")


async def test_the_sandbox_is_the_containers(cluster: Streaming, kubectl: str) -> None:
    """No more may be read, written or signalled than by the container itself."""
    read = f"cat {cluster.folder}/kubeconfig || echo closed"
    script = f"{read}; touch $HOME/mine && echo own; kill -0 {os.getpid()} || echo alone"
    out, _ = await cluster.kubectl(kubectl, "exec", "web", "--", "sh", "-c", script)
    assert out == b"closed\nown\nalone\n"


async def test_refusals_in_the_words_of_kubernetes(cluster: Streaming, kubectl: str) -> None:
    _, err = await cluster.kubectl(kubectl, "exec", "web", "--", "no-such-thing", code=1)
    assert 'exec: "no-such-thing": executable file not found in $PATH' in err
    _, err = await cluster.kubectl(kubectl, "exec", "web", "-c", "other", "--", "true", code=1)
    assert "container other is not valid for pod web" in err
    await cluster.run("done", "true", until="Succeeded")
    _, err = await cluster.kubectl(kubectl, "exec", "done", "--", "true", code=1)
    assert "completed pod" in err


async def test_a_slow_client_costs_no_memory(cluster: Streaming, kubectl: str) -> None:
    before = resident()
    process = await cluster.start(kubectl, "exec", "web", "--", "head", "-c", "200000000", "/dev/zero")
    assert process.stdout is not None
    got, first = 0, True
    while data := await process.stdout.read(1 << 20):
        got += len(data)
        if first:
            await until(lambda: cluster.node._workers != {})  # the pipes are full by now, and nobody reads
            first = False
    assert got == 200_000_000
    assert resident() - before < 30


async def test_a_signal_is_told_as_a_shell_tells_it(cluster: Streaming, kubectl: str) -> None:
    await cluster.kubectl(kubectl, "exec", "web", "--", "sh", "-c", "kill -9 $$", code=137)
    await cluster.kubectl(kubectl, "exec", "web", "--", "sh", "-c", "kill -15 $$", code=143)


async def test_many_at_a_time(cluster: Streaming, kubectl: str) -> None:
    runs = [cluster.kubectl(kubectl, "exec", "-i", "web", "--", "cat", stdin=b"%d" % n) for n in range(12)]
    assert [out for out, _ in await asyncio.gather(*runs)] == [b"%d" % n for n in range(12)]


def running(*argv: str) -> list[int]:
    """Pids of that very command line."""
    wanted = b"".join(word.encode() + b"\0" for word in argv)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == wanted:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def resident() -> int:
    """MB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024
