"""A real Prometheus over a data directory, for tests: start it, wait for it, ask it for raw samples, stop it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Series = dict[tuple[tuple[str, str], ...], list[tuple[int, str]]]


@dataclass
class Peer:
    url: str
    log: Path

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}{path}?{query}", timeout=30) as answer:
            return json.load(answer)["data"]

    def raw(self, at_ms: int, span_ms: int, selector: str = '{__name__=~".+"}') -> Series:
        """Samples in (at - span, at], without staleness markers: times in milliseconds, values as text; histograms as JSON."""
        data = self.get("/api/v1/query", query=f"{selector}[{span_ms}ms]", time=f"{at_ms / 1000:.3f}")
        found: Series = {}
        for each in data["result"]:
            labels = tuple(sorted(each["metric"].items()))
            samples = [(round(float(t) * 1000), v) for t, v in each.get("values", [])]
            samples += [(round(float(t) * 1000), json.dumps(h, sort_keys=True)) for t, h in each.get("histograms", [])]
            found[labels] = sorted(samples)
        return found

    def remote_write(self, body: bytes) -> None:
        request = urllib.request.Request(
            f"{self.url}/api/v1/write", data=body,
            headers={"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
                     "X-Prometheus-Remote-Write-Version": "0.1.0"},
        )  # fmt: skip
        urllib.request.urlopen(request, timeout=30).close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def prometheus(
    data: Path, *arguments: str, binary: str = "prometheus", config: str = "", kill: bool = False
) -> Iterator[Peer]:
    """Runs until the block ends; then SIGTERM (it cuts nothing and replays its log at the next start), or SIGKILL."""
    home = data.parent / f"{data.name}-prometheus"
    home.mkdir(exist_ok=True)
    (home / "prometheus.yml").write_text(config or "global: {}\n")
    port = free_port()
    log = home / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [binary, f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={data}",
             f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", *arguments],
            stdout=output, stderr=output, cwd=home,
        )  # fmt: skip
    peer = Peer(f"http://127.0.0.1:{port}", log)
    try:
        _wait(peer, process)
        yield peer
    finally:
        if kill:
            process.kill()
        process.terminate()
        process.wait(30)


def _wait(peer: Peer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"prometheus ended: {peer.log.read_text()[-3000:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{peer.url}/-/ready", timeout=5):
            return
        time.sleep(0.05)
    raise AssertionError(f"prometheus is not ready: {peer.log.read_text()[-3000:]}")
