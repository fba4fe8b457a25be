"""API servers to measure: Styr as `styr api` runs it, and Kubernetes' own (etcd, kube-apiserver, kube-controller-manager) where
the three are on the PATH. Both are spoken to over TLS with a bearer token, both sync what they acknowledge.
Not a benchmark itself; `bench.api` and `bench.api_large` call it. Never contacts anything but loopback.
"""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench._platform import as_installed, cpu_seconds, rss_mb
from styr.client.kubeconfig import Access, read_kubeconfig
from styr.plane.ports import free_port

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
TOKEN = "a-token-of-the-benchmark"


class ApiServer(Protocol):
    def start(self) -> float:
        """Seconds from the command to the first good answer."""

    def access(self) -> Access: ...

    def pids(self) -> Sequence[int]:
        """Of the API server, its store and the controllers."""

    def stop(self) -> None: ...


def cpu(server: ApiServer) -> float:
    """Seconds so far."""
    return sum(map(cpu_seconds, server.pids()))


def rss(server: ApiServer) -> float:
    """MB."""
    return sum(map(rss_mb, server.pids()))


class Styr:
    """`styr api`: the API server with the controllers, as the other side has them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "styr"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> float:
        began = time.monotonic()
        line = [sys.executable, "-m", "styr", "api", "--data-dir", str(self._folder)]
        self._process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=as_installed()
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said.startswith("Kubernetes API"):
            raise RuntimeError(f"styr api said {said!r}")
        return time.monotonic() - began

    def access(self) -> Access:
        return read_kubeconfig(self._folder / "kubeconfig")

    def pids(self) -> Sequence[int]:
        assert self._process is not None
        return [self._process.pid]

    def stop(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process.stdout.close()


class Kubernetes:
    """One of each, as a single machine runs them; RBAC on, nothing else beside the defaults."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "kubernetes"
        self._folder.mkdir()
        self._ports = [free_port() for _ in range(5)]
        self._running: list[subprocess.Popen[bytes]] = []
        self._files()

    @staticmethod
    def installed() -> bool:
        return all(map(shutil.which, PROGRAMS))

    def start(self) -> float:
        began = time.monotonic()
        for command in (self._etcd(), self._apiserver(), self._controllers()):
            with (self._folder / f"{command[0]}.log").open("ab") as file:
                self._running.append(subprocess.Popen(command, stdout=file, stderr=file, cwd=self._folder))
            if command[0] == "kube-apiserver":
                self._wait()
        return time.monotonic() - began

    def access(self) -> Access:
        return Access("127.0.0.1", self._ports[2], ssl=_trusting(), token=TOKEN)

    def pids(self) -> Sequence[int]:
        return [process.pid for process in self._running]

    def stop(self) -> None:
        for process in reversed(self._running):
            process.kill()  # asked politely, the API server waits a minute for its watchers; all that lasts is in etcd
            process.wait(60)
        self._running.clear()

    def _wait(self) -> None:
        url, ended = f"https://127.0.0.1:{self._ports[2]}/readyz", time.monotonic() + 120
        asked = urllib.request.Request(url, headers={"authorization": f"Bearer {TOKEN}"})
        while time.monotonic() < ended:
            try:
                with urllib.request.urlopen(asked, timeout=5, context=_trusting()):
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"kube-apiserver is not ready; see {self._folder}/kube-apiserver.log")

    def _files(self) -> None:
        key = ["openssl", "genrsa", "-out", str(self._folder / "sa.key"), "2048"]
        subprocess.run(key, check=True, stderr=subprocess.DEVNULL)
        (self._folder / "tokens").write_text(f"{TOKEN},bench,1,system:masters\n")
        cluster = {"server": f"https://127.0.0.1:{self._ports[2]}", "insecure-skip-tls-verify": True}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "it", "user": {"token": TOKEN}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        }
        (self._folder / "kubeconfig").write_text(json.dumps(config))

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in self._ports[:2])
        return [
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=error",
        ]

    def _apiserver(self) -> list[str]:
        key = self._folder / "sa.key"
        return [
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._ports[0]}",
            f"--secure-port={self._ports[2]}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--token-auth-file={self._folder / 'tokens'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        ]

    def _controllers(self) -> list[str]:
        return [
            "kube-controller-manager",
            f"--kubeconfig={self._folder / 'kubeconfig'}",
            f"--secure-port={self._ports[3]}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--service-account-private-key-file={self._folder / 'sa.key'}",
            "--leader-elect=false",
        ]


def _trusting() -> ssl.SSLContext:
    """The peer signs its own certificate anew: on loopback that is enough for a benchmark."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def unlimited_files() -> None:
    """A thousand watchers need a thousand sockets on both sides."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
