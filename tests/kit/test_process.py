"""A process by pid and start time: recognised, signalled, waited for; never another one's."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from styr.kit.process import ProcessId, ended, start_time


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def test_it_knows_itself() -> None:
    assert ProcessId.of(os.getpid()).alive()


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(child.pid) == 0
    assert not ProcessId.of(child.pid).alive()
    child.wait()


def test_another_process_with_our_pid_is_never_signalled(child: subprocess.Popen[bytes]) -> None:
    other = ProcessId(child.pid, start_time(child.pid) - 1)
    assert not other.alive()
    assert other.open() is None
    assert not other.signal(signal.SIGKILL)
    assert child.poll() is None


async def test_its_end_is_awaited(child: subprocess.Popen[bytes]) -> None:
    target = ProcessId.of(child.pid)
    descriptor = target.open()
    assert descriptor is not None
    waiting = asyncio.ensure_future(ended(descriptor))
    assert target.signal(signal.SIGTERM)
    await asyncio.wait_for(waiting, 10)
    os.close(descriptor)
    assert child.wait() == -signal.SIGTERM
    assert not target.signal(signal.SIGKILL)


@pytest.mark.parametrize("pid", [0, -1, 2**31, 2**70])
def test_what_is_no_pid_is_no_process(pid: int) -> None:
    assert start_time(pid) == 0
    assert not ProcessId(pid, 1).signal(0)
    assert not ProcessId(pid, 0).alive()
