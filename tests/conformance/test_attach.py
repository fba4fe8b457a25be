"""`kubectl attach`, `kubectl run -it --rm`, and what outlives them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from styr.kit import descriptors
from tests.api.wire_helpers import until
from tests.conformance.streaming import KUBECTLS, Streaming, streaming
from tests.node.world import HOST, shell

INTERACTIVE = {"stdin": True, "stdinOnce": True}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Streaming]:
    async with streaming(tmp_path) as made:
        yield made


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in KUBECTLS])
def kubectl(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def lines(process: asyncio.subprocess.Process, count: int) -> list[bytes]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return [await process.stdout.readline() for _ in range(count)]


async def test_output_from_where_attach_began(cluster: Streaming, kubectl: str) -> None:
    await cluster.run("talk", *shell("echo before; n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done"))
    one, two = [await cluster.start(kubectl, "attach", "talk") for _ in range(2)]
    for process in (one, two):
        said = [line.decode().split() for line in await lines(process, 20)]
        assert {word for word, _ in said} == {"line"}
        numbers = [int(number) for _, number in said]
        assert numbers == list(range(numbers[0], numbers[0] + 20))


async def test_input_of_one_client_and_its_end(cluster: Streaming, kubectl: str) -> None:
    await cluster.run("cat", *shell("cat; echo over >&2; exit 5"), container=INTERACTIVE)
    data = b"".join(b"%d\n" % n for n in range(20_000))
    out, err = await cluster.kubectl(kubectl, "attach", "-i", "cat", stdin=data)
    assert out == data
    assert "over" in err
    found = await cluster.until("cat", lambda found: found["status"]["phase"] == "Failed")
    assert found["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 5


async def test_input_that_stays_open(cluster: Streaming, kubectl: str) -> None:
    """Without stdinOnce one client after the other may type."""
    await cluster.run("cat", *shell("while read line; do echo got $line; done"), container={"stdin": True})
    for word in ("one", "two"):
        process = await cluster.start(kubectl, "attach", "-i", "cat")
        assert process.stdin is not None
        process.stdin.write(word.encode() + b"\n")
        assert await lines(process, 1) == [f"got {word}\n".encode()]
        process.stdin.close()
        process.kill()
        await process.wait()


async def test_a_shell_with_a_terminal(cluster: Streaming, kubectl: str) -> None:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    flags = ("run", "-it", "--rm", "--restart=Never", f"--image={HOST}", "tty", "--command", "--", "sh")
    process = await cluster.start(kubectl, *flags, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""

    async def expect(text: bytes) -> None:
        nonlocal seen
        async with asyncio.timeout(20):
            while text not in seen:
                seen += await descriptors.read(ours)

    await expect(b"command prompt")
    await descriptors.write(ours, b"tty; echo $TERM; echo to''gether; exit 4\n")
    await expect(b"together")
    assert b"/dev/pts/" in seen
    assert await asyncio.wait_for(process.wait(), 30) == (4 if kubectl != "kubectl" else process.returncode)
    os.close(ours)


async def test_run_takes_input_and_cleans_up(cluster: Streaming, kubectl: str) -> None:
    flags = ("run", "-i", "--rm", "--quiet", "--restart=Never", f"--image={HOST}", "once", "--command", "--")
    out, _ = await cluster.kubectl(kubectl, *flags, "tr", "a-z", "A-Z", stdin=b"hello\n")
    assert b"HELLO\n" in out


async def test_a_client_that_does_not_read_holds_the_app_up_and_nothing_else(cluster: Streaming, kubectl: str) -> None:
    script = "while ! test -e $HOME/go; do sleep 0.02; done; head -c 30000000 /dev/zero; echo end >&2; sleep 1000"
    found = await cluster.run("flood", *shell(script))
    process = await cluster.start(kubectl, "attach", "flood")
    worker = cluster.node._workers[found["metadata"]["uid"]]
    await until(lambda: (worker.folder / "containers" / "web" / "attach").exists())
    assert process.stdout is not None
    await asyncio.sleep(0)
    log = worker.folder / "containers" / "web" / "0.log"
    await cluster.kubectl(kubectl, "exec", "flood", "--", "true")
    (worker.folder / "work" / "web" / "go").touch()
    got = 0
    async with asyncio.timeout(60):
        while got < 30_000_000:
            got += len(await process.stdout.read(1 << 20))
        await until(lambda: log.exists() and b"end" in log.read_bytes()[-60:])


async def test_logs_beside_attach_and_their_times(cluster: Streaming, kubectl: str) -> None:
    await cluster.run("done", *shell("echo one; echo two >&2"), until="Succeeded")
    out, _ = await cluster.kubectl(kubectl, "logs", "done", "--timestamps")
    stamps = [line.split(b" ")[0] for line in out.splitlines()]
    assert [line.split(b" ")[1] for line in out.splitlines()] == [b"one", b"two"]
    assert all(stamp.endswith(b"Z") and len(stamp) == 30 for stamp in stamps)
    for flag, wanted in (
        ("--since=1h", b"one\ntwo\n"),
        ("--since-time=2200-01-01T00:00:00Z", b""),
        ("--limit-bytes=2", b"on"),
    ):
        out, _ = await cluster.kubectl(kubectl, "logs", "done", flag)
        assert out == wanted
    _, err = await cluster.kubectl(kubectl, "attach", "done", code=1)
    assert "completed pod" in err


@pytest.mark.needs("kubectl-1.35")
async def test_debug_joins_a_running_pod(cluster: Streaming) -> None:
    await cluster.run("web", *shell("sleep 1000"))
    flags = ("debug", "-i", "web", f"--image={HOST}", "-c", "look", "--quiet", "--")
    # It lingers, so that it is still there when kubectl reads what it said: one that has ended is not attached to.
    script = "echo in $(basename $(dirname $TMPDIR)); read word; echo $word back; sleep 2"
    out, _ = await cluster.kubectl(
        "kubectl-1.35", *flags[:-1], "--profile=baseline", "--", "sh", "-c", script, stdin=b"hello\n"
    )
    assert b"hello back" in out

    def ended(found: dict[str, Any]) -> bool:
        statuses = found["status"].get("ephemeralContainerStatuses") or [{}]
        return "terminated" in (statuses[0].get("state") or {})

    found = await cluster.until("web", ended)
    assert found["status"]["phase"] == "Running"
    assert found["status"]["ephemeralContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    out, _ = await cluster.kubectl("kubectl-1.35", "logs", "web", "-c", "look")
    assert b"hello back" in out


@pytest.mark.needs("kubectl-1.35")
async def test_debug_with_rights_that_a_process_cannot_have(cluster: Streaming) -> None:
    await cluster.run("web", *shell("sleep 1000"))
    flags = ("debug", "web", f"--image={HOST}", "-c", "look", "--profile=general", "--", "sh", "-c", "echo x")
    await cluster.kubectl("kubectl-1.35", *flags)
    found = await cluster.until("web", lambda found: found["status"].get("ephemeralContainerStatuses"))
    state = found["status"]["ephemeralContainerStatuses"][0]["state"]["terminated"]
    assert state["reason"] == "UnsupportedPodSpec"
    assert "spec.ephemeralContainers[0].securityContext.capabilities.add" in state["message"]
    assert found["status"]["phase"] == "Running"
