"""What pods use, read from a folder that looks like /proc, and from the real one."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from styr.kit.clock import SystemClock
from styr.kit.process import boot_id, start_time
from styr.node.record import ContainerRecord, PodRecord
from styr.node.runtimes.base import Handle
from styr.node.usage import Look, Usages, compare, read

TICKS = os.sysconf("SC_CLK_TCK")
HERE = ("default", "web", "main")


def process(proc: Path, pid: int, parent: int, ticks: int, pss: int | None = 4, started: int = 7) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    # pid (name) state ppid ... utime stime cutime cstime ... starttime
    fields = ["S", str(parent), *["0"] * 9, str(ticks), "0", "0", "0", *["0"] * 4, str(started)]
    (folder / "stat").write_text(f"{pid} (a ) b) {' '.join(fields)} 0 0\n")
    (folder / "statm").write_text("100 10 3 0 0 0 0\n")
    if pss is not None:
        (folder / "smaps_rollup").write_text(f"Rss: 99 kB\nPss: {pss} kB\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "stat").write_text("cpu 100 0 50 800 40 0 10 0 0 0\ncpu0 1 1 1\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\n")
    return tmp_path


def test_a_container_is_its_launcher_and_all_below(proc: Path) -> None:
    process(proc, 10, 1, TICKS)
    process(proc, 11, 10, 2 * TICKS)
    process(proc, 12, 11, 3 * TICKS, pss=None)
    process(proc, 13, 1, 9 * TICKS)
    look = read(proc, {HERE: Handle(10, 7, "b")}, 5.0, 6.0)
    assert look.cpu[HERE][1] == 6.0
    assert look.held[HERE] == 8 * 1024 + 10 * os.sysconf("SC_PAGE_SIZE")
    assert look.memory == 400 * 1024
    assert look.busy == 160 / TICKS


def test_a_pid_that_is_another_process_now_counts_for_nothing(proc: Path) -> None:
    process(proc, 10, 1, TICKS, started=8)
    assert read(proc, {HERE: Handle(10, 7, "b")}, 5.0, 6.0).cpu == {}


def look(moment: float, seconds: float, handle: int = 1, busy: float = 0.0) -> Look:
    return Look(moment, moment, busy, 7, {HERE: (Handle(handle, 1, "b"), seconds)}, {HERE: 5})


def test_what_is_used_is_what_came_in_the_window() -> None:
    found = compare("n", look(10, 100.0, busy=1.0), look(12, 101.0, busy=4.0))
    assert (found.window, found.whole.cpu, found.whole.memory) == (2.0, 1.5, 7)
    usage = found.pods["default", "web"]["main"]
    assert (usage.cpu, usage.memory) == (0.5, 5)


def test_a_container_that_was_started_meanwhile() -> None:
    found = compare("n", look(10, 100.0), look(12, 1.0, handle=2))
    assert found.pods["default", "web"]["main"].cpu == 0.5


async def test_a_real_process_that_works_is_seen() -> None:
    busy = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        record = PodRecord("u", "default", "web")
        handle = Handle(busy.pid, start_time(busy.pid), boot_id())
        record.containers["main"] = ContainerRecord("main", phase="running", handle=handle)
        usages = Usages("here", lambda: [record], SystemClock())
        found = await usages()
        used = found.pods["default", "web"]["main"]
        assert used.cpu > 0
        assert used.memory > 1 << 20
        assert found.whole.memory > 1 << 20
        assert await usages() is found
    finally:
        busy.kill()
        await busy.wait()
    later = Usages("here", lambda: [record], SystemClock())
    assert (await later()).pods == {}
