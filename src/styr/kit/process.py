"""Which process: a pid with its start time, so that a pid that was given to another process is never taken for ours.

Called by `plane` (the control plane), `gateway` (Envoy) and `node` (the launchers of containers). Linux only: /proc and
pidfds. Never signals what it has not recognised.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """`started` is `start_time(pid)` when it was ours, in clock ticks since boot; 0 names no process."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        return cls(pid, start_time(pid))

    def alive(self) -> bool:
        """Runs, is the same process, and is not a zombie."""
        return self.started != 0 and start_time(self.pid) == self.started

    def open(self) -> int | None:
        """A pidfd of exactly this process, None when it has ended. Once it is open, the pid in it cannot be recycled: hence
        the comparison after the opening. The caller closes it."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (OSError, ValueError, OverflowError):
            return None
        if self.alive():
            return descriptor
        os.close(descriptor)
        return None

    def signal(self, number: int) -> bool:
        """False when it has ended already, or is not ours to signal."""
        descriptor = self.open()
        if descriptor is None:
            return False
        try:
            return send(descriptor, number)
        finally:
            os.close(descriptor)


def start_time(pid: int) -> int:
    """Clock ticks since boot (field 22 of /proc/PID/stat); 0 when there is no such process or it is a zombie: one that ended
    but is not reaped yet holds nothing any more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0


def boot_id() -> str:
    """The kernel's name for this boot: ticks since another one mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def send(descriptor: int, number: int) -> bool:
    """Signals the process behind a pidfd. False when it has ended already, or is not ours to signal."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


async def ended(descriptor: int) -> None:
    """Until the process behind a pidfd has ended."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    own = os.dup(descriptor)
    loop.add_reader(own, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(own)
        os.close(own)
