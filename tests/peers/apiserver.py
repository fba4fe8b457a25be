"""The real kube-apiserver and its etcd, on loopback: started, waited for, asked, stopped by their pids.

    with kube_apiserver(tmp_path) as peer:
        status, answer = peer.ask("GET", "/api/v1/namespaces")

Both programs must be on the PATH (tests/peers/build-kubernetes makes them). No controller manager runs beside it, so that
an object stays as its test wrote it. `python -m tests.peers.apiserver DIR` keeps one running and prints its kubeconfig.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

READY = 120.0
"""Seconds that a start may take; it needs about 5 on a quiet machine."""


class NotReady(AssertionError):
    """It ended, or does not answer; with what it said."""


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def warnings(self) -> list[str]:
        """The texts of its Warning headers."""
        told = self.headers.get("warning", "")
        quoted = [text.partition(" - ")[2] for text in told.split("\0")] if told else []
        return [text[1:-1].replace('\\"', '"') for text in quoted]

    def json(self) -> Any:
        return json.loads(self.body or b"null")


@dataclass
class KubeApiserver:
    """One that is ready. `token` is an administrator's."""

    url: str
    token: str
    folder: Path
    _context: ssl.SSLContext = field(default_factory=ssl._create_unverified_context)

    def send(
        self, method: str, path: str, body: Any = None, accept: str = "application/json", **headers: str
    ) -> Answer:
        """`body` is JSON unless it is bytes; `content_type=` and other headers with underscores for dashes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json", "accept": accept, "authorization": f"Bearer {self.token}"}
        sent |= {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=60) as answer:
                return Answer(answer.status, _headers(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, _headers(error.headers), error.read())

    def ask(self, method: str, path: str, body: Any = None, **more: str) -> tuple[int, Any]:
        """Status and document."""
        answer = self.send(method, path, body, **more)
        return answer.status, answer.json()

    def kubeconfig(self) -> Path:
        path = self.folder / "kubeconfig"
        named = {
            "clusters": [{"name": "real", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
        }
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "real", **named}))
        return path


def _headers(found: Message) -> dict[str, str]:
    """By lower-case name; one that is there several times, parted by NUL."""
    return {name.lower(): "\0".join(found.get_all(name, [])) for name in found}


@contextmanager
def kube_apiserver(folder: Path, *flags: str) -> Iterator[KubeApiserver]:
    """`flags` are kube-apiserver's own, after ours. Raises NotReady."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        etcd = stack.enter_context(_etcd(folder))
        port = _free_port()
        key, token = folder / "sa.key", secrets.token_hex(16)
        key.write_bytes(
            rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
        words = [
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certs'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            *flags,
        ]
        process = stack.enter_context(_running(words, folder / "kube-apiserver.log"))
        peer = KubeApiserver(f"https://127.0.0.1:{port}", token, folder)
        _wait(process, folder / "kube-apiserver.log", lambda: peer.send("GET", "/readyz").status == 200)
        yield peer


@contextmanager
def _etcd(folder: Path) -> Iterator[str]:
    client, peer = _free_port(), _free_port()
    url = f"http://127.0.0.1:{client}"
    words = [
        "etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    with _running(words, folder / "etcd.log") as process:

        def healthy() -> bool:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                return answer.status == 200

        _wait(process, folder / "etcd.log", healthy)
        yield url


@contextmanager
def _running(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Any) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            if ready():
                return
        time.sleep(0.1)
    raise NotReady(f"{process.args}: {log.read_text(errors='replace')[-4000:]}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    with kube_apiserver(Path(sys.argv[1]).absolute()) as real:
        print(real.kubeconfig(), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
