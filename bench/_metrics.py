"""Metrics servers side by side: Styr's engine, Prometheus, VictoriaMetrics; started, fed, measured from /proc, stopped.

Called by the `metrics_*` benchmarks. Each server gets the same configuration file and the same targets. CPU is user and system
time of the whole process; bytes written are those that the kernel sent to the disk for it. A peer that is not installed is left
out of the report, which then has no ratio. `tests/peers/build DIR` makes Prometheus; Debian packages both.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench._platform import as_installed, cpu_seconds, rss_mb

TOKEN = "bench"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(url: str, *, token: str = "", data: bytes | None = None, timeout: float = 600.0) -> bytes:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=timeout) as answer:
        body: bytes = answer.read()
        return body


class Targets:
    """`bench._targets` as a process."""

    def __init__(self, targets: int, series: int, *flags: str) -> None:
        self.targets, self.series = targets, series
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench._targets", "--targets", str(targets), "--series", str(series), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port: int = json.loads(self.process.stdout.readline())["port"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=10)

    def samples(self) -> int:
        """Scraped so far, by whomever."""
        count: int = json.loads(fetch(f"http://127.0.0.1:{self.port}/served"))["samples"]
        return count

    def config(self, interval: str = "1s") -> str:
        """A prometheus.yml that all three read."""
        jobs = "\n".join(
            f"  - job_name: job-{i}\n    metrics_path: /target/{i}/metrics\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{self.port}'], labels: {{target: '{i}'}}}}]"
            for i in range(self.targets)
        )
        return f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\nscrape_configs:\n{jobs}\n"


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process since its start: CPU seconds, bytes sent to the disk, resident MB now."""

    cpu: float
    written: int
    rss: float


class Server:
    """One metrics server on a folder. `stop` is SIGTERM, `kill` is SIGKILL."""

    name = ""
    token = ""
    ready = "/-/ready"

    def __init__(self, folder: Path, config: str, *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.flags = folder, free_port(), flags
        self.file = folder.parent / f"{folder.name}.yml"
        self.file.write_text(config)
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def program(cls) -> str | None:
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def start(self, timeout: float = 300.0) -> float:
        """Seconds until it says that it is ready."""
        began = time.monotonic()
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=as_installed())
        log.close()
        while time.monotonic() - began < timeout:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}; see {log.name}")
            try:
                fetch(self.url(self.ready), timeout=2)
                return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                time.sleep(0.01)
        raise RuntimeError(f"{self.name} is not ready after {timeout} s")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, **parameters: str) -> Any:
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        return json.loads(fetch(self.url(path) + query, token=self.token))

    def usage(self) -> Usage:
        assert self.process is not None
        pid = self.process.pid
        written = 0
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                written = int(line.split()[1])
        return Usage(cpu_seconds(pid), written, rss_mb(pid))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(120)
            self.process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)


class Styr(Server):
    """`flags`: of `styr.metrics.process`."""

    name, token = "styr", TOKEN

    @classmethod
    def program(cls) -> str | None:
        return sys.executable

    def command(self) -> Sequence[str]:
        secret = self.folder.parent / "token"
        secret.write_text(TOKEN)
        base = [sys.executable, "-m", "styr.metrics.process", "--data-dir", str(self.folder), "--port", str(self.port)]
        return [*base, "--config", str(self.file), "--token-file", str(secret), *self.flags]


class Prometheus(Server):
    name = "prometheus"

    @classmethod
    def program(cls) -> str | None:
        return shutil.which("prometheus")

    def command(self) -> Sequence[str]:
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        files = [f"--config.file={self.file}", f"--storage.tsdb.path={self.folder}"]
        return [str(self.program()), *files, listen, "--log.level=warn", *self.flags]


class VictoriaMetrics(Server):
    name, ready = "victoriametrics", "/health"

    @classmethod
    def program(cls) -> str | None:
        return shutil.which("victoria-metrics")

    def command(self) -> Sequence[str]:
        listen = f"-httpListenAddr=127.0.0.1:{self.port}"
        files = [f"-promscrape.config={self.file}", f"-storageDataPath={self.folder}"]
        return [str(self.program()), *files, listen, "-loggerLevel=ERROR", *self.flags]


PEERS: tuple[type[Server], ...] = (Prometheus, VictoriaMetrics)


def installed() -> list[type[Server]]:
    """The peers that this machine has."""
    return [peer for peer in PEERS if peer.program() is not None]


def disk_bytes(folder: Path) -> int:
    """Allocated by the files below a folder."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def warm_kernels() -> float:
    """Compiles what is not compiled yet, so that no measurement pays for it. Seconds."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "styr", "metrics", "warm"], check=True, stdout=subprocess.DEVNULL, env=os.environ
    )
    return time.monotonic() - began
