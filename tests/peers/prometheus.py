"""A real Prometheus beside ours, or another program that listens: started, waited for, asked, stopped by its pid.

    with prometheus(tmp_path / "data", "--web.enable-admin-api", config=...) as peer:
        status, answer = peer.ask("query", {"query": "up"})

What the program says is in `peer.log`; its end is in the error of a start that fails, and shown when a test fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")
Form = Mapping[str, object] | Sequence[tuple[str, str]]
Series = dict[tuple[tuple[str, str], ...], list[tuple[int, str]]]
READY = 60.0
"""Seconds that a start may take."""


class NotReady(AssertionError):
    """It ended, or does not answer; with what it said."""


class Peer:
    """One that is ready, on loopback, over a connection that is kept: for one thread at a time."""

    def __init__(self, port: int, log: Path) -> None:
        self.url, self.log = f"http://127.0.0.1:{port}", log
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError."""
        self._connection.request(method, path, body, dict(headers or {}))
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def ask(self, name: str, form: Form = (), method: str = "GET") -> tuple[int, Any]:
        """Status and document of /api/v1/`name`."""
        path, query = f"/api/v1/{name}", urlencode(form)
        if method == "POST":
            status, body = self.send(
                method, path, query.encode(), {"Content-Type": "application/x-www-form-urlencoded"}
            )
        else:
            status, body = self.send(method, f"{path}?{query}")
        return status, json.loads(body or b"null")

    def raw(self, at_ms: int, span_ms: int, selector: str = '{__name__=~".+"}') -> Series:
        """Samples in (at - span, at], without staleness markers: times in milliseconds, values as text; histograms as JSON."""
        answer = self.ask("query", {"query": f"{selector}[{span_ms}ms]", "time": f"{at_ms / 1000:.3f}"})[1]
        found: Series = {}
        for each in answer["data"]["result"]:
            labels = tuple(sorted(each["metric"].items()))
            samples = [(round(float(t) * 1000), v) for t, v in each.get("values", [])]
            samples += [(round(float(t) * 1000), json.dumps(h, sort_keys=True)) for t, h in each.get("histograms", [])]
            found[labels] = sorted(samples)
        return found

    def remote_write(self, body: bytes) -> None:
        """A remote write request, compressed."""
        headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        status, said = self.send("POST", "/api/v1/write", body, headers)
        assert status < 300, said

    def close(self) -> None:
        self._connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], port: int, log: Path, kill: bool = False) -> Iterator[Peer]:
    """A program that listens on `port`, from when /-/ready is 200 until the block ends; then SIGTERM, or SIGKILL."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
    peer = Peer(port, log)
    try:
        _wait(peer, process)
        yield peer
    finally:
        peer.close()
        if kill:
            process.kill()
        process.terminate()
        process.wait(30)
        print(f"{command[0]}:\n{_end(log)}")


@contextmanager
def prometheus(
    data: Path, *arguments: str, binary: str = "prometheus", config: str = "", kill: bool = False
) -> Iterator[Peer]:
    """One over the data directory `data`, which is made if it is not there; its files are in a folder beside that. SIGTERM
    cuts nothing: it replays its log at the next start. `config` may use PORT for its own port."""
    home, port = data.with_name(f"{data.name}-peer"), free_port()
    home.mkdir(parents=True, exist_ok=True)
    (home / "prometheus.yml").write_text(config.replace("PORT", str(port)) or "global: {}\n")
    command = [
        *(binary, f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={data}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", *arguments),
    ]
    with running(command, port, home / "log", kill) as peer:
        yield peer


@asynccontextmanager
async def beside(context: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Entered and left in a thread: the event loop goes on, with servers that the peer calls."""
    found = await asyncio.to_thread(context.__enter__)
    try:
        yield found
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def _wait(peer: Peer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotReady(f"ended with {process.returncode}: {_end(peer.log)}")
        with contextlib.suppress(OSError):
            if peer.send("GET", "/-/ready")[0] == 200:
                return
        peer.close()
        time.sleep(0.05)
    raise NotReady(f"does not get ready: {_end(peer.log)}")


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
