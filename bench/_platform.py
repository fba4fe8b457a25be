"""A real `styr up` for benchmarks: started, measured from /proc, stopped. Not a benchmark itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from styr.cli.demo.platform import Platform

__all__ = ["Plane", "Platform", "as_installed", "cpu_seconds", "rss_mb"]


def as_installed() -> dict[str, str]:
    """The environment of a user: pip compiles what it installs, and starts do not compile it again."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Plane:
    """`styr up` in the foreground on a folder, with free ports; without the metrics process unless it is asked for."""

    def __init__(self, data: Path, *, metrics: bool = False) -> None:
        self.data = data
        self.metrics = metrics
        self.process: subprocess.Popen[str] | None = None

    def up(self) -> tuple[float, float]:
        """(wall, CPU) seconds from the command to the line that says it is ready: /readyz answers 200 before that line."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "styr",
                "up",
                "--data-dir",
                str(self.data),
                *([] if self.data.exists() else ["--port", "0"]),
                *([] if self.metrics else ["--without-metrics"]),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=as_installed(),
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("Styr is up"):
            raise RuntimeError(f"styr up said {line!r}")
        return time.monotonic() - began, cpu_seconds(self.process.pid)

    def down(self) -> None:
        """Stops the control plane and Envoy."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    def rss(self) -> tuple[float, float]:
        """(control plane with its children but Envoy, Envoy) in MB."""
        assert self.process is not None
        envoy = int(json.loads((self.data / "envoy" / "envoy.json").read_text())["pid"])
        ours = {self.process.pid, *children(self.process.pid)} - {envoy}
        return sum(rss_mb(pid) for pid in ours), rss_mb(envoy)


def children(pid: int) -> set[int]:
    """All descendants."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found |= {int(child)} | children(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident set size."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
