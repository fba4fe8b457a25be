"""A process by pid and start time, so that a reused pid is never taken for ours.

Called by `envoy`. Reads /proc where there is one, else asks `ps`. Never signals what it has not recognised.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """`started` is opaque: the kernel's start time in ticks since boot, or what `ps` prints."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Runs and is not a zombie."""
        return self.started != "" and started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> bool:
        """False when it is gone already."""
        if not self.alive():
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)
            return True
        return False


def started(pid: int) -> str:
    """Empty when no such process runs."""
    if pid <= 0:
        return ""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
    )
    state, _, when = answer.stdout.strip().partition(" ")
    return "" if not state or state.startswith("Z") else when.strip()
